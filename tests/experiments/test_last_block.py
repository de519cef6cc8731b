"""The last block of a backbone as theta': cut off, its inputs kept, and learned; else the same network."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from experiments.datasets import refuse_inert
from experiments.errors import ConfigError, DataError, InertOption
from experiments.features.adapter import LENGTH, build_backbone
from experiments.features.architectures import conv4_name, untrained
from experiments.features.backbone_weights import digest_of
from experiments.features.backbones import Backbone, cut_backbone
from experiments.features.cutting import cut_before
from experiments.features.embedding import Embedder, embed_images
from experiments.features.index import TAIL, read_feature_index
from experiments.features.preprocessing import Preprocessing
from experiments.features.seen import Seen
from experiments.features.table import FeatureTable, open_feature_table
from experiments.method import Resources, build
from experiments.models.conv4 import Conv4
from experiments.rng import generator
from experiments.sweeps import Sweep, plan
from tests.experiments.imagenet_cases import embedding_of, write_classes

FILTERS, SIZE = 4, 32
SPLITS = {f"class-{number}": "meta" if number < 6 else "test" for number in range(12)}
CPU = torch.device("cpu")


class Branching(nn.Module):
    """What its last part sees is not all that comes before."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.last = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Go two ways."""
        two: Tensor = self.last(self.one(images)) + self.other(images)
        return two


def small_backbone() -> Backbone:
    network = Conv4(FILTERS, generator("weights"), (3, SIZE, SIZE))
    with torch.no_grad():
        for _ in range(3):  # statistics of its own
            network.train()(torch.rand(8, 3, SIZE, SIZE, generator=generator("images")))
    network.eval().requires_grad_(False)
    shown = Preprocessing(SIZE, SIZE, squash=True)
    seen, digest = Seen(frozenset(), "nothing"), digest_of(network)
    architecture = conv4_name(FILTERS, SIZE)
    return Backbone("small", network, network.features, shown, seen, "the tests", digest, architecture)


