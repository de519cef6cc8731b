"""Accuracy against the number of classes, the paper's Figure 5 on characters: what each method measured.

Not here: drawing it (classes_drawing.py), and queueing the sweep (`fsrun queue ... --n-way 5,20,100`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from json import dumps, loads
from typing import Any

from sqlalchemy import Engine

from experiments.errors import ConfigError, unknown_name
from experiments.registry import METHODS
from fsrun.provenance import PEAK_BYTES, SECONDS_PER_EPISODE, SEEN
from fsrun.report.errors import NothingToReport
from fsrun.report.measured import (
    IMPORTED_MARK,
    Measured,
    combine,
    imported_note,
    newest_group,
    traced,
    written,
)
from fsrun.report.paired import Difference, held_out, paired_difference, signed, unusual_test
from fsrun.report.render import Column, Table
from fsrun.report.table import listed
from fsrun.words import method_title
from store.results import FinishedResult, finished_results

IMAGE_EXPERIMENTS = ("omniglot", "glyphs", "miniimagenet", "imagenet", "drawn")
REFERENCE = "fastslow"  # what the others are compared with
_EPISODE_OPTIONS = ("evaluation", "trained_by", "seed")  # of a config: not of the model


@dataclass(frozen=True)
class Point:
    """What one method measured at one number of classes; percent, seconds, bytes.

    `ahead` is how far Fast/Slow is ahead of it on the same episodes.
    """

    n_way: int
    measured: Measured
    ahead: Difference | None
    seconds_per_episode: float | None
    peak_bytes: int | None


@dataclass(frozen=True)
class MethodCurve:
    """The points of one method, all of one model, fewest classes first."""

    method: str
    title: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Classes:
    """The curves of all methods tested on one set of classes, and what was left out."""

    experiment: str
    k_shot: int
    curves: tuple[MethodCurve, ...]
    left_out: tuple[int, ...]  # runs that were tested on other classes or features
    unusual: tuple[int, ...] = ()  # runs whose test was not drawn from all classes, or normalised otherwise
    features: str | None = None  # the name of the features, where images were embedded first
    others: tuple[str, ...] = ()  # names of features that others were measured on

    @property
    def subject(self) -> str:
        """What was recognised, in words for a title."""
        if self.experiment == "drawn":
            return "features drawn at random"
        return self.experiment if self.features in (None, self.experiment) else f"features {self.features}"


def classes(engine: Engine, experiment: str, *, k_shot: int = 1, features: str | None = None) -> Classes:
    """Return each method's accuracy by number of classes, of the settings whose run finished last.

    On the features of that name; without, on those that were met in the most numbers of ways. What was
    imported has curves of its own. Raises NothingToReport, and ConfigError for features nothing is known of.
    """
    found = finished_results(engine, experiment=experiment, name="test/accuracy")
    asked = [each for each in found if each.k_shot == k_shot and each.method != "pretrain"]
    results = [each for each in asked if unusual_test(each) is None]
    if not results:
        shots = "" if k_shot == 1 else f" --k-shot {k_shot}"
        command = f"fsrun queue {experiment} --method fastslow,protonet,cnn-nn --n-way 5,20,100{shots}"
        raise NothingToReport(
            f"no {k_shot}-shot run on {experiment} has finished: type `{command}`, `fsrun worker --drain`"
        )
    tested_on = _most_measured(results if features is None else _on_features(results, features))
    comparable = [each for each in results if held_out(each) == tested_on]
    groups = {
        (method, imported): _by_ways([each for each in comparable if each.imported == imported], method)
        for method in dict.fromkeys((*METHODS, *sorted({each.method for each in comparable})))
        for imported in (False, True)
    }
    return Classes(
        experiment=experiment,
        k_shot=k_shot,
        curves=tuple(_curve(key, groups) for key, ways in groups.items() if ways),
        left_out=tuple(sorted(each.run_id for each in results if each not in comparable)),
        unusual=tuple(sorted(each.run_id for each in asked if unusual_test(each) is not None)),
        features=_features(comparable[0]),
        others=tuple(sorted(set(filter(None, map(_features, results))) - {_features(comparable[0])})),
    )


def classes_table(found: Classes) -> Table:
    """Return the curves as a table, one line per number of classes and method."""
    lines = [(curve, point) for curve in found.curves for point in curve.points]
    lines.sort(key=lambda line: line[1].n_way)
    subject = found.subject[0].upper() + found.subject[1:]
    return Table.of(
        f"{subject}, {found.k_shot}-shot: accuracy by number of classes, %",
        (
            Column("Classes", lambda line: f"{line[1].n_way:,}", "n_way", numeric=True),
            Column("Method", lambda line: line[0].title),
            Column("Accuracy", lambda line: written(line[1].measured), "mean_percent", numeric=True),
            Column(
                "Fast/Slow ahead", lambda line: signed(line[1].ahead), "fastslow_ahead_percent", numeric=True
            ),
            Column("s/episode", _seconds, "seconds_per_episode", numeric=True),
            Column("Memory", _memory, "peak_bytes", numeric=True),
            Column("Runs", lambda line: listed(line[1].measured.run_ids)),
        ),
        lines,
        lambda line: _record(found, *line),
        notes=tuple(_notes(found)),
    )


def _most_measured(results: Sequence[FinishedResult]) -> object:
    """Return the test classes met in the most numbers of ways, of equals those of the newest run."""
    ways: dict[object, set[int | None]] = {}
    for each in sorted(results, key=_age, reverse=True):
        ways.setdefault(held_out(each), set()).add(each.n_way)
    return max(ways, key=lambda classes: len(ways[classes]))


def _on_features(results: Sequence[FinishedResult], name: str) -> list[FinishedResult]:
    known = {each.run_id: features for each in results if (features := _features(each)) is not None}
    if not known:
        raise ConfigError(f"{results[0].experiment} was measured on images, not on features: leave them out")
    if name not in known.values():
        raise unknown_name("measured features", name, set(known.values()))
    return [each for each in results if known.get(each.run_id) == name]


def _features(result: FinishedResult) -> str | None:
    features: str | None = loads(result.config)["data"].get("features")
    return features


def _age(result: FinishedResult) -> tuple[float, int]:
    return result.finished, result.run_id


def _model(result: FinishedResult) -> str:
    """Return what tells models apart, but for the seed."""
    config = loads(result.config)
    return dumps(
        {name: part for name, part in config.items() if name not in _EPISODE_OPTIONS}, sort_keys=True
    )


def _by_ways(results: Sequence[FinishedResult], method: str) -> dict[int, tuple[FinishedResult, ...]]:
    """Return the newest runs of the method's newest model at each number of classes."""
    own = [each for each in results if each.method == method and each.n_way is not None]
    if not own:
        return {}
    model = _model(max(own, key=_age))
    own = [each for each in own if _model(each) == model]
    ways = sorted({each.n_way for each in own if each.n_way is not None})
    return {n_way: newest_group([each for each in own if each.n_way == n_way]) for n_way in ways}


