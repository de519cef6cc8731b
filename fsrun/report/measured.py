"""From runs of one config to one number with its 95 % interval and the runs behind it.

Not here: which runs may stand in which report (table2.py, figure4.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from json import loads
from typing import Any

from experiments.config import config_from_json, config_hash
from experiments.errors import ConfigError
from fsrun.differences import differences
from fsrun.intervals import interval_of
from store.results import IMPORTED_FROM, FinishedResult

IMPORTED_MARK = "†"
"""Stands at numbers that runs from elsewhere measured."""


@dataclass(frozen=True)
class Measured:
    """One quantity measured by the runs of a group, which differ in nothing but their seed.

    `interval` is the half width of the 95 % interval in the unit of `mean`, None where unknown;
    `interval_over` says what it is over. All runs of a group meet the same `episodes` test episodes.
    `differences` are the options that are not as in the preset.
    """

    mean: float
    interval: float | None
    interval_over: str
    episodes: int | None
    seeds: tuple[int, ...]
    run_ids: tuple[int, ...]
    preset: str
    group_hash: str
    differences: tuple[str, ...]
    runs: tuple[FinishedResult, ...]

    @property
    def imported(self) -> bool:
        """Whether it was measured elsewhere."""
        return self.runs[0].imported


def newest_group(results: Sequence[FinishedResult]) -> tuple[FinishedResult, ...]:
    """Return the group whose run finished last: its newest run of each seed, in order of the seeds.

    A run that measures what another has trained is of one group with a run that trains the same and measures
    it itself. Imported runs count where there are no others, and are never in one group with others. At least
    one result must be given, and all must be of one quantity.
    """
    made_here = [result for result in results if not result.imported]
    ordered = sorted(made_here or results, key=lambda result: (result.finished, result.run_id))
    newest_of_all = _group(ordered[-1].config, ordered[-1].group_hash)
    group = [result for result in ordered if _group(result.config, result.group_hash) == newest_of_all]
    newest = {result.seed: result for result in group}
    return tuple(newest[seed] for seed in sorted(newest))


@cache
def _group(config: str, group_hash: str) -> str:
    """Return the hash of a config's group as if the run had trained its model itself."""
    try:
        known = config_from_json(config)
    except ConfigError:  # stored by another version of the program
        return group_hash
    if getattr(known, "trained_by", None) is None:
        return group_hash
    return config_hash(known.model_copy(update={"trained_by": None}), with_seed=False)


def combine(runs: Sequence[FinishedResult], *, scale: float = 1.0) -> Measured:
    """Return the mean over the runs of a group, times `scale`, with an interval that holds for it.

    One run: its own interval over episodes. Several: Student's t over the runs' means, added in quadrature to
    the intervals over episodes, which more seeds do not narrow because all runs meet the same episodes.
    """
    values = [run.result.value for run in runs]
    interval = interval_of(values, [run.result.interval for run in runs])
    newest = max(runs, key=lambda run: run.run_id)
    return Measured(
        mean=scale * sum(values) / len(values),
        interval=None if interval is None else scale * interval,
        interval_over="episodes" if len(runs) == 1 else "runs and episodes",
        episodes=newest.result.episodes,
        seeds=tuple(run.seed for run in runs),
        run_ids=tuple(run.run_id for run in runs),
        preset=newest.preset,
        group_hash=newest.group_hash,
        differences=differences(newest),
        runs=tuple(runs),
    )


def written(measured: Measured, interval: float | None = None) -> str:
    """Return the mean with its interval or another, and a mark where it was imported: 97.74 ± 0.19 †."""
    half = measured.interval if interval is None else interval
    spread = "" if half is None else f" ± {half:.2f}"
    return f"{measured.mean:.2f}{spread}{f' {IMPORTED_MARK}' * measured.imported}"


def imported_note(shown: Iterable[Measured]) -> Iterator[str]:
    """Yield one line on the imported numbers among those shown, if there are any."""
    files = {run.provenance[IMPORTED_FROM]: None for each in shown for run in each.runs if run.imported}
    if files:
        yield f"{IMPORTED_MARK} imported from {', '.join(files)}."


def traced(run: FinishedResult) -> dict[str, Any]:
    """Return where a number comes from, ready for JSON: the run, its config and what made it."""
    return {
        "run_id": run.run_id,
        "seed": run.seed,
        "preset": run.preset,
        "value": run.result.value,
        "interval": run.result.interval,
        "episodes": run.result.episodes,
        "device": run.device,
        "seconds": run.seconds,
        "finished": run.finished,
        "config": loads(run.config),
        "provenance": dict(run.provenance),
    }
