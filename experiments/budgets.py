"""How long runs of the presets take on a common processor, as measured: for planning, not for results.

Not here: what a run really took, which is stored with it.
"""

from collections.abc import Iterable, Mapping

from experiments.config import ImageRun, RunConfig, config_hash, prerequisites, training_run
from experiments.sweeps import PlannedRun

Costs = tuple[float, float]  # milliseconds of a training step; of a test episode

MEASURED: Mapping[str, Mapping[str, Mapping[tuple[int, int], Costs]]] = {}
"""Preset -> row -> (n_way, k_shot) -> costs: processor time of one thread, by benchmarks/budgets.py."""


def budget_key(config: ImageRun) -> str:
    """Return what tells costs apart besides preset, ways and shots: the method, and how MANN is trained."""
    training = getattr(config.method, "training", "")
    return f"{config.method.name}-{training}" if training else config.method.name


def planned_seconds(planned: Iterable[PlannedRun]) -> float | None:
    """Return about how long these runs take with all they start from, None where that was never measured.

    A training that several share counts once.
    """
    needed: dict[str, tuple[RunConfig, str]] = {}
    for each in planned:
        for config in (each.config, *_all_needs(each.config)):
            needed[config_hash(config)] = (config, each.preset)
    seconds = [run_seconds(config, preset) for config, preset in needed.values()]
    known = [each for each in seconds if each is not None]
    return sum(known) if len(known) == len(seconds) else None


def trainings(planned: Iterable[PlannedRun]) -> list[RunConfig]:
    """Return the different runs that train, pre-trainings included, in the order they are needed."""
    configs = [need for each in planned for need in (*_all_needs(each.config), each.config)]
    return list({config_hash(config): config for config in configs if _steps(config)}.values())


def run_seconds(config: RunConfig, preset: str) -> float | None:
    """Return about how long one run takes, what it starts from not included; None where never measured."""
    if not isinstance(config, ImageRun) or config.experiment == "miniimagenet":  # its images are larger
        return None
    asked = config.evaluation
    costs = MEASURED.get(preset, {}).get(budget_key(config), {}).get((asked.n_way, asked.k_shot))
    if costs is None:
        return None
    step, episode = costs
    method, steps = config.method, _steps(config)
    validations = steps // method.validate_every if method.validate_every else 0
    episodes = asked.episodes + validations * method.validate_episodes
    return (steps * step + episodes * episode) / 1000


def _steps(config: RunConfig) -> int:
    return config.method.steps if isinstance(config, ImageRun) and training_run(config) is None else 0


def _all_needs(config: RunConfig) -> list[RunConfig]:
    needs = list(prerequisites(config))
    return [each for need in needs for each in (*_all_needs(need), need)]
