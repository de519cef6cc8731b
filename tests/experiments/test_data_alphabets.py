"""Episodes within one alphabet: one person's characters against another's."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from experiments.config import ImageRun
from experiments.data.alphabets import AlphabetSampler
from experiments.data.episodes import Episodes
from experiments.data.glyphs import open_glyphs
from experiments.data.images import ImageTable, split_classes
from experiments.data.omniglot import open_omniglot
from experiments.errors import ConfigError
from experiments.method import Resources, build
from experiments.splits.omniglot import all_characters, alphabet_numbers
from experiments.sweeps import Sweep, plan
from tests.conftest import GLYPH_ALPHABETS, GLYPH_CHARACTERS

SIZES = (4, 6, 9, 3)  # characters of each alphabet
CHARACTERS = sum(SIZES)
ALPHABET_OF = torch.arange(len(SIZES)).repeat_interleave(torch.tensor(SIZES))
TABLE = ImageTable(
    images=torch.zeros(CHARACTERS, 20, 28, 28, dtype=torch.uint8),
    splits={"test": split_classes(range(CHARACTERS), rotations=True)},
    alphabet_of=ALPHABET_OF,
)


def sampler(n_way: int = 4, k_shot: int = 2, n_query: int = 3, seed: int = 0) -> AlphabetSampler:
    return AlphabetSampler(TABLE, n_way, k_shot, n_query, ("evaluation", seed))


def drawers(index: Tensor) -> Tensor:
    return index % 20


def classes(index: Tensor) -> Tensor:
    return index // 20


def alphabets_in(episodes: Episodes, alphabet_of: Tensor) -> list[set[int]]:
    """Return the alphabets that each episode has classes of, none of which may be turned."""
    every = torch.cat((episodes.support, episodes.query), dim=2)
    assert int(classes(every).max()) < len(alphabet_of)  # the upright ones come first
    return [set(alphabet_of[classes(one)].flatten().tolist()) for one in every]


def test_an_episode_has_different_characters_of_one_alphabet_all_upright() -> None:
    episodes = sampler().sample("test", range(200))
    assert episodes.support.shape == (200, 4, 2)
    assert episodes.query.shape == (200, 4, 3)
    assert {len(found) for found in alphabets_in(episodes, ALPHABET_OF)} == {1}
    support, query = classes(episodes.support), classes(episodes.query)
    assert bool((support == support[..., :1]).all())
    assert bool((query == support[..., :1]).all())
    assert all(len(set(row.tolist())) == 4 for row in support[..., 0])


def test_support_and_queries_of_all_classes_are_by_different_people() -> None:
    episodes = sampler().sample("test", range(200))
    support, query = drawers(episodes.support), drawers(episodes.query)
    assert bool((support == support[:, :1]).all())  # the same people drew every character
    assert bool((query == query[:, :1]).all())
    for one, other in zip(support[:, 0].tolist(), query[:, 0].tolist(), strict=True):
        assert len({*one, *other}) == 5


def test_alphabets_with_enough_characters_come_equally_often_the_others_never() -> None:
    episodes = sampler().sample("test", range(3000))
    counts = Counter(min(found) for found in alphabets_in(episodes, ALPHABET_OF))
    assert sorted(counts) == [0, 1, 2]
    assert list(counts.values()) == pytest.approx([1000] * 3, abs=130)  # 5 standard deviations


def test_every_character_and_every_drawer_is_met() -> None:
    episodes = sampler(n_way=3).sample("test", range(500))
    assert set(classes(episodes.support).flatten().tolist()) == set(range(CHARACTERS))
    assert set(drawers(episodes.query).flatten().tolist()) == set(range(20))


def test_a_number_is_always_the_same_episode() -> None:
    together, alone = sampler().sample("test", range(50)), sampler().sample("test", range(40, 42))
    assert torch.equal(together.support[40:42], alone.support)
    assert torch.equal(together.query[40:42], alone.query)
    assert not torch.equal(sampler(seed=1).sample("test", range(50)).support, together.support)
    assert together.support[0].tolist() == [[278, 269], [298, 289], [258, 249], [238, 229]]
    assert together.query[0, 0].tolist() == [270, 275, 266]


def test_more_ways_than_the_largest_alphabet_has_are_refused() -> None:
    with pytest.raises(ConfigError, match="n_way 10 is more than the 9 characters of the largest alphabet"):
        sampler(n_way=10).sample("test", range(1))
    with pytest.raises(ConfigError, match="more than the 20 images"):
        sampler(k_shot=10, n_query=11)
    no_alphabets = ImageTable(TABLE.images, TABLE.splits)
    with pytest.raises(ConfigError, match="no alphabets: use sampling=mixed"):
        AlphabetSampler(no_alphabets, 4, 1, 1, ()).sample("test", range(1))


def test_glyphs_know_their_alphabets(glyphs_data_dir: Path) -> None:
    table = open_glyphs(glyphs_data_dir, GLYPH_ALPHABETS, GLYPH_CHARACTERS, rotations=True)
    test = table.alphabets("test")
    assert Counter(test.tolist()) == {8: 12, 9: 12, -1: 72}
    assert set(table.alphabets("train").tolist()) == {*range(7), -1}


def test_omniglot_knows_its_alphabets(omniglot_data_dir: Path) -> None:
    table = open_omniglot(omniglot_data_dir, "P-V", rotations=True)
    numbers = dict(zip(all_characters(), alphabet_numbers(), strict=True))
    assert len(set(numbers.values())) == 50
    assert all(
        (numbers[one] == numbers[other]) == (one.alphabet == other.alphabet)
        for one in list(numbers)[::40]
        for other in numbers
    )
    sizes = Counter(table.alphabets("test").tolist())
    assert sizes.pop(-1) == 3 * 423
    assert sorted(sizes.values(), reverse=True) == [47, 46, 45, 42, 41, 40, 30, 28, 26, 26, 25, 23, 4]
    episodes = AlphabetSampler(table, 20, 1, 1, ("lake",)).sample("test", range(300))
    upright = torch.tensor([numbers[character] for character in all_characters()])
    characters = table.splits["test"][classes(episodes.support)][..., 0, :]  # (300, 20, [character, turns])
    assert not characters[..., 1].any()
    found = [set(row.tolist()) for row in upright[characters[..., 0]]]
    assert {len(alphabets) for alphabets in found} == {1}
    assert len({min(alphabets) for alphabets in found}) == 12  # all but Gurmukhi's four


def configured(method: str, **settings: object) -> ImageRun:
    chosen = {"sampling": ["within-alphabet"]} | {name: [value] for name, value in settings.items()}
    config = plan(Sweep("omniglot", (method,), "paper", settings=chosen))[0].config
    assert isinstance(config, ImageRun)
    return config


def test_pixels_recognise_a_fifth_of_lakes_kind_of_test(omniglot_data_dir: Path) -> None:
    """Nearest neighbour in pixel space: 21.7 % are known of Lake's 20 tests within evaluation alphabets."""
    config = configured("pixel-knn", distance="cosine", protocol="P-B", n_query=1, rotations=False)
    method = build(config, Resources(omniglot_data_dir, torch.device("cpu")))
    accuracy = method.evaluate("test", range(1000))["accuracy"]
    assert float(accuracy.mean()) == pytest.approx(0.224, abs=0.01)  # +- 0.7 is the 95 % interval


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("protonet", {"n_way": 48}, "n_way 48 is more than the 47 characters of the largest test alphabet"),
        ("protonet", {"split": "val", "n_way": 47}, "47 is more than the 46 characters of the largest val"),
        ("fastslow", {"protocol": "R2", "n_way": 40}, "characters of the largest test alphabet: use"),
    ],
)
def test_what_no_alphabet_can_give_is_refused_before_anything_runs(
    method: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        configured(method, **settings)


def test_a_model_is_trained_once_and_measured_both_ways() -> None:
    settings = {"sampling": ["mixed", "within-alphabet"]}
    configs = [each.config for each in plan(Sweep("omniglot", ("protonet",), "paper", settings=settings))]
    trained = {config.trained_by for config in configs if isinstance(config, ImageRun)}
    assert len(trained) == 1
    (training,) = trained
    assert training is not None
    assert training.sampling == "mixed"