def kept_before(part: str, folder: Path) -> Path:
    """Keep what a part sees of twelve classes, and return the data folder."""
    root = write_classes(folder / "in", dict.fromkeys(SPLITS, 6))
    backbone = cut_backbone(small_backbone(), part)
    embedding = embedding_of(root, folder / "data", SPLITS, backbone)
    embed_images(embedding, Embedder(backbone, CPU, batch=16, threads=1))
    return folder / "data"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Features of twelve classes: what the last block sees."""
    return kept_before("blocks.3", tmp_path)


def opened(data_dir: Path) -> FeatureTable:
    index = read_feature_index(data_dir, "small")
    return open_feature_table(data_dir / "features" / "small", index, 6)


@pytest.mark.parametrize(
    ("architecture", "part"),
    [
        ("conv4:4-32", "blocks.3"),
        ("conv4:4-32", "all"),
        ("torchvision:resnet18", "layer4.1"),
        ("timm:resnet10t", "layer4"),
        ("efficientnet-lite0", "_conv_head"),
    ],
)
def test_the_halves_of_a_network_one_after_the_other_are_the_network(architecture: str, part: str) -> None:
    for package in ("timm", "efficientnet_lite_pytorch"):
        pytest.importorskip(package)
    network = untrained(architecture).eval()
    before, after = cut_before(network, part, "it")
    images = torch.rand(2, 3, SIZE, SIZE, generator=generator("images"))
    with torch.no_grad():
        assert torch.equal(after(before(images)), network(images))
    assert 0 < len(list(after.parameters())) <= len(list(network.parameters()))
    assert (part == "all") == (not list(before.parameters()))


@pytest.mark.parametrize(
    ("network", "part", "said"),
    [
        (Conv4(4, generator("weights")), "blocks.4", "it has no part 'blocks.4': use one such as blocks.3, "),
        (Branching(), "last", "it before last is more than one tensor: use another part"),
        (nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), "2", "it has no part '2': use one such as 1, 0"),
    ],
)
def test_a_network_that_cannot_be_cut_there_is_told(network: nn.Module, part: str, said: str) -> None:
    with pytest.raises(ConfigError) as told:
        cut_before(network, part, "it")
    assert str(told.value).startswith(said)


def test_what_the_last_block_sees_is_kept_and_it_goes_on_as_the_backbone_does(data_dir: Path) -> None:
    table = opened(data_dir)
    assert table.image_shape == (FILTERS, SIZE // 8, SIZE // 8)
    kept = table.pixels("test", torch.arange(4))
    block = build_backbone(table, 64, generator("any")).eval()
    whole = small_backbone().module
    with torch.no_grad():
        features = block(kept)
        expected = whole.blocks[3](kept).flatten(1)  # type: ignore[operator, index]
    assert torch.allclose(features, LENGTH * nn.functional.normalize(expected, dim=-1), atol=1e-5)
    assert not torch.allclose(expected[0], expected[1])


def test_where_all_is_kept_images_become_what_the_backbone_makes_of_them(
    tmp_path: Path,
) -> None:
    table = opened(kept_before("all", tmp_path))
    assert table.image_shape == (3, SIZE, SIZE)
    kept = table.pixels("test", torch.arange(4))
    network = build_backbone(table, 64, generator("any")).eval()
    with torch.no_grad():
        expected = LENGTH * nn.functional.normalize(small_backbone().module(kept), dim=-1)
        assert torch.allclose(network(kept), expected, atol=1e-5)


@pytest.mark.parametrize(("part", "first"), [("blocks.3", 3), ("all", 0)])
def test_weights_learn_in_fast_slow_training_on_what_is_kept(part: str, first: int, tmp_path: Path) -> None:
    data_dir = kept_before(part, tmp_path)
    asked = {"data.features": "small", "train_images": 6, "train_n_way": 5, "steps": 3}
    settings: dict[str, list[Any]] = {name: [value] for name, value in asked.items()} | {
        "validate_every": [0]
    }
    (planned, *_) = plan(Sweep("imagenet", ("fastslow",), "quick", settings=settings))
    learner = build(planned.config, Resources(data_dir, CPU))
    before = {name: each.clone() for name, each in learner.state_dict()["network"].items()}
    learner.train(0, 3)
    after = learner.state_dict()["network"]
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    for block in range(first, 4):
        assert {f"block.blocks.{block}.0.weight", f"block.blocks.{block}.1.weight"} <= changed
    assert not any("running" in name for name in changed)  # it was pre-trained, and is normalised by that
    assert all(before[name].shape == after[name].shape for name in before)
    assert len(learner.evaluate("test", range(4))["accuracy"]) == 4


def test_damaged_weights_of_the_last_block_are_told(data_dir: Path) -> None:
    path = data_dir / "features" / "small" / TAIL
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"tail\.pt is not weights that can be read safely"):
        build_backbone(opened(data_dir), 64, generator("any"))


def test_the_same_name_is_not_two_kinds_of_features(data_dir: Path, tmp_path: Path) -> None:
    whole = embedding_of(tmp_path / "in", data_dir, SPLITS, small_backbone())
    with pytest.raises(DataError, match=r"embedded otherwise .*tail differ"):
        whole.begin()


def test_batch_statistics_are_refused_where_no_layer_is_kept_that_normalises(
    data_dir: Path, tmp_path: Path
) -> None:
    plain, backbone = tmp_path / "plain", small_backbone()
    embedding = embedding_of(tmp_path / "in", plain, SPLITS, backbone)
    embed_images(embedding, Embedder(backbone, CPU, batch=16, threads=1))
    for option, value in (("evaluation.batch_norm", "support"), ("method.batch_norm", "batch")):
        settings = {"data.features": ["small"], option: [value]}
        configs = [run.config for run in plan(Sweep("imagenet", ("fastslow",), "paper", settings=settings))]
        refuse_inert(configs, data_dir)
        with pytest.raises(InertOption, match=rf"batch_norm={value} changes nothing on features 'small'"):
            refuse_inert(configs, plain)
    usual = plan(Sweep("imagenet", ("fastslow",), "paper", settings={"data.features": ["small"]}))
    refuse_inert([run.config for run in usual], plain)
