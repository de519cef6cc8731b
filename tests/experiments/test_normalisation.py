"""Batch normalisation in a test: by running statistics, by the support's, by all queries' together."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, max_pool2d, relu

from experiments.config import ImageRun
from experiments.errors import ConfigError
from experiments.methods.fastslow import FastSlow, OwnStatistics
from experiments.models.conv4 import Conv4
from experiments.rng import generator
from experiments.sweeps import Sweep, plan
from fsrun.testing import Laboratory, flat, same


def images(name: str, count: int) -> Tensor:
    return torch.rand(count, 1, 28, 28, generator=generator(name))


def backbone() -> Conv4:
    """A network whose running statistics are of other images."""
    network = Conv4(5, generator("weights"))
    network.train()(images("training", 40) * 3)
    return network.eval()


def by_batch(network: Conv4, batch: Tensor) -> Tensor:
    """Return the features of a batch by its own statistics, layer by layer."""
    for block in network.blocks:
        assert isinstance(block, nn.Sequential)
        conv, norm = block[0], block[1]
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        batch = conv2d(batch, conv.weight, conv.bias, padding=1)
        batch = relu(max_pool2d(batch_norm(batch, None, None, norm.weight, norm.bias, training=True), 2))
    return batch.flatten(1)


@torch.no_grad()
def test_the_support_is_normalised_by_its_own_statistics_either_way() -> None:
    network, support, query = backbone(), images("support", 6), images("query", 9)
    for source in ("support", "queries"):
        found, _ = OwnStatistics(network, source)(support, query)
        torch.testing.assert_close(found, by_batch(network, support))


@torch.no_grad()
def test_queries_are_normalised_together_only_where_that_is_asked_for() -> None:
    network, support, query = backbone(), images("support", 6), images("query", 9)
    together, apart = (OwnStatistics(network, source) for source in ("queries", "support"))
    torch.testing.assert_close(together(support, query)[1], by_batch(network, query))
    every = apart(support, query)[1]
    alone = torch.cat([apart(support, one)[1] for one in query.split(1)])
    torch.testing.assert_close(every, alone)  # no query knows of another
    assert not torch.allclose(together(support, query)[1], every)
    assert not torch.allclose(every, network(query))


@torch.no_grad()
def test_an_image_of_the_support_has_the_same_features_as_a_query() -> None:
    network, support = backbone(), images("support", 6)
    one, other = OwnStatistics(network, "support")(support, support[2:4])
    torch.testing.assert_close(one[2:4], other)


def test_the_backbone_keeps_its_own_statistics() -> None:
    network = backbone()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    OwnStatistics(network, "queries")(images("support", 6), images("query", 9))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.fixture(scope="module")
def laboratory(glyphs_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(glyphs_data_dir, tmp_path_factory.mktemp("normalisation"))


def measured(laboratory: Laboratory, how: str | None, **options: Any) -> dict[str, Tensor]:
    chosen = {"evaluation.batch_norm": how, "method.views": 2} | options
    method = laboratory.method("fastslow", options=chosen)
    assert isinstance(method, FastSlow)
    before = flat(method.state_dict())
    accuracy = method.evaluate("test", range(8))
    assert same(flat(method.state_dict()), before)
    assert same(method.evaluate("test", range(3, 8)), {"accuracy": accuracy["accuracy"][3:]})
    return accuracy


def test_fast_slow_is_measured_with_each_of_them(laboratory: Laboratory) -> None:
    usual, running, support, queries = (
        measured(laboratory, how) for how in (None, "running", "support", "queries")
    )
    assert same(usual, running)
    for one, other in ((running, support), (running, queries), (support, queries)):
        assert not same(one, other)


def test_a_method_with_a_way_of_its_own_refuses_another() -> None:
    with pytest.raises(ConfigError, match=r"maml cannot be measured with evaluation\.batch_norm running"):
        plan(Sweep("omniglot", ("maml",), "paper", settings={"evaluation.batch_norm": ["running"]}))


def test_one_model_is_trained_and_measured_with_all_of_them() -> None:
    ways = ["running", "support", "queries"]
    configs = [
        each.config
        for each in plan(Sweep("omniglot", ("fastslow",), "paper", settings={"evaluation.batch_norm": ways}))
    ]
    assert len({each.trained_by for each in configs if isinstance(each, ImageRun)}) == 1
    recorded = [each.evaluation.batch_norm for each in configs if isinstance(each, ImageRun)]
    assert recorded == ways
