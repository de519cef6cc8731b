"""Each option that changes how a method learns or answers: it does, and a stop in between changes nothing."""

from pathlib import Path
from typing import Any

import pytest

from experiments.checkpoint import load_checkpoint, save_checkpoint
from fsrun.testing import Laboratory, flat, same

# A batch whose images are compared in every way that a method knows.
SHARED: dict[str, Any] = {
    "method.train_images": 3,
    "method.train_n_way": 8,
    "method.schedule": "one-cycle",
    "method.averaging": 0.9,
    "method.mirrored": True,
    "method.jitter.degrees": 5,
}

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "matching-fce": ("matching", {"method.fce": True, "evaluation.k_shot": 2}),
    "matching-scale": ("matching", {"method.scale": 1.0}),
    "matching-shared": ("matching", SHARED | {"method.learned_scale": True, "method.weight_decay": 0.01}),
    "protonet-shared": ("protonet", SHARED | {"method.learned_scale": True, "method.weight_decay": 0.01}),
    "siamese-shared": ("siamese", SHARED),
    "rare-events-shared": ("rare-events", SHARED | {"method.encoder": "conv4", "method.keep": 0.5}),
    "snail-shared": ("snail", SHARED | {"method.train_images": 6}),
    "snail-slots": (
        "snail",
        {
            **SHARED,
            **{"method.train_images": 6, "method.train_shots": "1-or-5", "method.label_slots": 8},
            **{"method.train_queries": "one", "method.embedding": "unit", "evaluation.k_shot": 2},
        },
    ),
    "metanet-shared": (
        "metanet",
        {"method.train_images": 4, "method.mirrored": True, "method.averaging": 0.9},
    ),
    "snail-averaged": ("snail", {"method.averaging": 0.9}),
    "mann-shared": ("mann", SHARED | {"method.train_images": 4}),
    "mann-sequences-shared": (
        "mann",
        SHARED | {"method.training": "sequences", "method.instances": 3, "method.curriculum": 0},
    ),
    "cnn-linear": ("cnn", {"method.test": "linear"}),
    "cnn-fine-tune": ("cnn", {"method.test": "fine-tune", "method.fit_steps": 2, "method.fit_lr": 0.5}),
    "cnn-cosine": ("cnn", {"method.distance": "cosine"}),
    "cnn-averaged": ("cnn", {"method.schedule": "one-cycle", "method.averaging": 0.9}),
    "siamese-easy": ("siamese", {"method.hard_negatives": 0.0}),
    "siamese-decay": ("siamese", {"method.weight_decay": 0.1}),
    "shrinking-l2": ("shrinking", {"method.penalty": "l2"}),
    "shrinking-batch": ("shrinking", {"method.penalty": "batch-sgm", "method.penalty_weight": 0.1}),
    "shrinking-hallucinate": (
        "shrinking",
        {
            **{"method.hallucinate": 3, "method.steps": 6, "method.generator_steps": 2},
            **{"evaluation.k_shot": 2, "method.averaging": 0.9},
        },
    ),
    "maml-first-order": ("maml", {"method.first_order": True}),
    "maml-learned": ("maml", {"method.learned_rates": True, "method.multi_step": 100}),
    "maml-support": ("maml", {"method.batch_norm": "support", "method.down": "pool"}),
    "maml-zeros": ("maml", {"method.head_start": "zeros", "method.first_order_steps": 5}),
    "maml-head": ("maml", {"method.adapts": "head", "method.train_n_way": 4, "method.clip": 1.0}),
    "maml-shared": (
        "maml",
        SHARED | {"method.adapts": "head", "method.learned_rates": True, "method.precision": "bf16"},
    ),
    "maml-more-steps": ("maml", {"method.test_steps": 9}),
    "meta-lstm-queries": ("meta-lstm", {"method.batch_norm": "queries", "method.down": "stride"}),
}


@pytest.fixture(scope="module")
def laboratory(glyphs_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(glyphs_data_dir, tmp_path_factory.mktemp("variants"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_differs_from_the_default_and_goes_on_exactly_where_it_stopped(
    laboratory: Laboratory, variant: str, tmp_path: Path
) -> None:
    name, options = VARIANTS[variant]
    through = laboratory.method(name, options=options)
    for step in range(4):  # one by one: no chunk reaches over the start of another phase
        through.train(step, 1)
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, 4, through.state_dict())
    expected = through.train(4, 2)
    before = flat(through.state_dict())
    measured = through.evaluate("test", range(10))
    assert same(before, flat(through.state_dict()))

    resumed = laboratory.method(name, options=options)
    resumed.load_state_dict(load_checkpoint(path)[1])
    assert same(resumed.train(4, 2), expected)
    assert same(resumed.evaluate("test", range(10)), measured)

    sizes = {option: value for option, value in options.items() if not option.startswith("method.")}
    default = laboratory.method(name, options=sizes)
    default.train(0, 6)
    learned_otherwise = not same(flat(default.state_dict()), before)
    assert learned_otherwise or not same(default.evaluate("test", range(10)), measured)
