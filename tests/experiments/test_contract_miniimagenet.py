"""What every method promises on photographs too; a new one is held to it by being listed for them."""

from pathlib import Path

import pytest
import torch

from experiments import evaluate
from experiments.config import MiniImageNetData, config_hash, prerequisites
from experiments.data.pairs import kin
from experiments.datasets import open_table
from experiments.evaluate import Recogniser
from experiments.presets import PRESETS
from experiments.registry import METHODS, methods_of
from experiments.sweeps import Sweep, plan
from fsrun.testing import Laboratory, flat, same

NAMES = methods_of("miniimagenet")
TRAINED = [name for name in NAMES if METHODS[name].config().model_dump()["steps"]]

ROWS = (
    "pixel-knn",
    "cnn",
    "siamese",
    "shrinking",
    "matching",
    "maml",
    "protonet",
    "metanet",
    "snail",
    "fastslow",
)


@pytest.fixture(scope="module")
def laboratory(miniimagenet_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(miniimagenet_data_dir, tmp_path_factory.mktemp("contract"), "miniimagenet")


def test_every_row_of_table_2_with_a_number_here_can_be_run() -> None:
    assert {*ROWS, "meta-lstm", "pretrain"} <= set(NAMES)
    assert not {"mann", "rare-events"} & set(NAMES)  # no number anywhere


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("name", NAMES)
def test_every_preset_asks_for_the_standard_episodes_and_changes_no_image(name: str, preset: str) -> None:
    (planned,) = plan(Sweep("miniimagenet", (name,), preset))
    config = planned.config
    assert isinstance(config.data, MiniImageNetData)
    asked = config.evaluation
    assert (asked.n_way, asked.k_shot, asked.n_query, asked.episodes) == (5, 1, 15, 600)
    assert asked.split == ("val" if name == "pretrain" and config.data.holdout else "test")
    assert config.data.holdout or preset == "fair"
    learns_from_base = bool({"base", "meta"} & set(config.method.splits))
    assert config.data.protocol == ("R1" if learns_from_base else "R-L")
    for method in (config.method, config.method.starts_from):
        if preset == "paper" and (jitter := getattr(method, "jitter", None)) is not None:
            assert not any(jitter.model_dump().values()), f"{name} changes its training images"
            assert not getattr(method, "mirrored", False)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_methods_that_start_from_a_pre_training_share_it(preset: str) -> None:
    needed = [
        config_hash(need)
        for name in ("fastslow", "cnn-nn")
        for need in prerequisites(plan(Sweep("miniimagenet", (name,), preset))[0].config)
    ]
    assert len(needed) == 2
    assert len({*needed, config_hash(plan(Sweep("miniimagenet", ("pretrain",), preset))[0].config)}) == 1


@pytest.mark.parametrize("name", TRAINED)
def test_a_step_is_the_same_again_and_evaluation_leaves_no_trace(laboratory: Laboratory, name: str) -> None:
    method, again = laboratory.method(name), laboratory.method(name)
    before = flat(method.state_dict())
    metrics = method.train(0, 2)
    assert not same(before, flat(method.state_dict()))
    assert all(bool(values.isfinite().all()) for values in metrics.values())
    measured = method.evaluate("test", range(2))
    assert same(metrics, again.train(0, 2))
    assert same(flat(method.state_dict()), flat(again.state_dict()))
    assert same(measured, again.evaluate("test", range(2)))


@pytest.mark.parametrize("name", NAMES)
def test_images_of_a_task_are_answered_whatever_is_asked_beside_them(
    laboratory: Laboratory, name: str
) -> None:
    method = laboratory.method(name)
    assert isinstance(method, Recogniser)
    images = torch.rand(8, 3, 84, 84, generator=torch.Generator().manual_seed(0))
    features = method.embed(images)
    labels = torch.arange(5)
    logits = method.logits(features[None, :5], labels, features[None, 5:]).detach()
    assert logits.shape == (1, 3, 5)
    assert bool(logits.isfinite().all())
    if name != "maml":  # as its source has it, a task's queries share their statistics
        alone = method.logits(features[None, :5], labels, features[None, 5:6]).detach()
        torch.testing.assert_close(alone, logits[:, :1], rtol=1e-3, atol=1e-4)


def test_pixels_too_large_to_be_kept_are_read_again_and_measured_alike(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = laboratory.method("pixel-knn")
    kept = method.evaluate("test", range(5))
    monkeypatch.setattr(evaluate, "KEPT_BYTES", 0)
    assert same(method.evaluate("test", range(5)), kept)


def test_classes_are_alike_to_each_other_for_a_siamese_network() -> None:
    data = MiniImageNetData()
    assert kin(open_table(data, None), "train").tolist() == [0] * 64


@pytest.mark.parametrize(
    ("name", "option"), [("protonet", "method.filters"), ("cnn-nn", "method.pretrain.filters")]
)
def test_four_blocks_make_25_numbers_of_each_filter(laboratory: Laboratory, name: str, option: str) -> None:
    for filters, size in ((32, 800), (64, 1600)):
        method = laboratory.method(name, options={option: filters})
        assert isinstance(method, Recogniser)
        assert method.embed(torch.zeros(2, 3, 84, 84)).shape == (2, size)
