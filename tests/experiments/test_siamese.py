"""Siamese networks: the distance by hand, the pairs they learn from, and Koch's network's size."""

import pytest
import torch
from torch import Tensor

from experiments.data.images import ImageTable, split_classes
from experiments.data.pairs import draw_pairs, kin, other_of_its_kind
from experiments.methods.siamese import weighted_distances
from experiments.models.koch import KochNet
from experiments.rng import generator
from experiments.splits.omniglot import all_characters, alphabet_numbers


def normal(*shape: int, key: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(key))


def test_weighted_distance_of_every_pair_also_with_negative_weights() -> None:
    query, support, weights = normal(2, 3, 5), normal(2, 4, 5, key="s"), normal(5, key="w")
    assert float(weights.min()) < 0 < float(weights.max())
    expected = ((query[:, :, None] - support[:, None]).abs() * weights).sum(-1)
    torch.testing.assert_close(weighted_distances(query, support, weights), expected)


def table(characters: range, alphabet_of: Tensor | None = None) -> ImageTable:
    splits = {"train": split_classes(characters, rotations=True)}
    images = torch.zeros(max(characters) + 1, 20, 1, 1, dtype=torch.uint8)
    return ImageTable(images, splits, alphabet_of=alphabet_of)


def test_kin_are_classes_of_one_alphabet_turned_alike() -> None:
    some = table(range(10, 60), torch.tensor(alphabet_numbers()))
    names = [character.alphabet for character in all_characters()]
    numbers = kin(some, "train")
    classes = some.splits["train"].tolist()
    for one, (character, turns) in enumerate(classes):
        for other, (another, turned) in enumerate(classes):
            same = turns == turned and names[character] == names[another]
            assert bool(numbers[one] == numbers[other]) is same
    assert 4 < len(numbers.unique()) < len(numbers)


def test_of_classes_without_alphabets_nothing_is_known() -> None:
    assert kin(table(range(5)), "train").unique().tolist() == [0]


def test_another_of_its_kind_is_any_other_of_it_and_any_class_where_there_is_none() -> None:
    kinds = torch.tensor([0, 1, 0, 2, 1, 0])
    met: dict[int, set[int]] = {each: set() for each in range(6)}
    for number in range(200):
        others = other_of_its_kind(torch.arange(6), kinds, generator("kind", number))
        for each, other in enumerate(others.tolist()):
            met[each].add(other)
    assert met == {0: {2, 5}, 1: {4}, 2: {0, 5}, 3: {0, 1, 2, 4, 5}, 4: {1}, 5: {0, 2}}


@pytest.mark.parametrize("hard", [0.0, 0.5, 1.0])
def test_half_the_pairs_are_alike_and_the_unlike_as_hard_as_asked_for(hard: float) -> None:
    kinds = torch.arange(40) // 5
    pairs = draw_pairs(kinds, 20, 2000, hard, generator("pairs"))
    first, second = pairs.first // 20, pairs.second // 20
    assert int(pairs.same.sum()) == 1000
    assert torch.equal(first == second, pairs.same)
    assert bool((pairs.first != pairs.second).all())
    within = (kinds[first] == kinds[second])[~pairs.same].double().mean()
    assert float(within) == pytest.approx(hard + (1 - hard) * 4 / 39, abs=0.05)


def test_koch_network_has_the_size_of_the_original() -> None:
    network = KochNet(generator("koch"))
    assert sum(parameter.numel() for parameter in network.parameters()) == 38_947_648
    features = network(torch.rand(1, 1, 28, 28, generator=generator("image"))).detach()
    assert features.shape == (1, 4096)
    assert 0 <= float(features.min()) < float(features.max()) <= 1
