"""Covariances from every source, starting weights, and options that cannot be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from experiments.config import GaussianData, SyntheticRun, TaskEvaluation, config_from_json, config_to_json
from experiments.errors import ConfigError
from experiments.linear.covariance import covariances, initial_weights, reconditioned, task_covariance, turned
from experiments.linear.stability import rate_warning
from experiments.sweeps import Sweep, parse_settings, plan
from experiments.values import numbers_in, values_of

RESULTS = Path(__file__).parents[2] / "results"


def test_sigma_comes_from_a_condition_number_a_spectrum_or_itself() -> None:
    by_number = covariances(GaussianData(dimension=5, condition_number=8))[0]
    assert np.linalg.cond(by_number) == pytest.approx(8)
    assert np.trace(by_number) == pytest.approx(5)
    by_spectrum = covariances(GaussianData(dimension=3, spectrum=(4.0, 1.0, 2.0)))[0]
    np.testing.assert_allclose(np.linalg.eigvalsh(by_spectrum), [1, 2, 4])
    itself = ((2.0, 1.0), (1.0, 3.0))
    np.testing.assert_array_equal(covariances(GaussianData(dimension=2, covariance=itself))[0], itself)
    np.testing.assert_array_equal(covariances(GaussianData(dimension=2))[0], np.eye(2))


def test_components_share_a_spectrum_and_the_first_is_the_only_one_of_a_run_without_more() -> None:
    data = GaussianData(dimension=4, condition_number=8, covariance_seed=3)
    several = covariances(data.model_copy(update={"components": 3}))
    np.testing.assert_allclose(np.linalg.eigvalsh(several), np.linalg.eigvalsh(several[:1]).repeat(3, axis=0))
    np.testing.assert_array_equal(several[0], covariances(data)[0])
    assert np.abs(several[0] - several[1]).max() > 0.1


def test_the_tasks_covariance_has_other_eigenvectors_than_the_inputs() -> None:
    data = GaussianData(dimension=4, condition_number=8, task_condition_number=8)
    sigma, a = covariances(data)[0], task_covariance(data)
    assert np.linalg.cond(a) == pytest.approx(8)
    assert np.abs(sigma @ a - a @ sigma).max() > 0.1


def test_turning_by_90_degrees_exchanges_the_outer_eigenvectors_and_by_0_nothing() -> None:
    sigma = np.diag([1.0, 2.0, 5.0])
    np.testing.assert_allclose(turned(sigma, 0), sigma)
    np.testing.assert_allclose(turned(sigma, 90), np.diag([5.0, 2.0, 1.0]), atol=1e-12)
    half = turned(sigma, 45)
    assert half[0, 0] == pytest.approx(3)
    assert abs(half[0, 2]) == pytest.approx(2)


def test_another_condition_number_keeps_trace_and_eigenvectors() -> None:
    sigma = covariances(GaussianData(dimension=4, condition_number=8))[0]
    other = reconditioned(sigma, 2)
    assert np.trace(other) == pytest.approx(np.trace(sigma))
    assert np.linalg.cond(other) == pytest.approx(2)
    np.testing.assert_allclose(sigma @ other, other @ sigma, atol=1e-12)
    np.testing.assert_allclose(reconditioned(sigma, 8), sigma)


def test_a_seed_starts_from_the_same_weights_alone_and_in_company() -> None:
    company = initial_weights(SyntheticRun(seed=5, seeds=3))
    np.testing.assert_array_equal(company[1:2], initial_weights(SyntheticRun(seed=6)))
    assert company.std() == pytest.approx(0.7 / 10**0.5, rel=0.1)


FIRST_STORED: dict[str, Any] = {  # a run as it was stored before there was a laboratory
    "data": {"batch_size": 100, "condition_number": 1.0, "covariance_seed": 0, "dimension": 10}
    | {"kind": "gaussian", "noise": 0.1},
    "evaluation": {"episodes": 1000, "seed": 0},
    "experiment": "synthetic",
    "method": {"fast_lr": 0.2, "initial_scale": 0.7, "log_every": 200, "name": "linear", "slow_lr": 0.001}
    | {"steps": 100000, "stop_on_nan_after": 50, "validate_episodes": 25, "validate_every": 0},
    "seed": 2,
}


def test_runs_stored_before_these_options_existed_still_mean_the_same() -> None:
    parsed = config_from_json(json.dumps(FIRST_STORED))
    assert isinstance(parsed, SyntheticRun)
    method = parsed.method
    assert (parsed.seed, parsed.seeds, parsed.data.components, method.inner_steps) == (2, 1, 1, 1)
    assert (method.slow_batch, method.slow_gradient, method.fast_learner) == ("fresh", "held", "sgd")


def test_the_reference_results_can_still_be_read() -> None:
    stored = json.loads((RESULTS / "figure4.json").read_text(encoding="utf-8"))["runs"]
    assert [run["config"]["seeds"] for run in stored] == [32]
    for run in stored:
        assert isinstance(config_from_json(json.dumps(run["config"])), SyntheticRun)


def test_a_config_with_a_matrix_comes_back_from_json() -> None:
    data = GaussianData(dimension=2, covariance=((2, 1), (1, 3)), task_covariance=((1, 0), (0, 2)))
    config = SyntheticRun(data=data, evaluation=TaskEvaluation(angles=(30,)))
    assert config_from_json(config_to_json(config)) == config


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "length": ({"spectrum": (1.0, 2.0)}, "spectrum has 2 eigenvalues and dimension is 3"),
    "negative": ({"spectrum": (1.0, -2.0, 1.0)}, "spectrum has -2"),
    "shape": (
        {"covariance": ((1.0, 0.0), (0.0, 1.0))},
        "covariance has 2 rows of 2 numbers and dimension is 3",
    ),
    "symmetry": ({"covariance": ((1, 2, 0), (0, 1, 0), (0, 0, 1))}, "row 2, column 1 is 0"),
    "definite": ({"covariance": ((1, 2, 0), (2, 1, 0), (0, 0, 1))}, "smallest eigenvalue is -1"),
    "singular": ({"task_covariance": ((1, 1, 0), (1, 1, 0), (0, 0, 1))}, "task_covariance is not positive"),
    "two": ({"spectrum": (1, 2, 3), "condition_number": 4}, "set one of them"),
    "equal": ({"components": 2}, "all the same Sigma"),
    "one-matrix": ({"components": 2, "covariance": ((1, 0, 0), (0, 2, 0), (0, 0, 1))}, "covariance is one"),
}


@pytest.mark.parametrize("name", WRONG)
def test_covariances_that_cannot_be_are_refused_with_the_reason(name: str) -> None:
    options, reason = WRONG[name]
    with pytest.raises(ValidationError, match=reason):
        GaussianData(dimension=3, **options)


def test_values_within_brackets_are_one_value() -> None:
    assert values_of("0.1,fast,[1,2],[[1,2],[3,4]]") == [0.1, "fast", [1, 2], [[1, 2], [3, 4]]]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1 2\n3,4\n", [[1, 2], [3, 4]]),
        ("1\n2 # the smallest\n\n3", [1, 2, 3]),
        ("1, 2, 3e-1", [1, 2, 0.3]),
    ],
)
def test_files_hold_a_list_or_rows(tmp_path: Path, text: str, numbers: list[Any]) -> None:
    (tmp_path / "values.txt").write_text(text)
    assert numbers_in(tmp_path / "values.txt") == numbers
    (tmp_path / "values.json").write_text(json.dumps(numbers))
    assert numbers_in(tmp_path / "values.json") == numbers
    settings = parse_settings([f"spectrum=@{tmp_path}/values.txt"])
    assert settings == {"spectrum": [numbers]}


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.txt", None, "cannot read"),
        ("a.txt", "1 two", "'two' in line 1"),
        ("a.txt", "1 nan", "finite numbers only"),
        ("a.txt", "", "holds no numbers"),
        ("a.json", "[1, ", "is not JSON"),
        ("a.json", "{}", "holds no list"),
        ("a.json", "[1, true]", "finite numbers only"),
    ],
)
def test_files_without_numbers_are_refused(tmp_path: Path, name: str, text: str | None, reason: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=reason):
        numbers_in(tmp_path / name)


def test_the_numbers_and_not_the_path_are_in_the_config(tmp_path: Path) -> None:
    (tmp_path / "spectrum.txt").write_text("3 2 1")
    settings = parse_settings([f"spectrum=@{tmp_path}/spectrum.txt", "dimension=3"])
    (planned,) = plan(Sweep("synthetic", settings=settings, seeds_per_run=4))
    assert isinstance(planned.config, SyntheticRun)
    assert (planned.config.data.spectrum, planned.config.seeds) == ((3, 2, 1), 4)
    assert str(tmp_path) not in config_to_json(planned.config)


def test_rates_beyond_the_bound_are_told_before_the_run_and_the_papers_are_not() -> None:
    assert rate_warning(SyntheticRun()) is None
    (wild,) = plan(Sweep("synthetic", settings={"slow_lr": [3.0]}))
    assert isinstance(wild.config, SyntheticRun)
    line = rate_warning(wild.config)
    assert line is not None
    assert "slow_lr 3 with fast_lr 0.2 is expected to diverge: theory puts the bound near slow_lr 0." in line
