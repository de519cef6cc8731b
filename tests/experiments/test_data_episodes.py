from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.config import Jitter
from experiments.data.batches import EpisodeImages
from experiments.data.episodes import Episodes, EpisodeSampler
from experiments.data.images import ImageTable, split_classes
from experiments.errors import ConfigError

TABLE = ImageTable(
    images=torch.zeros(30, 20, 28, 28, dtype=torch.uint8),
    splits={
        "train": split_classes(range(20), rotations=True),
        "test": split_classes(range(20, 30), rotations=True),
        "upright": split_classes(range(20, 30), rotations=False),
    },
)


def sampler(n_way: int = 5, k_shot: int = 1, n_query: int = 15, seed: int = 0) -> EpisodeSampler:
    return EpisodeSampler(TABLE, n_way=n_way, k_shot=k_shot, n_query=n_query, key=("evaluation", seed))


def same(one: Episodes, other: Episodes) -> bool:
    return torch.equal(one.support, other.support) and torch.equal(one.query, other.query)


def test_episodes_hold_the_asked_classes_and_images() -> None:
    episodes = sampler(n_way=20, k_shot=5, n_query=15).sample("test", range(7))
    assert episodes.support.shape == (7, 20, 5)
    assert episodes.query.shape == (7, 20, 15)
    assert episodes.support.dtype == episodes.query.dtype == torch.int64


@settings(max_examples=30, deadline=None)
@given(
    n_way=st.integers(1, 40), k_shot=st.integers(1, 5), n_query=st.integers(1, 15), seed=st.integers(0, 99)
)
def test_classes_differ_and_no_query_image_is_in_the_support(
    n_way: int, k_shot: int, n_query: int, seed: int
) -> None:
    episodes = sampler(n_way, k_shot, n_query, seed).sample("test", range(3))
    images = torch.cat([episodes.support, episodes.query], dim=2)  # (3, n_way, k_shot + n_query)
    classes = images // 20
    assert bool((classes == classes[..., :1]).all())
    assert all(len(set(row.tolist())) == n_way for row in classes[..., 0])
    assert all(len(set(row.tolist())) == k_shot + n_query for row in images.flatten(0, 1))


def test_an_episode_does_not_depend_on_what_was_sampled_before_or_beside_it() -> None:
    together = sampler().sample("test", range(300))
    alone = sampler().sample("test", range(270, 272))
    assert torch.equal(together.support[270:272], alone.support)
    assert torch.equal(together.query[270:272], alone.query)
    backwards = sampler().sample("test", range(1, -1, -1))
    assert torch.equal(backwards.query.flip(0), together.query[:2])


@pytest.mark.parametrize("per_step", [1, 3])
@pytest.mark.parametrize("amounts", [Jitter(), Jitter(degrees=5.0, stroke=0.5)])
def test_images_of_a_training_step_do_not_depend_on_the_steps_beside_it(
    per_step: int, amounts: Jitter
) -> None:
    table = replace(TABLE, images=torch.randint(256, TABLE.images.shape).to(torch.uint8))
    draws = EpisodeSampler(table, n_way=20, k_shot=1, n_query=5, key=("train", 0))
    in_turn, alone = (EpisodeImages(draws, "train", amounts, 0, per_step) for _ in range(2))
    together = [in_turn(step) for step in range(9)]
    support, query = alone(7)
    assert torch.equal(together[7][0], support)
    assert torch.equal(together[7][1], query)
    drawn = draws.sample("train", range(7 * per_step, 8 * per_step))
    assert support.shape == (per_step, 20, 1, 1, 28, 28)
    if amounts == Jitter():
        assert torch.equal(support, table.pixels("train", drawn.support))
        assert torch.equal(query, table.pixels("train", drawn.query))


def test_the_same_numbers_come_on_every_machine() -> None:
    episodes = sampler(n_way=5).sample("test", range(1))
    assert episodes.support.flatten().tolist() == [201, 581, 63, 429, 229]


def test_other_seeds_splits_and_numbers_give_other_episodes() -> None:
    first = sampler().sample("test", range(1))
    assert not same(first, sampler(seed=1).sample("test", range(1)))
    assert not same(first, sampler().sample("test", range(1, 2)))
    assert not same(first, sampler().sample("train", range(1)))


def test_every_class_and_drawer_is_met_equally_often() -> None:
    episodes = sampler(n_way=5, n_query=1).sample("upright", range(4000))
    classes = torch.bincount(episodes.support.flatten() // 20, minlength=10)
    drawers = torch.bincount(episodes.query.flatten() % 20, minlength=20)
    assert classes.tolist() == pytest.approx([2000] * 10, abs=150)  # 5 standard deviations
    assert drawers.tolist() == pytest.approx([1000] * 20, abs=160)


def test_no_episodes_at_all_are_an_empty_batch() -> None:
    assert sampler().sample("test", range(0)).support.shape == (0, 5, 1)


def test_more_ways_than_classes_are_refused_with_the_number_there_are() -> None:
    with pytest.raises(ConfigError, match="n_way 41 is more than the 40 classes of split 'test'"):
        sampler(n_way=41).sample("test", range(1))


def test_more_images_than_a_class_has_are_refused() -> None:
    with pytest.raises(ConfigError, match="k_shot 6 \\+ n_query 15 is more than the 20 images"):
        sampler(k_shot=6)


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="each must be at least 1"):
        sampler(k_shot=0)


def test_an_unknown_split_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"unknown split 'tset': did you mean 'test'\?"):
        sampler().sample("tset", range(1))
