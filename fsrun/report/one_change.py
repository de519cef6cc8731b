"""Studies that change one thing of a base run at a time: finding the base and the runs around it.

Not here: what is asked (experiments/ablations.py, when.py), and what is shown of the answers.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from experiments.config import ImageRun, config_from_json, config_hash
from experiments.errors import ConfigError
from fsrun.errors import UsageError
from fsrun.report.measured import combine, newest_group
from store.results import FinishedResult, finished_results


@dataclass(frozen=True)
class Group:
    """The finished runs of one config, all of whose seeds count, and that config with seed 0."""

    config: ImageRun
    runs: tuple[FinishedResult, ...]


Groups = Mapping[str, Group]  # by the hash of the config


def groups_of(engine: Engine, method: str) -> Groups:
    """Return the finished runs of a method, config by config, newest first."""
    members: dict[str, list[FinishedResult]] = {}
    configs: dict[str, ImageRun] = {}
    for run in finished_results(engine):
        config = _config(run) if run.method == method else None
        if config is not None:
            key = config_hash(config)
            configs[key] = config
            members.setdefault(key, []).append(run)
    return {key: Group(configs[key], newest_group(members[key])) for key in configs}


def _config(run: FinishedResult) -> ImageRun | None:
    """Return the config, without its seed and who trained it, of a run that measured an accuracy."""
    if not run.result.name.endswith("/accuracy"):
        return None
    try:
        config = config_from_json(run.config)
    except ConfigError:  # stored by another version of the program
        return None
    assert isinstance(config, ImageRun)
    return config.model_copy(update={"seed": 0, "trained_by": None})


def most_answered(groups: Groups, variants: Callable[[ImageRun], Iterable[ImageRun]]) -> Group | None:
    """Return the group around which most variants were run; of several the one run last."""

    def rank(group: Group) -> tuple[int, int, float]:
        around = {config_hash(each) for each in variants(group.config)} & groups.keys()
        usual = combine(group.runs).differences
        return len(around), -len(usual), max(run.finished for run in group.runs)

    return max(groups.values(), key=rank, default=None)


def group_of(run_id: int, groups: Groups, method: str) -> Group:
    """Return the group with a run; UsageError where none has it."""
    for group in groups.values():
        if run_id in (run.run_id for run in group.runs):
            return group
    raise UsageError(f"--run {run_id} is not a finished run of {method}, or not its newest: see `fsrun ls`")
