"""What no method on images may know: the queries' labels, the other queries, the names of the classes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from experiments.data.episodes import Episodes, EpisodeSampler
from experiments.registry import METHODS
from experiments.rng import generator
from fsrun.testing import Laboratory
from tests.experiments.test_contract import TRAINED

N_WAY, N_QUERY = 5, 3  # as in the laboratory
TRAINING_STEPS = 3  # enough for logits that differ
OPTIONS = {"maml": {"method.batch_norm": "support"}}  # its queries share their statistics otherwise

METHODS_ON_IMAGES = sorted(name for name, entry in METHODS.items() if "glyphs" in entry.experiments)

# An output unit, a memory's label or a place in a sequence belongs to each class: which class is the first
# makes a difference, though none on average.
NAMED_CLASSES = {"maml", "meta-lstm", "mann", "metanet", "snail", "coordinate-lstm"}


@pytest.fixture(scope="module")
def laboratory(glyphs_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(glyphs_data_dir, tmp_path_factory.mktemp("no-leaks"))


def trained(laboratory: Laboratory, name: str) -> Any:
    method = laboratory.method(name, options=OPTIONS.get(name))
    if name in TRAINED:
        method.train(0, TRAINING_STEPS)
    return method


@dataclass(frozen=True)
class Task:
    """One test episode as seen by a method: support (1, images, d), labels, query (1, queries, d)."""

    support: Tensor
    labels: Tensor
    query: Tensor


def task(method: Any, number: int) -> Task:
    episode: Episodes = method.sampler.sample("test", range(number, number + 1))
    support, query = (
        method.embed(method.table.pixels("test", part.flatten()))[None]
        for part in (episode.support, episode.query)
    )
    return Task(support, torch.arange(N_WAY), query)


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", METHODS_ON_IMAGES)
def test_a_query_is_answered_the_same_whatever_is_asked_beside_it(laboratory: Laboratory, name: str) -> None:
    method = trained(laboratory, name)
    met = task(method, 0)
    together = method.logits(met.support, met.labels, met.query)
    assert together.shape == (1, N_WAY * N_QUERY, N_WAY)
    assert float((together[:, 0] - together[:, 1:]).abs().amax().detach()) > 1e-4, (
        "all queries look alike to it"
    )
    backwards = method.logits(met.support, met.labels, met.query.flip(1))
    close(backwards.flip(1), together)
    for each in (0, 7):
        close(method.logits(met.support, met.labels, met.query[:, [each]]), together[:, [each]])


@pytest.mark.parametrize("name", sorted(set(METHODS_ON_IMAGES) - NAMED_CLASSES))
def test_other_names_for_the_classes_give_the_same_answers(laboratory: Laboratory, name: str) -> None:
    method = trained(laboratory, name)
    met = task(method, 0)
    renamed = torch.tensor([3, 0, 4, 1, 2])  # class renamed[i] is now called i
    before = method.logits(met.support, met.labels, met.query)
    after = method.logits(met.support[:, renamed], met.labels, met.query)
    close(after, before[..., renamed])
    assert not torch.allclose(after, before)


@dataclass(frozen=True)
class ShuffledQueries(EpisodeSampler):
    """Draws the same episodes, but any query may stand where one of any class is expected."""

    def sample(self, split: str, indices: range) -> Episodes:
        drawn = super().sample(split, indices)
        places = [torch.randperm(drawn.query[0].numel(), generator=generator("shuffle", i)) for i in indices]
        shuffled = drawn.query.flatten(1).gather(1, torch.stack(places)).view_as(drawn.query)
        return Episodes(drawn.support, shuffled)


@pytest.mark.parametrize("name", METHODS_ON_IMAGES)
def test_queries_in_the_place_of_others_are_told_rightly_by_chance_alone(
    laboratory: Laboratory, name: str
) -> None:
    method = trained(laboratory, name)
    plain = method.sampler
    fields = {field: getattr(plain, field) for field in ("table", "n_way", "k_shot", "n_query", "key")}
    method.sampler = ShuffledQueries(**fields)
    shuffled = method.evaluate("test", range(60))["accuracy"]
    error = float(shuffled.std()) / len(shuffled) ** 0.5
    assert abs(float(shuffled.mean()) - 1 / N_WAY) < 4 * error + 1e-9
    assert error < 0.03
