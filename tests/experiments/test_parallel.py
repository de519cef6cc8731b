"""Pre-training on several processes: the numbers of one, whatever is trained and wherever it stops."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from experiments.config import OmniglotData
from experiments.errors import ConfigError
from experiments.events import Finished, Stopped
from experiments.method import Resources, build
from experiments.models.joint_norm import JointBatchNorm2d, normalise_jointly
from experiments.team import Team
from tests.experiments.parallel_cases import CPU, Kept, Work, by_several, carried_out, pretraining, state

CLOSE = 1e-9
"""In float64: in float32 nn.BatchNorm2d itself is off by 7e-5, and Adam makes much of what is near 0."""


@pytest.fixture(autouse=True)
def many_digits() -> Iterator[None]:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def assert_the_same(one: Path, other: Path) -> None:
    expected, found = state(one), state(other)
    assert expected.keys() == found.keys()
    # Normalisation takes away what the bias of a convolution adds, so that its gradient is rounding alone.
    arbitrary = re.compile(r"blocks\.\d\.(0\.bias|1\.running_mean)|optimizer")
    for name, value in expected.items():
        if arbitrary.search(name):
            continue
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-7, msg=name)


@pytest.mark.slow
def test_two_processes_have_the_losses_and_the_backbone_of_one(glyphs_data_dir: Path, tmp_path: Path) -> None:
    configs = {
        "softmax": pretraining(objective="softmax", classifier="linear", averaging=0.0),
        "episodes": pretraining(objective="episodes", averaging=0.9),
    }
    works = [Work(config, tmp_path / name) for name, config in configs.items()]
    no_data = pretraining().model_copy(update={"data": OmniglotData()})
    refused, *others = by_several(2, glyphs_data_dir, Work(no_data, tmp_path / "nothing"), *works)
    assert "fsrun data" in str(refused)
    for work, found in zip(works, others, strict=True):
        assert isinstance(found, Kept)
        alone = tmp_path / "alone" / work.folder.name
        expected = carried_out(work.config, glyphs_data_dir, alone)
        assert set(expected.points) == set(found.points) == {"train/loss", "train/accuracy", "val/accuracy"}
        for name, points in expected.points.items():
            assert found.points[name] == pytest.approx(points, abs=CLOSE), name
        assert isinstance(expected.outcome, Finished)
        assert isinstance(found.outcome, Finished)
        assert found.outcome.results == expected.outcome.results
        assert_the_same(alone, work.folder)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(glyphs_data_dir: Path, tmp_path: Path) -> None:
    config = pretraining(objective="softmax", averaging=0.9)
    expected = carried_out(config, glyphs_data_dir, tmp_path / "one").points["train/loss"]
    several = tmp_path / "several"
    first = carried_out(config, glyphs_data_dir, several, chunks=1)
    (second,) = by_several(2, glyphs_data_dir, Work(config, several, chunks=1))
    third = carried_out(config, glyphs_data_dir, several)
    assert isinstance(second, Kept)
    assert [first.outcome, second.outcome] == [Stopped(2), Stopped(4)]
    found = {
        step: loss for part in (first, second, third) for step, loss in part.points["train/loss"].items()
    }
    assert found == pytest.approx(expected, abs=CLOSE)
    assert_the_same(tmp_path / "one", several)


def test_shares_differ_by_one_image_at_most_and_hold_every_image() -> None:
    teams = [Team(rank, 4, CPU, orders=None) for rank in range(4)]  # type: ignore[arg-type]
    parts = [list(range(15))[team.share(15)] for team in teams]
    assert sorted(len(part) for part in parts) == [3, 4, 4, 4]
    assert [image for part in parts for image in part] == list(range(15))


def test_a_batch_with_fewer_images_than_processes_is_refused_before_anything_starts(
    glyphs_data_dir: Path,
) -> None:
    team = Team(0, 4, CPU, orders=None)  # type: ignore[arg-type]
    config = pretraining(objective="softmax", batch_size=3)
    with pytest.raises(
        ConfigError, match=r"a step has 3 images and there are 4 processes .* --gpus 3 at most"
    ):
        build(config, Resources(glyphs_data_dir, CPU, team=team))


def test_joint_normalisation_has_the_weights_and_names_of_the_one_it_stands_for() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = network.state_dict(keep_vars=True)
    normalise_jointly(network)
    after = network.state_dict(keep_vars=True)
    assert isinstance(network[1], JointBatchNorm2d)
    assert before.keys() == after.keys()
    assert all(after[name] is value for name, value in before.items())
    images = torch.rand(2, 1, 5, 5)
    assert torch.isfinite(network.eval()(images)).all()
