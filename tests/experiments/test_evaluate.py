"""Evaluation in many parts against evaluation the plain way, episode by episode."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from experiments import evaluate
from experiments.config import Affine, Looks
from experiments.data.augment import look, view
from experiments.data.episodes import EpisodeSampler
from experiments.data.glyphs import open_glyphs
from experiments.data.images import ImageTable
from experiments.evaluate import (
    Recogniser,
    SplitFeatures,
    accuracy_per_episode,
    class_means,
    embed_episodes,
    episode_accuracy,
    nearest_of_class,
)
from experiments.learners import coordinate_lstm
from experiments.learners.coordinate_lstm import CoordinateLstm
from experiments.method import Resources, build
from experiments.methods.protonet import mean_logits
from experiments.rng import generator
from experiments.sweeps import Sweep, plan
from tests.conftest import GLYPH_ALPHABETS, GLYPH_CHARACTERS


@dataclass
class PixelMeans:
    """Nearest class mean of the pixels; counts what it is asked to embed."""

    embedded: int = 0

    def embed(self, images: Tensor) -> Tensor:
        assert len(images)  # not everything can be done to no image
        self.embedded += len(images)
        return images.flatten(1)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        return mean_logits(class_means(support, labels), query)


@pytest.fixture(scope="module")
def table(glyphs_data_dir: Path) -> ImageTable:
    return open_glyphs(glyphs_data_dir, GLYPH_ALPHABETS, GLYPH_CHARACTERS, rotations=True)


def sampler(table: ImageTable, n_way: int, k_shot: int = 2) -> EpisodeSampler:
    return EpisodeSampler(table, n_way, k_shot, 3, ("evaluation", 0))


def one_by_one(table: ImageTable, episodes: EpisodeSampler, count: int) -> Tensor:
    """Embed support and query of each episode, and compare each query with each class mean."""
    accuracies = []
    for index in range(count):
        episode = episodes.sample("test", range(index, index + 1))
        support = table.pixels("test", episode.support[0]).flatten(2)  # (n_way, k_shot, 784)
        query = table.pixels("test", episode.query[0]).flatten(2)
        distance = torch.cdist(query.flatten(0, 1), support.mean(1))
        accuracies.append(episode_accuracy(-distance.view(1, *query.shape[:2], -1)))
    return torch.cat(accuracies)


@pytest.mark.parametrize("n_way", [5, 96])  # 96 are all there are
@pytest.mark.parametrize("room", [1, 2**20, 2**30])
def test_accuracy_is_that_of_the_plain_way_however_little_memory_there_is(
    table: ImageTable, monkeypatch: pytest.MonkeyPatch, n_way: int, room: int
) -> None:
    monkeypatch.setattr(evaluate, "EVALUATION_BYTES", room)
    episodes = sampler(table, n_way)
    measured = accuracy_per_episode(PixelMeans(), table, episodes, "test", range(12))
    assert torch.equal(measured, one_by_one(table, episodes, 12))
    assert 1 / n_way < float(measured.mean()) < 1


def test_several_looks_average_the_log_probabilities_of_support_and_query_changed_alike(
    table: ImageTable,
) -> None:
    looks = Looks(views=2, turns=4, change=Affine(degrees=10, shift=2))
    episodes = sampler(table, 5)
    drawn = episodes.sample("test", range(8))
    total = torch.zeros(8, 5 * drawn.query.shape[2], 5)
    for changed in range(2):
        for turn in range(4):
            support, query = (
                view(table.pixels("test", index).flatten(0, 2), changed, looks.change)
                .rot90(turn, (-2, -1))
                .flatten(1)
                .unflatten(0, (8, -1))
                for index in (drawn.support, drawn.query)
            )
            labels = torch.arange(5).repeat_interleave(drawn.support.shape[2])
            total += PixelMeans().logits(support, labels, query).log_softmax(-1)
    expected = episode_accuracy(total.unflatten(1, drawn.query.shape[1:]))
    measured = accuracy_per_episode(PixelMeans(), table, episodes, "test", range(8), looks)
    assert torch.equal(measured, expected)
    once = accuracy_per_episode(PixelMeans(), table, episodes, "test", range(8))
    assert not torch.equal(measured, once)


def test_the_first_look_is_the_image_itself_and_all_others_differ(table: ImageTable) -> None:
    looks = Looks(views=2, turns=4, mirrored=True)
    images = table.pixels("test", torch.arange(3))
    seen = [look(images, number, looks) for number in range(looks.count)]
    assert len(seen) == 16
    assert torch.equal(seen[0], images)
    assert torch.equal(seen[4], images.flip(-1))
    assert all(not torch.equal(one, other) for n, one in enumerate(seen) for other in seen[:n])


def test_episodes_keep_their_numbers_where_the_range_does_not_start_at_nought(table: ImageTable) -> None:
    episodes = sampler(table, 5)
    whole = accuracy_per_episode(PixelMeans(), table, episodes, "test", range(20))
    assert torch.equal(accuracy_per_episode(PixelMeans(), table, episodes, "test", range(7, 20)), whole[7:])


def test_each_image_is_embedded_once_however_many_episodes_use_it(table: ImageTable) -> None:
    method = PixelMeans()
    accuracy_per_episode(method, table, sampler(table, 20), "test", range(100))
    images = table.class_count("test") * table.drawers
    used = sampler(table, 20).sample("test", range(100))
    assert method.embedded == len(torch.cat([used.support.flatten(), used.query.flatten()]).unique())
    assert method.embedded <= images < 100 * 20 * 5


def test_features_of_a_split_lie_where_they_are_asked_for(table: ImageTable) -> None:
    index = torch.tensor([[7, 1900], [7, 3]])
    features = SplitFeatures(table, "test", lambda images: images.flatten(1))
    features(torch.tensor([3, 50]))
    assert torch.equal(features(index), table.pixels("test", index).flatten(2))


def test_embedded_episodes_have_the_shape_of_their_index(table: ImageTable) -> None:
    episode = sampler(table, 5).sample("test", range(4))
    support, query = embed_episodes(table, "test", episode, lambda images: images.flatten(1))
    assert torch.equal(support, table.pixels("test", episode.support).flatten(3))
    assert query.shape == (4, 5, 3, 784)


def test_class_means_take_as_many_examples_as_each_class_has() -> None:
    support = torch.tensor([[[0.0], [10.0], [3.0]]])
    assert class_means(support, torch.tensor([0, 0, 1])).tolist() == [[[5.0], [3.0]]]


def test_the_nearest_example_of_a_class_speaks_for_it() -> None:
    closeness = torch.tensor([[-5.0, -1.0, -2.0]])
    assert nearest_of_class(closeness, torch.tensor([0, 0, 1])).tolist() == [[-1.0, -2.0]]


def test_learned_optimiser_in_chunks_moves_every_coordinate_as_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    g = CoordinateLstm(8, 2, 0.1, 0.5, generator("g"))
    torch.nn.init.normal_(g.output.weight, generator=generator("output"))
    gradients = torch.randn(3, 7, 11, generator=generator("gradients"))

    def trajectory() -> list[Tensor]:
        state, updates = None, []
        with torch.no_grad():
            for gradient in gradients:
                update, state = g(gradient, state)
                updates.append(update)
        return updates

    whole = trajectory()
    monkeypatch.setattr(coordinate_lstm, "CHUNK", 10)  # of 77 coordinates
    for one, other in zip(trajectory(), whole, strict=True):
        torch.testing.assert_close(one, other)
    assert not torch.equal(whole[0], whole[1])


@pytest.mark.parametrize("n_way", [4, 20, 30])
def test_a_step_of_the_fast_learner_is_as_large_whatever_the_number_of_classes(
    glyphs_data_dir: Path, n_way: int
) -> None:
    """One step of rate eta from zero: theta_i = eta / train_n_way (x_i - mean), of any number of classes."""
    plain = {"fast_learner": "sgd", "fast_lr": 0.5, "inner_steps": 1, "views": 1, "features": "raw"}
    plain |= {"initial": "zeros", "method.pretrain": None, "alphabets": 10, "characters": 12}
    settings = {name: [value] for name, value in plain.items()}
    method = build(
        plan(Sweep("glyphs", ("fastslow",), "paper", settings=settings))[0].config,
        Resources(glyphs_data_dir, torch.device("cpu")),
    )
    assert isinstance(method, Recogniser)
    support, query = (torch.randn(1, n, 64, generator=generator("x", n)) for n in (n_way, 7))
    examples, questions = (pad(each, (0, 1), value=1.0) for each in (support, query))
    expected = 0.5 / 20 * questions @ (examples - examples.mean(1, keepdim=True)).mT
    torch.testing.assert_close(method.logits(support, torch.arange(n_way), query), expected)


_THREE_TENSORS = """
import torch
from experiments.cost import CostMeter

with CostMeter(torch.device("cpu")) as meter:
    for _ in range(3):
        torch.ones(64 * 2**20, dtype=torch.uint8)
cost = meter.cost(episodes=10)
print(cost.seconds_per_episode, -1 if cost.peak_bytes is None else cost.peak_bytes)
"""


def test_cost_counts_time_and_the_most_memory_at_a_time() -> None:
    # in a process of its own: other tests may have told this one's allocator to keep what is freed
    found = subprocess.run([sys.executable, "-c", _THREE_TENSORS], capture_output=True, text=True, check=True)
    seconds, peak = (float(each) for each in found.stdout.split())
    assert 0 < seconds < 1
    if peak >= 0:  # where the system tells
        assert 60 * 2**20 < peak < 150 * 2**20
