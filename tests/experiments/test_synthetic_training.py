"""The linear case study as a whole: seeds together, resuming, mixtures, shifts, the LSTM, divergence."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from experiments.config import GaussianData, LinearFastSlowConfig, SyntheticRun, TaskEvaluation
from experiments.errors import ConfigError, Diverged
from experiments.linear.fast import FastRecursion
from experiments.linear.theory import fixed_point, loss_ratio_floor
from experiments.linear.trainer import LinearFastSlow, check_memory

KINDS: dict[str, dict[str, Any]] = {
    "fast": {},
    "direct": {"sampler": "direct"},
    "lstm": {"fast_learner": "lstm", "inner_steps": 2, "hidden_size": 4},
    "single": {"components": 2},
    "known": {"components": 2, "slow_modules": "known"},
    "inferred": {"components": 2, "slow_modules": "inferred"},
}


def config(seed: int = 0, seeds: int = 1, **options: Any) -> SyntheticRun:
    parts = {}
    for model in (GaussianData, TaskEvaluation):
        parts[model] = {name: options.pop(name) for name in list(options) if name in model.model_fields}
    return SyntheticRun(
        seed=seed,
        seeds=seeds,
        data=GaussianData(**{"dimension": 4, "batch_size": 8, "condition_number": 3} | parts[GaussianData]),
        method=LinearFastSlowConfig(**{"slow_lr": 0.003} | options),
        evaluation=TaskEvaluation(**{"episodes": 40} | parts[TaskEvaluation]),
    )


def weights(learning: LinearFastSlow) -> np.ndarray:
    return learning.recursion.weights()


@pytest.mark.parametrize("name", KINDS)
def test_a_seed_learns_the_same_alone_and_in_company_bit_for_bit(name: str) -> None:
    together = LinearFastSlow(config(seed=3, seeds=3, **KINDS[name]))
    alone = [LinearFastSlow(config(seed=seed, **KINDS[name])) for seed in (3, 4, 5)]
    tasks = 20 if name == "lstm" else 70
    band = together.train(0, tasks)
    ratios = [float(each.train(0, tasks)["train/loss_ratio"]) for each in alone]
    np.testing.assert_array_equal(weights(together), np.concatenate([weights(each) for each in alone]))
    assert float(band["train/loss_ratio"]) == pytest.approx(sorted(ratios)[1])
    assert float(band["train/loss_ratio.low"]) < float(band["train/loss_ratio.high"])
    assert len({round(ratio, 9) for ratio in ratios}) == 3
    measured = together.evaluate("test", range(40))["loss_ratio"]
    own = [float(each.evaluate("test", range(40))["loss_ratio"].mean()) for each in alone]
    assert measured.tolist() == pytest.approx(own)


@pytest.mark.parametrize("name", KINDS)
def test_chunks_of_any_size_and_a_resumed_run_end_in_the_same_bits(name: str) -> None:
    whole, parts = (LinearFastSlow(config(seeds=2, **KINDS[name])) for _ in range(2))
    first, second, last = (7, 10, 20) if name == "lstm" else (37, 127, 150)
    whole.train(0, last)
    parts.train(0, first)
    state = deepcopy(parts.state_dict())
    parts.train(first, 5)  # leads nowhere
    resumed = LinearFastSlow(config(seeds=2, **KINDS[name]))
    resumed.load_state_dict(state)
    resumed.train(first, second - first)
    resumed.train(second, last - second)
    np.testing.assert_array_equal(weights(whole), weights(resumed))


def test_threads_change_no_bit() -> None:
    one, two = (FastRecursion(config(seeds=5), threads=threads) for threads in (1, 2))
    first, second = one.advance(0, 600), two.advance(0, 600)
    np.testing.assert_array_equal(one.weights(), two.weights())
    np.testing.assert_array_equal(first.after, second.after)


def test_training_ends_at_the_corrected_fixed_point_and_not_at_the_printed_one() -> None:
    learning = LinearFastSlow(
        SyntheticRun(
            seeds=4, method=LinearFastSlowConfig(slow_lr=0.02), evaluation=TaskEvaluation(episodes=1000)
        )
    )
    metrics = learning.train(0, 8000)
    results = learning.evaluate("test", range(1000))
    floor = loss_ratio_floor(np.eye(10), np.eye(10), 0.1, 100, 0.2)
    assert float(results["loss_ratio"].mean()) == pytest.approx(floor, rel=0.05)
    assert results["fixed_point_error"].max() < 0.02
    assert results["printed_error"].min() > 100
    assert float(metrics["train/gradient_cosine"]) > 0.9
    assert 0.7 < float(metrics["train/eigenvalue_low"]) < float(metrics["train/eigenvalue_high"]) < 1.3
    assert results["one_step_error"].max() < 0.25


def mixture(slow_modules: str, steps: int) -> dict[str, float]:
    """Return what a run on three components measures on fresh tasks."""
    learning = LinearFastSlow(
        config(
            components=3,
            condition_number=10,
            batch_size=60,
            slow_lr=0.02,
            slow_modules=slow_modules,
            dimension=3,
        )
    )
    learning.train(0, steps)
    return {name: float(value.mean()) for name, value in learning.evaluate("test", range(600)).items()}


def test_a_slow_module_for_each_component_beats_a_single_one() -> None:
    single, known = mixture("single", 150_000), mixture("known", 150_000)
    assert known["loss_ratio"] < 0.85 * single["loss_ratio"]
    assert known["fixed_point_error"] < 0.05
    assert single["fixed_point_error"] > 0.3


def test_inferring_the_component_from_the_support_costs_little() -> None:
    known, inferred = mixture("known", 1500), mixture("inferred", 1500)
    assert inferred["inference_accuracy"] > 0.95
    assert inferred["loss_ratio"] < 1.15 * known["loss_ratio"]


def test_tasks_whose_sigma_is_turned_are_learned_worse_the_more_it_is() -> None:
    learning = LinearFastSlow(
        config(
            condition_number=30, batch_size=50, slow_lr=0.02, angles=(0, 30, 90), condition_numbers=(1, 30)
        )
    )
    learning.train(0, 6000)
    found = {
        name: value for name, value in learning.evaluate("test", range(400)).items() if "loss_ratio" in name
    }
    torch.testing.assert_close(found["loss_ratio_angle_0"], found["loss_ratio"])
    torch.testing.assert_close(found["loss_ratio_condition_30"], found["loss_ratio"])
    means = {name: float(value.mean()) for name, value in found.items()}
    assert means["loss_ratio"] < means["loss_ratio_angle_30"] < means["loss_ratio_angle_90"]


def test_an_untrained_lstm_is_plain_sgd_and_training_it_changes_it() -> None:
    learned = LinearFastSlow(config(**KINDS["lstm"]))
    plain = LinearFastSlow(config(inner_steps=2))
    ratio = {
        name: each.evaluate("test", range(40))["loss_ratio"]
        for name, each in (("g", learned), ("sgd", plain))
    }
    torch.testing.assert_close(ratio["g"], ratio["sgd"])
    learned.train(0, 30)
    flat: list[Tensor] = list(learned.state_dict()["seeds"][0]["learner"].values())
    assert max(float(value.abs().max()) for value in flat[-2:]) > 0  # its last layer started at zero


def test_a_run_that_diverges_names_the_task_and_the_rates() -> None:
    learning = LinearFastSlow(config(seeds=2, slow_lr=50.0))
    with pytest.raises(
        Diverged, match=r"^diverged at task \d+ \(seed \d\): slow_lr 50 with fast_lr 0.2 .* lower one"
    ):
        learning.train(0, 200)


def test_a_run_told_to_go_on_reports_what_is_no_number() -> None:
    learning = LinearFastSlow(config(slow_lr=50.0, stop_on_nan_after=0))
    assert np.isnan(float(learning.train(0, 400)["train/loss_ratio"]))
    assert learning.evaluate("test", range(5))["loss_ratio"].isnan().all()


def test_a_run_that_does_not_fit_the_free_memory_is_refused() -> None:
    large = config(dimension=2000, batch_size=10)
    with pytest.raises(
        ConfigError, match=r"needs about 0.\d GiB of memory and 0.1 GiB are free: lower dimension"
    ):
        check_memory(large, 100 * 2**20)
    check_memory(large, 2**30)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_one_dimension_is_enough(k: int) -> None:
    learning = LinearFastSlow(config(dimension=1, batch_size=k, condition_number=1, slow_lr=0.01, noise=0.0))
    metrics = learning.train(0, 300)
    assert all(np.isfinite(float(value)) for value in metrics.values())
    goal = fixed_point(np.eye(1), np.eye(1), 0.0, k, 0.2)
    assert float(metrics["train/fixed_point_distance"]) == pytest.approx(
        float((weights(learning)[0, 0] ** 2 - goal).item() ** 2)
    )
