"""How many numbers a method learns: by hand, and as its optimiser has it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.cost import learned_parameters
from experiments.method import Resources, build
from experiments.sweeps import Sweep, plan

CONV4 = 9 * 4 + 3 * 4 + 3 * (9 * 4 * 4 + 3 * 4)  # of 4 filters: kernels, biases, scales and shifts
NO_BIAS = CONV4 - 4 * 4


def parameters(method: str, data: Path, **options: Any) -> int:
    settings = {"alphabets": 10, "characters": 12, "n_way": 5} | options
    asked = {name: [value] for name, value in settings.items()}
    (planned,) = plan(Sweep("glyphs", (method,), "paper", settings=asked))
    return learned_parameters(build(planned.config, Resources(data, torch.device("cpu"))))


@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        ("pixel-knn", {}, 0),
        ("protonet", {"filters": 4}, CONV4),
        ("siamese", {"filters": 4}, CONV4 + 4 + 1),
        ("maml", {"filters": 4}, NO_BIAS + 5 * 4 + 5),
        ("maml", {"filters": 4, "learned_rates": True}, NO_BIAS + 5 * 4 + 5 + 6 * 5),
        ("pretrain", {"filters": 4}, CONV4 + 1),  # and not its average
        (
            "fastslow",
            {"pretrain": None, "fast_learner": "sgd", "initial": "zeros", "averaging": 0.9},
            111_936,
        ),
    ],
)
def test_the_numbers_a_method_learns_are_counted_once(
    glyphs_data_dir: Path, method: str, options: dict[str, Any], expected: int
) -> None:
    assert parameters(method, glyphs_data_dir, **options) == expected


def test_a_start_that_is_drawn_for_each_task_is_not_learned(glyphs_data_dir: Path) -> None:
    drawn, learned = (
        parameters("coordinate-lstm", glyphs_data_dir, filters=4, start=start)
        for start in ("random", "learned")
    )
    assert learned - drawn == NO_BIAS + 5 * 4 + 5
