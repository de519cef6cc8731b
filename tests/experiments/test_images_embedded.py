"""How many images training embeds, as the config says beforehand and as the networks really got."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from experiments.budgets import images_embedded
from experiments.config import FastSlowConfig, ImageRun, MannConfig, MetaNetConfig, config_hash, prerequisites
from fsrun.testing import Laboratory
from tests.experiments.test_contract import TRAINED, laboratory

__all__ = ["laboratory"]

SHARED = {"method.train_images": 3, "method.train_n_way": 6}
METHODS = [name for name in TRAINED if name != "linear"]


class FirstLayers(TorchDispatchMode):
    """Counts the grey 28x28 images that convolutions, or the patches for them, are made of."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.images = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        first = args[0] if args and isinstance(args[0], Tensor) else None
        if func.overloadpacket in (torch.ops.aten.convolution, torch.ops.aten.im2col):
            assert first is not None
            if first.shape[1:] == (1, 28, 28):
                self.images += len(first)
        return func(*args, **(kwargs or {}))


def embedded(laboratory: Laboratory, name: str, steps: int, options: dict[str, Any]) -> tuple[int, float]:
    """Return how many images the first layers got in some steps, and what the config says of them."""
    config = laboratory.config(name, options=options)
    assert isinstance(config, ImageRun)
    method = laboratory.build(config)
    with FirstLayers() as counted:
        method.train(0, steps)
    asked, got = config.evaluation, counted.images
    if isinstance(config.method, MetaNetConfig):
        # Fast weights of the embedding are a second set of kernels on the same images: not another pass.
        got -= steps * asked.n_way * (asked.k_shot + 2 * config.method.queries(asked.k_shot))
    return got, config.method.images_embedded(asked.n_way, asked.k_shot, steps)


@pytest.mark.parametrize("name", METHODS)
def test_the_config_knows_how_many_images_the_networks_get(laboratory: Laboratory, name: str) -> None:
    options = {"method.encoder": "conv4"} if name in ("mann", "rare-events") else {}
    got, said = embedded(laboratory, name, 2, options)
    assert got == said > 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("protonet", SHARED),
        ("matching", SHARED),
        ("siamese", SHARED),
        ("rare-events", {**SHARED, "method.encoder": "conv4"}),
        ("protonet", {"evaluation.k_shot": 2}),
        ("mann", {"method.encoder": "conv4", "method.training": "sequences", "method.curriculum": 0}),
        ("mann", {**SHARED, "method.train_n_query": 2, "method.encoder": "conv4", "method.curriculum": 4}),
        ("snail", {**SHARED, "method.train_images": 6}),
        ("metanet", {"method.train_images": 4}),
        ("maml", {"method.multi_step": 1, "method.batch_norm": "support", "evaluation.k_shot": 2}),
        ("meta-lstm", {"method.batch_norm": "queries"}),
        ("coordinate-lstm", {"method.judged": "last-step"}),
        ("fastslow", {"method.inner_batch": "fresh", "method.batch_per_class": 2}),
        ("pretrain", {"method.objective": "softmax"}),
        ("snail", {"method.train_queries": "one", "evaluation.k_shot": 2}),
    ],
)
def test_so_it_does_whatever_the_options(laboratory: Laboratory, name: str, options: dict[str, Any]) -> None:
    got, said = embedded(laboratory, name, 2, options)
    assert got == said > 0


def test_steps_of_the_curriculum_embed_fewer_images() -> None:
    method = MannConfig(training="episodes", curriculum=10, episodes_per_step=2)
    each = [2 * 2 * method.ways_at(20, step) for step in range(25)]
    assert [method.images_embedded(20, 1, steps) for steps in range(26)] == [
        sum(each[:steps]) for steps in range(26)
    ]


def test_a_run_counts_what_it_starts_from_and_a_measuring_run_what_was_trained_for_it(
    laboratory: Laboratory,
) -> None:
    config = laboratory.config("fastslow")
    assert isinstance(config, ImageRun)
    (pretraining,) = prerequisites(config)
    assert isinstance(config.method, FastSlowConfig)
    alone = config.method.images_embedded(5, 1, config.method.steps)
    assert images_embedded(config) == alone + images_embedded(pretraining)
    assert images_embedded(config, 0) == images_embedded(pretraining) > 0
    measuring = config.model_copy(
        update={
            "trained_by": config.evaluation,
            "evaluation": config.evaluation.model_copy(update={"k_shot": 5}),
        }
    )
    assert config_hash(measuring) != config_hash(config)
    assert images_embedded(measuring) == images_embedded(config)


def test_nothing_is_embedded_where_nothing_is_trained(laboratory: Laboratory) -> None:
    assert images_embedded(laboratory.config("pixel-knn")) == 0
