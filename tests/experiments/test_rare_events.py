"""The memory for rare events against its rules, worked by hand in two dimensions."""

import math

import pytest
import torch
from torch import Tensor

from experiments.config import RareEventsConfig
from experiments.models.kaiser import KaiserEncoder
from experiments.models.key_memory import EMPTY, KeyMemory, margin_loss
from experiments.rng import generator

EAST, NORTH = [1.0, 0.0], [0.0, 1.0]


def unit(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


def memory_of(keys: list[list[float]], labels: list[int], ages: list[float]) -> KeyMemory:
    return KeyMemory(torch.tensor([keys]), torch.tensor([labels]), torch.tensor([ages]))


def shown(memory: KeyMemory, *queries: tuple[list[float], int]) -> Tensor:
    """Write queries with their labels in one batch, without noise; return the slots they were nearest to."""
    query = torch.tensor([[each for each, _ in queries]])
    nearest = memory.nearest(query, 1)[1][..., 0]
    memory.write(query, torch.tensor([[label for _, label in queries]]), nearest, torch.zeros(1, 1))
    return nearest


def test_a_right_answer_turns_its_key_towards_the_query_and_makes_it_young() -> None:
    memory = memory_of([EAST, NORTH], [7, 8], [3, 3])
    shown(memory, (unit(40), 7))
    torch.testing.assert_close(memory.keys, torch.tensor([[unit(20), NORTH]]))
    assert memory.labels.tolist() == [[7, 8]]
    assert memory.ages.tolist() == [[0, 4]]


def test_a_wrong_answer_overwrites_the_oldest_slot() -> None:
    memory = memory_of([EAST, NORTH, unit(180)], [7, 8, 9], [1, 2, 5])
    shown(memory, (unit(10), 8))
    torch.testing.assert_close(memory.keys, torch.tensor([[EAST, NORTH, unit(10)]]))
    assert memory.labels.tolist() == [[7, 8, 8]]
    assert memory.ages.tolist() == [[2, 3, 0]]


def test_queries_of_one_batch_write_to_slots_of_their_own_and_spare_those_in_use() -> None:
    memory = memory_of([EAST, NORTH, unit(180), unit(270)], [7, 8, 9, 9], [9, 1, 5, 4])
    shown(memory, (EAST, 7), (NORTH, 1), (NORTH, 2))  # slot 0 is the oldest, but right just now
    assert memory.labels.tolist() == [[7, 8, 1, 2]]
    assert memory.ages.tolist() == [[0, 2, 0, 0]]


def test_noise_decides_between_slots_of_nearly_the_same_age() -> None:
    memory = memory_of([EAST, NORTH, unit(180)], [7, 8, 9], [10, 2, 20])
    query, nearest = torch.tensor([[EAST]]), torch.tensor([[0]])
    memory.write(query, torch.tensor([[5]]), nearest, torch.tensor([[0.9, 1.0, -0.9]]))  # 18.2, 11, 13.8
    assert memory.labels.tolist() == [[5, 8, 9]]


def loss_of(memory: KeyMemory, query: Tensor, label: int, neighbours: int) -> Tensor:
    found = memory.nearest(query, neighbours)
    return margin_loss(memory, query, torch.tensor([[label]]), found, 0.1)


@pytest.mark.parametrize(
    ("label", "neighbours", "expected"),
    [
        (7, 3, 0.0),  # s+ = cos 10, s- = cos 50: farther apart than the margin
        (8, 3, math.cos(math.radians(10)) - math.cos(math.radians(50)) + 0.1),
        (9, 1, math.cos(math.radians(10)) - math.cos(math.radians(100)) + 0.1),  # the newest 9, out of reach
        (5, 3, math.cos(math.radians(10)) + 0.1),  # never seen: s+ = 0
    ],
)
def test_loss_is_the_margin_between_the_best_wrong_and_the_best_right_key(
    label: int, neighbours: int, expected: float
) -> None:
    memory = memory_of([unit(10), unit(50), unit(150), unit(100)], [7, 8, 9, 9], [0, 1, 3, 2])
    query = torch.tensor([[EAST]])
    assert float(loss_of(memory, query, label, neighbours)) == pytest.approx(expected, abs=1e-6)


def test_the_query_learns_from_the_loss_and_the_keys_do_not() -> None:
    memory = memory_of([unit(10), unit(50)], [7, 8], [0, 0])
    query = torch.tensor([[EAST]], requires_grad=True)
    loss_of(memory, query, 8, 2).backward()
    assert query.grad is not None
    torch.testing.assert_close(query.grad, torch.tensor([[unit(10)]]) - torch.tensor([[unit(50)]]))
    memory.write(query, torch.tensor([[1]]), torch.tensor([[0]]), torch.zeros(1, 2))
    assert not memory.keys.requires_grad


def test_an_empty_memory_knows_no_label_and_forgets_nothing_while_it_has_room() -> None:
    memory = KeyMemory.empty(1, 3, 2, torch.device("cpu"))
    assert memory.labels.unique().tolist() == [EMPTY]
    for degrees, label in ((0.0, 4), (90.0, 5), (180.0, 6)):
        shown(memory, (unit(degrees), label))
    assert sorted(memory.labels[0].tolist()) == [4, 5, 6]


def test_the_encoder_of_the_source_has_its_layers() -> None:
    config = RareEventsConfig()
    network = KaiserEncoder(config.filters, config.key_size, generator("weights"))
    sizes = [parameter.numel() for parameter in network.parameters() if parameter.ndim > 1]
    assert sizes == [9 * 64, 9 * 64 * 64, 9 * 64 * 128, 9 * 128 * 128, 49 * 128 * 256]
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 256)
