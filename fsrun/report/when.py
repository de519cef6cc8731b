"""Where fast and slow learners help: Fast/Slow against nearest mean on its own pre-trained features.

Not here: the pairs of runs (experiments/when.py), and queueing them (`fsrun queue when`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from experiments.ablations import METHOD
from experiments.config import ImageRun, config_hash
from experiments.when import QUESTIONS, RIVAL, nearest_mean, variants
from fsrun.report.errors import NothingToReport
from fsrun.report.measured import Measured, combine, imported_note, traced, written
from fsrun.report.one_change import Group, Groups, group_of, groups_of, most_answered
from fsrun.report.paired import Difference, paired_difference, signed
from fsrun.report.render import Column, Table
from fsrun.report.table import field, listed
from fsrun.words import count
from store.runs import group_statuses

NOT_RUN = "not run"


@dataclass(frozen=True)
class Pair:
    """What Fast/Slow and nearest mean measured with one option, in percent.

    Either is None where it has not finished: `status` then says how far it is.
    """

    question: str
    option: str
    is_base: bool
    ours: Measured | None
    rival: Measured | None
    ahead: Difference | None
    status: str

    @property
    def verdict(self) -> str:
        """Whether Fast/Slow lies above nearest mean, below it, or neither, by the 95 % interval."""
        if self.ahead is None:
            return "" if self.ours is None or self.rival is None else "other episodes"
        if abs(self.ahead.mean) <= self.ahead.interval:
            return "not told apart"
        return "above" if self.ahead.mean > 0 else "below"


@dataclass(frozen=True)
class When:
    """All pairs around a base run of Fast/Slow."""

    base: Measured
    config: ImageRun
    pairs: tuple[Pair, ...]


def when(engine: Engine, *, run_id: int | None = None) -> When:
    """Return the pairs around a base: that of `run_id`, or the one that most others differ from.

    Raises NothingToReport, and UsageError for a run that cannot be the base.
    """
    groups, rivals = groups_of(engine, METHOD), groups_of(engine, RIVAL)
    paired = {key: each for key, each in groups.items() if _rival_of(each.config) in rivals}
    base = most_answered(paired, _variants) if run_id is None else group_of(run_id, groups, METHOD)
    if base is None:
        raise NothingToReport(
            "no run of fastslow has finished beside nearest mean on its features: type `fsrun queue when`, "
            "`fsrun worker --drain`"
        )
    statuses = {key: status.value for key, status in group_statuses(engine).items()}
    pairs = _pairs(base, groups, rivals, statuses)
    return When(combine(base.runs, scale=100), base.config, tuple(pairs))


def _rival_of(config: ImageRun) -> str:
    """Return the hash of the config of nearest mean, none where there is no such run."""
    rival = nearest_mean(config)
    return config_hash(rival) if rival else ""


def _variants(base: ImageRun) -> Iterator[ImageRun]:
    for question in QUESTIONS:
        yield from (config for _, config in variants(base, question))


def _pairs(base: Group, groups: Groups, rivals: Groups, statuses: Mapping[str, str]) -> Iterator[Pair]:
    own = config_hash(base.config)
    for question in QUESTIONS:
        for title, config in variants(base.config, question):
            keys = config_hash(config), _rival_of(config)
            ours, rival = groups.get(keys[0]), rivals.get(keys[1])
            missing = [key for key, group in zip(keys, (ours, rival), strict=True) if group is None]
            yield Pair(
                question.title,
                title,
                is_base=keys[0] == own,
                ours=combine(ours.runs, scale=100) if ours else None,
                rival=combine(rival.runs, scale=100) if rival else None,
                ahead=paired_difference(ours.runs, rival.runs, scale=100) if ours and rival else None,
                status=statuses.get(missing[0], NOT_RUN) if missing else "done",
            )


def when_table(found: When) -> Table:
    """Return the pairs as a table, one line for each option, in the order of the questions."""
    task = found.config.evaluation
    return Table.of(
        f"Fast/Slow and nearest mean on its features, one thing changed at a time: "
        f"{found.config.experiment} {task.n_way}-way {task.k_shot}-shot accuracy on {task.split} classes, %",
        (
            Column("Question", field("question"), repeats=True),
            Column("Option", lambda pair: f"{pair.option} (base)" if pair.is_base else pair.option),
            Column("Fast/Slow", field("ours", written), "fastslow_percent", numeric=True),
            Column("Nearest mean", field("rival", written), "nearest_mean_percent", numeric=True),
            Column("Difference", field("ahead", signed), "ahead_percent", numeric=True),
            Column("Fast/Slow is", lambda pair: pair.verdict or pair.status),
            Column("Runs", _runs),
        ),
        found.pairs,
        lambda pair: _record(found, pair),
        notes=tuple(_notes(found)),
    )


def _runs(pair: Pair) -> str:
    return listed(run_id for each in (pair.ours, pair.rival) if each for run_id in each.run_ids)


def _notes(found: When) -> Iterator[str]:
    ours = found.base
    changes = f" with {', '.join(ours.differences)}" if ours.differences else ""
    yield f"Base: {count(len(ours.runs), 'run')} of preset {ours.preset}{changes}."
    yield "Both have a pre-training of the same config, as many looks, and the same episodes."
    yield "Difference: paired over episodes ± half of its 95 % interval."
    decided = len({pair.ours.run_ids for pair in found.pairs if pair.ours and pair.ahead})
    if decided > 1:
        yield f"Of {decided} such intervals, 5 % miss the true difference by chance."
    yield from imported_note([side for pair in found.pairs for side in (pair.ours, pair.rival) if side])
    if any(pair.status != "done" for pair in found.pairs):
        yield "For what is not run: `fsrun queue when`, with the settings of the base run."


def _record(found: When, pair: Pair) -> dict[str, Any]:
    sides = {"fastslow": pair.ours, "nearest_mean": pair.rival}
    record: dict[str, Any] = {
        "question": pair.question,
        "option": pair.option,
        "is_base": pair.is_base,
        "status": pair.status,
        "verdict": pair.verdict,
        "ahead_percent": pair.ahead and pair.ahead.mean,
        "ahead_interval_percent": pair.ahead and pair.ahead.interval,
        "split": found.config.evaluation.split,
    }
    for name, side in sides.items():
        record[f"{name}_percent"] = side and side.mean
        record[f"{name}_interval_percent"] = side and side.interval
    runs = [run for side in sides.values() if side for run in side.runs]
    record["run_ids"] = [run.run_id for run in runs]
    record["runs"] = {str(run.run_id): traced(run) for run in runs}
    return record
