"""Ranges of options, and what is drawn from them."""

import math

import pytest

from experiments.draws import drawn, ranges_in
from experiments.errors import ConfigError
from experiments.sweeps import parse_settings


def test_draws_fill_their_ranges_evenly_on_their_scale() -> None:
    settings = parse_settings(["lr=1e-4..1e-1:log", "filters=1..4", "clip=-1..1", "seed=3,4", "network=a..b"])
    ranges = ranges_in(settings)
    assert {*ranges} == {"lr", "filters", "clip"}
    draws = [drawn(ranges, number) for number in range(400)]
    decades = [math.floor(math.log10(draw["lr"][0])) for draw in draws]
    assert {decade: decades.count(decade) // 100 for decade in decades} == {-4: 1, -3: 1, -2: 1}
    whole = [draw["filters"][0] for draw in draws]
    assert all(isinstance(value, int) for value in whole)
    assert {*whole} == {1, 2, 3, 4}
    assert abs(sum(draw["clip"][0] for draw in draws) / 400) < 0.1


def test_a_draw_is_the_same_whatever_else_is_drawn() -> None:
    alone = ranges_in(parse_settings(["lr=1e-4..1e-1:log"]))
    beside = ranges_in(parse_settings(["filters=16..64", "lr=1e-4..1e-1:log"]))
    assert [drawn(alone, number)["lr"] for number in range(5)] == [
        drawn(beside, number)["lr"] for number in range(5)
    ]


@pytest.mark.parametrize(
    ("word", "part"),
    [("lr=1..0", "must be below"), ("lr=0..1:log", "above 0"), ("lr=0.1,1e-4..1", "stands alone")],
)
def test_a_range_that_cannot_be_is_refused(word: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        ranges_in(parse_settings([word]))
