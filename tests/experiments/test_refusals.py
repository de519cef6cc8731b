"""Options that contradict each other are refused when a run is queued, saying what to change."""

from typing import Any

import pytest

from experiments.errors import ConfigError
from experiments.presets import PRESETS
from experiments.sweeps import Sweep, plan
from experiments.table2 import plan_table2

CONTRADICTIONS: dict[str, tuple[str, dict[str, Any], str]] = {
    "hallucinating-without-base-features": ("shrinking", {"hallucinate": 5}, "generator_steps=2000"),
    "a-generator-nothing-uses": ("shrinking", {"generator_steps": 100}, "hallucinate=5"),
    "a-generator-and-no-features": ("shrinking", {"hallucinate": 5, "generator_steps": 6500}, "raise steps"),
    "hallucinating-fewer-than-there-are": (
        "shrinking", {"hallucinate": 5, "generator_steps": 100, "k_shot": 5}, "hallucinate 5.*more than 5"
    ),
    "more-heads-than-slots": ("mann", {"heads": 9, "slots": 8}, "heads 9 is more than slots 8: use 8"),
    "curriculum-without-end": ("mann", {"steps": 100, "curriculum": 200}, "curriculum 200.*use 100 or fewer"),
    "memory-too-small": ("rare-events", {"slots": 100}, "slots 100 cannot hold.*use 320 or more"),
    "neighbours-without-slots": ("rare-events", {"slots": 320, "neighbours": 400}, "neighbours 400.*fewer"),
    "more-chunks-than-images": ("metanet", {"chunks": 50}, "chunks 50 is more than the 20.*use 20 or fewer"),
    "shots-it-was-not-trained-for": ("snail", {"k_shot": 6}, "train_shots 1-5.*train_shots=k_shot"),
    "a-task-without-a-query": ("metanet", {"train_images": 5, "k_shot": 5}, "train_images 5.*use 6 or more"),
    "more-classes-than-labels": (
        "snail", {"train_images": 6, "label_slots": 20, "n_way": 25}, "label_slots 20.*use 25 or more"
    ),
    "no-image-left-to-ask": ("snail", {"train_images": 5}, "train_images 5 is too few.*use 6 or more"),
    "batches-without-a-sequence": (
        "mann", {"train_images": 3, "n_way": 5}, "train_images 3 is too few.*use 10 or more"
    ),
    "batches-of-few-classes": (
        "mann", {"train_images": 10, "train_n_way": 15}, "train_n_way 15 is too few.*use 20 or more"
    ),
    "rates-of-no-step": (
        "maml", {"learned_rates": True, "test_steps": 9}, "learned_rates.*lower test_steps to 5"
    ),
    "all-of-one-step": ("maml", {"multi_step": 9, "inner_steps": 1}, "multi_step.*raise inner_steps"),
    "unroll-beyond-the-end": ("coordinate-lstm", {"unroll": 20}, "unroll 20 is more than inner_steps 10"),
    "turned-tests-of-upright-classes": (
        "fastslow", {"rotations": False}, "quarter_turns 4.*set quarter_turns=1"
    ),
    "mirror-images-of-another-class": (
        "fastslow", {"mirrored_views": True}, "mirrored_views.*set mirrored=false"
    ),
    "unroll-unjudged": ("coordinate-lstm", {"unroll": 5, "judged": "last-step"}, "every-step"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_refused_in_one_line_that_says_what_to_change(name: str) -> None:
    method, options, says = CONTRADICTIONS[name]
    settings = {option: [value] for option, value in options.items()}
    with pytest.raises(ConfigError, match=says) as refused:
        plan(Sweep("omniglot", (method,), "paper", settings=settings))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 160


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_contradicts_itself(preset: str) -> None:
    for method in PRESETS[preset]:
        assert plan(Sweep("synthetic" if method == "linear" else "omniglot", (method,), preset))
    assert plan_table2(preset=preset)
