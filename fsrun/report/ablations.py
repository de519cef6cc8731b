"""What each part of Fast/Slow is worth: runs that differ from a base run in one thing, question by question.

Not here: the questions (experiments.ablations), and queueing the runs (`fsrun queue ablations`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from experiments.ablations import METHOD, QUESTIONS, Question
from experiments.config import ImageRun, config_hash
from experiments.sweeps import changed
from fsrun.provenance import SECONDS_PER_EPISODE
from fsrun.report.errors import NothingToReport
from fsrun.report.measured import Measured, combine, traced
from fsrun.report.one_change import Group, Groups, group_of, groups_of, most_answered
from fsrun.report.paired import Difference, paired_difference, signed
from fsrun.report.render import Column, Table
from fsrun.report.table import listed
from fsrun.words import count, duration
from store.results import FinishedResult
from store.runs import group_statuses

AS_IN_BASE = "as in the base"
NOT_RUN = "not run"


@dataclass(frozen=True)
class Answer:
    """What one option measured, in percent; `ahead` is how far it is ahead of the base run.

    `measured` is None where no run of it has finished: `status` then says how far it is.
    """

    title: str
    is_base: bool
    measured: Measured | None
    ahead: Difference | None
    train_seconds: float | None
    status: str


@dataclass(frozen=True)
class Ablations:
    """The answers to each question, by the question's title, and the base run they are compared with."""

    base: Measured
    config: ImageRun
    answers: Mapping[str, tuple[Answer, ...]]


def ablations(engine: Engine, *, run_id: int | None = None) -> Ablations:
    """Return the answers around a base run: that of `run_id`, or the one that most others differ from.

    Raises NothingToReport, and UsageError for a run that cannot be the base.
    """
    groups = groups_of(engine, METHOD)
    base = most_answered(groups, _variants) if run_id is None else group_of(run_id, groups, METHOD)
    if base is None:
        raise NothingToReport(
            "no run of fastslow has finished: type `fsrun queue ablations --preset quick`, "
            "`fsrun worker --drain`"
        )
    statuses = {key: status.value for key, status in group_statuses(engine).items()}
    answers = {each.title: tuple(_answers(each, base, groups, statuses)) for each in QUESTIONS}
    return Ablations(combine(base.runs, scale=100), base.config, answers)


def ablations_table(found: Ablations) -> Table:
    """Return the answers as a table, one line for each option, in the order of the questions."""
    evaluation = found.config.evaluation
    lines = [(question, answer) for question, answers in found.answers.items() for answer in answers]
    return Table.of(
        f"Fast/Slow, one thing changed at a time: {found.config.experiment} "
        f"{evaluation.n_way}-way {evaluation.k_shot}-shot accuracy on {evaluation.split} classes, %",
        (
            Column("Question", lambda line: line[0], repeats=True),
            Column("Option", lambda line: _option(line[1])),
            Column("Accuracy", lambda line: _accuracy(line[1]), "mean_percent", numeric=True),
            Column("Ahead of base", lambda line: signed(line[1].ahead), "ahead_percent", numeric=True),
            Column("Training", lambda line: _training(line[1]), "train_seconds", numeric=True),
            Column("Runs", lambda line: listed(line[1].measured.run_ids if line[1].measured else ())),
        ),
        lines,
        lambda line: _record(found, *line),
        notes=tuple(_notes(found)),
    )


def _variants(base: ImageRun) -> Iterator[ImageRun]:
    for question in QUESTIONS:
        for option in question.options:
            config = changed(base, option.sets)
            assert isinstance(config, ImageRun)
            yield config


def _answers(
    question: Question, base: Group, groups: Groups, statuses: Mapping[str, str]
) -> Iterator[Answer]:
    options = question.options
    named = [(option.title, config_hash(changed(base.config, option.sets))) for option in options]
    own = config_hash(base.config)
    if own not in (key for _, key in named):
        named.insert(0, (AS_IN_BASE, own))
    for title, key in named:
        group = groups.get(key)
        yield Answer(
            title=title,
            is_base=key == own,
            measured=combine(group.runs, scale=100) if group else None,
            ahead=paired_difference(group.runs, base.runs, scale=100) if group and key != own else None,
            train_seconds=_train_seconds(group.runs) if group else None,
            status="done" if group else statuses.get(key, NOT_RUN),
        )


def _train_seconds(runs: Sequence[FinishedResult]) -> float | None:
    """Return the seconds a run took but for its evaluation, on average; None where they are not known."""
    known = [
        max(run.seconds - float(run.provenance[SECONDS_PER_EPISODE]) * (run.result.episodes or 0), 0.0)
        for run in runs
        if SECONDS_PER_EPISODE in run.provenance
    ]
    return sum(known) / len(known) if known else None


def _option(answer: Answer) -> str:
    return f"{answer.title} (base)" if answer.is_base and answer.title != AS_IN_BASE else answer.title


def _accuracy(answer: Answer) -> str:
    ours = answer.measured
    if ours is None:
        return answer.status
    return f"{ours.mean:.2f}" if ours.interval is None else f"{ours.mean:.2f} ± {ours.interval:.2f}"


def _training(answer: Answer) -> str:
    return "" if answer.train_seconds is None else duration(answer.train_seconds)


def _notes(found: Ablations) -> Iterator[str]:
    ours = found.base
    changes = f" with {', '.join(ours.differences)}" if ours.differences else ""
    base = f"{count(len(ours.runs), 'run')} of preset {ours.preset}{changes}"
    yield f"Base: {base}; each option changes it in this one thing."
    over = "test episodes" if ours.episodes is None else count(ours.episodes, "episode")
    yield f"Accuracy: mean over {over} ± half of the 95 % interval."
    yield "Ahead of base: paired, on the same numbered episodes, with the interval of the difference."
    yield "Training: without pre-training, which all share, and without the evaluation."
    if any(answer.measured is None for answers in found.answers.values() for answer in answers):
        yield "For what is not run: `fsrun queue ablations`, with the settings of the base run."


def _record(found: Ablations, question: str, answer: Answer) -> dict[str, Any]:
    ours, ahead = answer.measured, answer.ahead
    return {
        "question": question,
        "option": answer.title,
        "is_base": answer.is_base,
        "status": answer.status,
        "mean_percent": ours and ours.mean,
        "interval_percent": ours and ours.interval,
        "interval_over": ours and ours.interval_over,
        "episodes": ours and ours.episodes,
        "ahead_percent": ahead and ahead.mean,
        "ahead_interval_percent": ahead and ahead.interval,
        "train_seconds": answer.train_seconds,
        "split": found.config.evaluation.split,
        "n_way": found.config.evaluation.n_way,
        "k_shot": found.config.evaluation.k_shot,
        "preset": ours and ours.preset,
        "seeds": list(ours.seeds) if ours else [],
        "run_ids": list(ours.run_ids) if ours else [],
        "runs": {str(run.run_id): traced(run) for run in ours.runs} if ours else {},
    }
