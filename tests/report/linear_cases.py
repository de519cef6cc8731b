"""Stored runs of the linear case study with the numbers a test asks for."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.config import SyntheticRun, config_from_json, config_to_json, parse_config
from fsrun.report.study import Study, find_study
from store.queue import Claim, finish
from store.results import ResultRow
from tests.report.report_cases import Filled

STEPS = (200, 400, 600)
CURVES = {
    "train/loss_ratio": (0.8, 0.4, 0.2),
    "train/frobenius": (200.0, 50.0, 8.0),
    "train/fixed_point_distance": (190.0, 40.0, 3.0),
    "train/eigenvalue_low": (0.1, 0.5, 0.85),
    "train/eigenvalue_high": (0.2, 0.7, 0.95),
}
RESULTS = {"loss_ratio": 0.101, "frobenius": 2.5, "fixed_point_error": 2e-4, "printed_error": 11_000.0}
RESULTS |= {"one_step_error": 0.099, "gradient_cosine": 0.957}


def linear_config(*, seed: int = 0, seeds: int = 1, **sections: Mapping[str, Any]) -> SyntheticRun:
    """Return the paper's setting with some options changed, section by section: data, method, evaluation."""
    raw = {"experiment": "synthetic", "seed": seed, "seeds": seeds} | sections
    config = parse_config(raw)
    assert isinstance(config, SyntheticRun)
    assert config_from_json(config_to_json(config)) == config
    return config


def start(
    filled: Filled,
    config: SyntheticRun | None = None,
    curves: Mapping[str, Sequence[float]] | None = None,
    *,
    steps: Sequence[int] = STEPS,
    preset: str = "paper",
) -> Claim:
    """Queue, claim and fill the curves of a run."""
    job = filled.start(config or linear_config(), preset)
    filled.report(job, steps, CURVES | dict(curves or {}))
    return job


def end(
    filled: Filled, job: Claim, results: Mapping[str, float] | None = None, interval: float = 0.0046
) -> int:
    """Finish a run with these results, others as RESULTS has them."""
    values = RESULTS | dict(results or {})
    rows = [ResultRow(f"test/{name}", value, interval * abs(value), 1000) for name, value in values.items()]
    finish(filled.engine, job.run_id, job.attempt, rows, now=filled.tick())
    return job.run_id


def finished(
    filled: Filled,
    config: SyntheticRun | None = None,
    curves: Mapping[str, Sequence[float]] | None = None,
    results: Mapping[str, float] | None = None,
) -> int:
    """Return a run that has trained and measured."""
    return end(filled, start(filled, config, curves), results)


def study_of(filled: Filled, run_id: int) -> Study:
    return find_study(filled.engine, run_id, max_points=400)
