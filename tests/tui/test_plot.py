"""Charts drawn with characters: exact small pictures, and values no plot must choke on."""

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsrun.axes import format_number, limits, log_ticks, thinned, ticks
from fsrun.plot import Level, Series, _strokes, draw_chart

anything = st.floats(allow_nan=True, allow_infinity=True)
curve = st.lists(st.tuples(st.integers(0, 10**9), anything, anything, anything), max_size=40)


def test_a_line_without_colour_is_plain_ascii() -> None:
    picture = draw_chart(
        [Series("train", range(5), [0, 1, 2, 3, 4])], width=30, height=8, title="loss", colour=False
    )
    assert picture.plain.split("\n") == [
        "loss   train 4",
        "     4+                    ***",
        "      |              ******",
        "     2+         *****",
        "      |   ******",
        "     0+***",
        "      ++----------+----------+",
        "       0          2          4",
    ]


def test_a_gap_stays_a_gap_and_what_is_left_of_infinity_is_drawn() -> None:
    values = [1.0, 1.0, math.nan, math.nan, 1.0, math.inf]
    rows = draw_chart([Series("a", range(6), values)], width=40, height=8, colour=False).plain.split("\n")
    (drawn,) = (row[7:].strip() for row in rows[1:] if "*" in row)
    left, _, right = drawn.partition(" ")
    assert set(left) == {"*"}
    assert right.strip() == "*"


def test_a_spike_survives_thinning_to_a_few_points() -> None:
    points = [(float(step), 100.0 if step == 54_321 else 0.0) for step in range(100_000)]
    kept = thinned(points, 200)
    assert len(kept) <= 210
    assert (54_321.0, 100.0) in kept
    assert kept == sorted(kept)


def test_a_spike_of_one_entry_in_a_band_is_drawn_at_its_full_height() -> None:
    entries = 500
    for spike in (0, 123, 251, 499):
        low = [-8.0 if step == spike else -1.0 for step in range(entries)]
        high = [8.0 if step == spike else 1.0 for step in range(entries)]
        band = Series("a", range(entries), [0.0] * entries, low, high)
        rows = draw_chart([band], width=80, height=20, colour=False).plain.split("\n")[1:18]
        upright = {
            column: sum(row[column : column + 1] in (":", "*") for row in rows) for column in range(7, 80)
        }
        (tall,) = (column for column, count in upright.items() if count > 5)
        assert upright[tall] >= 15
        assert abs(tall - 7 - spike / (entries - 1) * 72) <= 1


def test_a_band_takes_at_most_one_stroke_per_column_however_many_entries_it_has() -> None:
    entries = 10_000
    band = Series("a", range(entries), [0.0] * entries, [-1.0] * entries, [1.0] * entries)
    strokes = _strokes(band, (0.0, entries - 1.0), 113)
    assert len(strokes) == 113
    assert {(low, high) for _, low, high in strokes} == {(-1.0, 1.0)}


@pytest.mark.parametrize(("values", "width"), [(1.0, 120), (1.0, 61), (-1.2345e-5, 80)])
def test_a_band_has_no_holes_between_its_columns(values: float, width: int) -> None:
    entries = 500
    low, high = [values - abs(values) / 1000] * entries, [values + abs(values) / 1000] * entries
    band = Series("a", range(entries), [values] * entries, low, high)
    rows = draw_chart([band], width=width, height=12, colour=False).plain.split("\n")[1:]
    filled = [row[row.index(":") :] for row in rows if ":" in row]
    assert len(filled) > 3
    assert {len(row) for row in filled} == {width - rows[-2].index("+") - 1}
    assert not any(" " in row for row in filled)


def test_two_series_and_a_level_can_be_told_apart_without_colour() -> None:
    rising, falling = [1, 2, 3, 4], [4, 3, 2, 1]
    chart = draw_chart(
        [Series("train", range(4), rising), Series("val", range(4), falling)],
        width=60,
        height=12,
        lines=[Level("floor", 0.5)],
        colour=False,
    ).plain
    assert chart.split("\n")[0] == "* train 4   + val 1   .. floor 0.5"
    assert all(mark in chart.split("\n", 1)[1] for mark in "*+.")


def test_a_log_axis_is_marked_at_powers_of_ten() -> None:
    values = [10.0**-step for step in range(5)]
    chart = draw_chart([Series("a", range(5), values)], width=60, height=20, log_y=True, colour=False)
    assert [label for label in ("1+", "0.1+", "0.01+", "0.001+") if label not in chart.plain] == []


def test_values_that_are_not_positive_are_left_out_of_a_log_axis() -> None:
    chart = draw_chart([Series("a", range(4), [0.0, -1.0, 1.0, 10.0])], width=60, height=10, log_y=True)
    assert "no point can be drawn" not in chart.plain
    nothing = draw_chart([Series("a", range(2), [0.0, -1.0])], width=60, height=10, log_y=True)
    assert "no point can be drawn" in nothing.plain


def test_no_points_draw_an_empty_frame_that_says_so() -> None:
    drawn = {
        "no points yet": ([], [Series("a", [], [])]),
        "no point can be drawn": ([Series("a", [1], [math.nan])],),
    }
    for words, series in ((words, each) for words, them in drawn.items() for each in them):
        rows = draw_chart(series, width=40, height=9, title="loss").plain.split("\n")
        assert len(rows) == 9
        assert any(words in row for row in rows)


def test_markup_in_a_name_is_text() -> None:
    chart = draw_chart([Series("[red]a[/red]", [0, 1], [0, 1])], width=60, height=10, title="[b]t[/b]")
    assert chart.plain.startswith("[b]t[/b]   [red]a[/red] 1")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(curve, max_size=3),
    st.integers(1, 90),
    st.integers(1, 30),
    st.booleans(),
    st.booleans(),
    anything,
)
def test_whatever_the_values_the_chart_has_the_size_asked_for(
    curves: list[list[tuple[int, float, float, float]]],
    width: int,
    height: int,
    log_y: bool,
    colour: bool,
    level: float,
) -> None:
    series = [
        Series(f"s{index}", *([row[place] for row in rows] for place in range(4)))
        for index, rows in enumerate(curves)
    ]
    chart = draw_chart(
        series, width=width, height=height, title="t", log_y=log_y, colour=colour, lines=[Level("l", level)]
    )
    rows = chart.plain.split("\n")
    assert len(rows) == height
    assert max(len(row) for row in rows) <= width
    assert colour or chart.plain.isascii()


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0123456, "0.01235"), (5000, "5000"), (20_000, "20k"), (1.5e6, "1.5M"), (3.2e-7, "3.2e-07"), (0, "0")],
)
def test_numbers_have_four_digits(value: float, words: str) -> None:
    assert format_number(value) == words


def test_ticks_are_round_numbers_within_the_axis() -> None:
    assert ticks(0, 100, 5) == [0, 20, 40, 60, 80, 100]
    assert ticks(-0.3, 0.3, 3) == [-0.2, 0, 0.2]
    assert log_ticks(-3, 2, 6) == [-3, -2, -1, 0, 1, 2]


def test_the_axis_of_a_constant_has_a_length() -> None:
    low, high = limits([5.0, 5.0], 0.03)
    assert low < 5 < high


def test_plotting_loads_neither_torch_nor_textual_nor_the_store() -> None:
    code = "import sys, fsrun.plot; print([m for m in ('torch', 'textual', 'sqlmodel') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