def _curve(
    key: tuple[str, bool],  # the method, and whether it was imported
    groups: dict[tuple[str, bool], dict[int, tuple[FinishedResult, ...]]],
) -> MethodCurve:
    method, imported = key
    # of the same origin where there is one
    reference = groups[REFERENCE, not imported] | groups[REFERENCE, imported] if method != REFERENCE else {}
    points = (_point(n_way, runs, reference.get(n_way, ())) for n_way, runs in groups[key].items())
    beside_own = f" {IMPORTED_MARK}" * (imported and bool(groups[method, False]))
    return MethodCurve(method, method_title(method) + beside_own, tuple(points))


def _point(n_way: int, runs: Sequence[FinishedResult], reference: Sequence[FinishedResult]) -> Point:
    seconds = [float(run.provenance[SECONDS_PER_EPISODE]) for run in runs if _knows(run, SECONDS_PER_EPISODE)]
    peaks = [int(run.provenance[PEAK_BYTES]) for run in runs if _knows(run, PEAK_BYTES)]
    return Point(
        n_way=n_way,
        measured=combine(runs, scale=100),
        ahead=paired_difference(reference, runs, scale=100) if reference else None,
        seconds_per_episode=sum(seconds) / len(seconds) if seconds else None,
        peak_bytes=max(peaks, default=None),
    )


def _knows(run: FinishedResult, fact: str) -> bool:
    return fact in run.provenance


def _seconds(line: tuple[MethodCurve, Point]) -> str:
    seconds = line[1].seconds_per_episode
    return "" if seconds is None else f"{seconds:.3g}"


def _memory(line: tuple[MethodCurve, Point]) -> str:
    peak = line[1].peak_bytes
    return "" if peak is None else f"{peak / 2**20:.0f} MB"


def _notes(found: Classes) -> Iterator[str]:
    points = [point for curve in found.curves for point in curve.points]
    episodes = sorted({each.measured.episodes for each in points if each.measured.episodes is not None})
    numbers = " or ".join(f"{each:,}" for each in episodes) or "test"
    over = f"{numbers} episode{'s' * (episodes != [1])}"
    yield f"Accuracy: mean over {over} ± half of the 95 % interval; each method as it was run last."
    if found.experiment == "drawn":
        yield "The features are random numbers: time and memory are real, accuracy says nothing."
    if found.features is not None:
        measured = [run for point in points for run in point.measured.runs]
        for said in dict.fromkeys(run.provenance.get(SEEN, "not kept with these runs") for run in measured):
            yield f"{SEEN[0].upper()}{SEEN[1:]}: {said}."
    if any(point.ahead for point in points):
        yield "Fast/Slow ahead: paired, on the same numbered episodes, with the interval of the difference."
    yield "s/episode, Memory: of the evaluation as it ran, embedding each image once included."
    yield from imported_note(point.measured for point in points)
    for curve in found.curves:
        ours = curve.points[-1].measured
        changed = [each for each in ours.differences if not each.startswith("evaluation.")]
        if changed:
            yield f"{curve.title}: {ours.preset} with {', '.join(changed)}."
    if found.left_out:
        runs = ", ".join(map(str, found.left_out))
        shown = ", ".join(f"--features {name}" for name in found.others)
        yield f"Not shown, since tested on other classes or features: runs {runs}{shown and f' ({shown})'}."
    if found.unusual:
        runs = ", ".join(map(str, found.unusual))
        yield f"Not shown, since within alphabets or with batch statistics that were asked for: runs {runs}."


def _record(found: Classes, curve: MethodCurve, point: Point) -> dict[str, Any]:
    ours, ahead = point.measured, point.ahead
    return {
        "experiment": found.experiment,
        "features": found.features,
        "method": curve.method,
        "title": curve.title,
        "n_way": point.n_way,
        "k_shot": found.k_shot,
        "mean_percent": ours.mean,
        "interval_percent": ours.interval,
        "interval_over": ours.interval_over,
        "episodes": ours.episodes,
        "fastslow_ahead_percent": ahead and ahead.mean,
        "fastslow_ahead_interval_percent": ahead and ahead.interval,
        "seconds_per_episode": point.seconds_per_episode,
        "peak_bytes": point.peak_bytes,
        "preset": ours.preset,
        "differences": list(ours.differences),
        "seeds": list(ours.seeds),
        "run_ids": list(ours.run_ids),
        "runs": {str(run.run_id): traced(run) for run in ours.runs},
    }
