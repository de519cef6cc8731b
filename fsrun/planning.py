"""From a planned sweep to rows for the queue: where experiments and store meet on the way in.

Not here: what a sweep is (experiments.sweeps), and the queue itself (store.runs).
"""

from collections.abc import Iterable

from experiments.config import (
    ImageRun,
    RunConfig,
    SyntheticRun,
    config_hash,
    config_to_json,
    prerequisites,
    training_steps,
)
from experiments.sweeps import PlannedRun
from store.runs import RunRequest, RunSpec


def run_spec(config: RunConfig, preset: str) -> RunSpec:
    """Return what the store keeps of a config: the whole of it, and the columns lists are made of."""
    image = config if isinstance(config, ImageRun) else None
    return RunSpec(
        experiment=config.experiment,
        method=config.method.name,
        preset=preset,
        seed=config.seed,
        n_way=image.evaluation.n_way if image else None,
        k_shot=image.evaluation.k_shot if image else None,
        config=config_to_json(config),
        config_hash=config_hash(config),
        group_hash=config_hash(config, with_seed=False),
        total_steps=training_steps(config),
    )


def run_request(planned: PlannedRun) -> RunRequest:
    """Return the request for a planned run together with the runs it starts from."""
    needs = tuple(run_request(PlannedRun(need, planned.preset)) for need in prerequisites(planned.config))
    return RunRequest(run_spec(planned.config, planned.preset), needs)


def requests(planned: Iterable[PlannedRun]) -> list[RunRequest]:
    """Return the requests of a whole sweep, in order."""
    return [run_request(each) for each in planned]


def warnings(planned: Iterable[PlannedRun]) -> list[str]:
    """Return what is to be said of runs before they start: a line for each that theory expects to diverge."""
    runs = [each.config for each in planned if isinstance(each.config, SyntheticRun)]
    if not runs:
        return []
    from experiments.synthetic.rates import rate_warning  # loads numpy

    return [line for line in map(rate_warning, runs) if line]
