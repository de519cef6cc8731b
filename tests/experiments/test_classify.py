"""A trained method put to use on images that are in no data set."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from experiments import classify
from experiments.checkpoint import save_checkpoint
from experiments.classify import load_model, probabilities
from experiments.config import RunConfig, config_hash, prerequisites
from experiments.data.glyphs import open_glyphs
from experiments.data.images import ImageTable
from experiments.errors import CheckpointError, ConfigError, DataError
from experiments.method import Resources, build
from experiments.sweeps import Sweep, plan
from tests.conftest import GLYPH_ALPHABETS, GLYPH_CHARACTERS

CPU = torch.device("cpu")


def config_of(experiment: str, method: str, **settings: object) -> RunConfig:
    chosen = {name: [value] for name, value in settings.items()}
    return plan(Sweep(experiment, (method,), "quick", settings=chosen))[0].config


@pytest.fixture(scope="module")
def table(glyphs_data_dir: Path) -> ImageTable:
    return open_glyphs(glyphs_data_dir, GLYPH_ALPHABETS, GLYPH_CHARACTERS, rotations=True)


@pytest.fixture(scope="module")
def trained(glyphs_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunConfig, Path]:
    """A prototypical net after thirty small steps, and its checkpoint."""
    config = config_of("glyphs", "protonet", alphabets=10, characters=12, filters=16, train_n_way=10, lr=0.01)
    method = build(config, Resources(glyphs_data_dir, CPU))
    method.train(0, 30)
    path = tmp_path_factory.mktemp("trained") / "step-30.safetensors"
    save_checkpoint(path, 30, method.state_dict())
    return config, path


def task(table: ImageTable, classes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return one example of each class, its label, and three other images of each."""
    first = torch.tensor(classes) * table.drawers
    others = (first[:, None] + torch.arange(1, 4)).flatten()
    return table.pixels("test", first), torch.arange(len(classes)), table.pixels("test", others)


def test_probabilities_sum_to_one_and_mostly_name_the_right_class(
    trained: tuple[RunConfig, Path], table: ImageTable
) -> None:
    model = load_model(*trained, CPU)
    found = probabilities(model, *task(table, [0, 5, 10, 15]))
    torch.testing.assert_close(found.sum(1), torch.ones(12))
    right = found.argmax(1) == torch.arange(4).repeat_interleave(3)
    assert float(right.double().mean()) > 0.5  # chance is a quarter


def test_neither_the_data_nor_the_order_of_classes_and_images_matters(
    trained: tuple[RunConfig, Path], table: ImageTable
) -> None:
    model = load_model(*trained, CPU)  # is given no data folder
    support, labels, images = task(table, [0, 5, 10, 15])
    found = probabilities(model, support, labels, images)
    turned = probabilities(model, support.flip(0), labels, images.flip(0))
    torch.testing.assert_close(turned, found.flip(0, 1))
    torch.testing.assert_close(probabilities(model, support, labels, images[:1]), found[:1])


def test_classes_may_have_different_numbers_of_examples(
    trained: tuple[RunConfig, Path], table: ImageTable
) -> None:
    model = load_model(*trained, CPU)
    support, labels, images = task(table, [0, 5])
    again = support[[0, 0, 0, 1]]  # the first class's example three times: its mean is the same
    expected = probabilities(model, support, labels, images)
    torch.testing.assert_close(probabilities(model, again, torch.tensor([0, 0, 0, 1]), images), expected)


@pytest.mark.parametrize("method", ["fastslow", "cnn-nn", "pixel-knn", "pretrain"])
def test_a_checkpoint_alone_is_a_model_also_of_a_method_that_starts_from_another_run(
    method: str, glyphs_data_dir: Path, table: ImageTable, tmp_path: Path
) -> None:
    small = {"alphabets": 10, "characters": 12} | ({} if method == "pixel-knn" else {"filters": 8})
    config = config_of("glyphs", method, **small)
    path = tmp_path / "untrained.safetensors"
    if method == "pixel-knn":
        state = {}
    else:
        pretrain = config_of("glyphs", "pretrain", **small)
        state = build(pretrain, Resources(glyphs_data_dir, CPU)).state_dict()
        save_checkpoint(path, 0, state)
    if method in ("fastslow", "cnn-nn"):
        (need,) = prerequisites(config)
        state = build(config, Resources(glyphs_data_dir, CPU, {config_hash(need): path})).state_dict()
    save_checkpoint(path, 0, state)
    found = probabilities(load_model(config, path, CPU), *task(table, [0, 5, 10, 15]))
    torch.testing.assert_close(found.sum(1), torch.ones(12))


def test_more_classes_than_memory_allows_are_refused_in_one_line(
    trained: tuple[RunConfig, Path], table: ImageTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "meminfo"
    memory.write_text("MemTotal: 9 kB\nMemAvailable: 2 kB\n")
    monkeypatch.setattr(classify, "_MEMORY", memory)
    with pytest.raises(DataError, match=r"4 classes need about .* are free: use fewer classes"):
        probabilities(load_model(*trained, CPU), *task(table, [0, 5, 10, 15]))


def test_examples_cannot_be_made_up_without_the_training_images(
    glyphs_data_dir: Path, table: ImageTable, tmp_path: Path
) -> None:
    small = {"alphabets": 10, "characters": 12, "filters": 8}
    config = config_of("glyphs", "shrinking", **small, hallucinate=3, generator_steps=1, steps=2)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, 0, build(config, Resources(glyphs_data_dir, CPU)).state_dict())
    with pytest.raises(DataError, match=r"makes examples up from its training images: .* the data of glyphs"):
        load_model(config, path, CPU)
    found = probabilities(load_model(config, path, CPU, glyphs_data_dir), *task(table, [0, 5, 10, 15]))
    torch.testing.assert_close(found.sum(1), torch.ones(12))


def test_what_classifies_nothing_is_no_model(tmp_path: Path, glyphs_data_dir: Path) -> None:
    config = config_of("synthetic", "linear")
    path = tmp_path / "linear.safetensors"
    save_checkpoint(path, 0, build(config, Resources(glyphs_data_dir, CPU)).state_dict())
    with pytest.raises(ConfigError, match="linear does not classify images"):
        load_model(config, path, CPU)


def test_damaged_weights_are_named(trained: tuple[RunConfig, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(trained[1].read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_model(trained[0], path, CPU)
