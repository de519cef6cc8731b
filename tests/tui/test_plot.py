"""Charts drawn with characters: exact small pictures, and values no plot must choke on."""

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsrun.axes import format_number, limits, log_ticks, ticks
from fsrun.plot import Level, Plot, Series, Style, draw, draw_chart, smoothed
from fsrun.plot.canvas import Canvas
from fsrun.plot.chart import strokes

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


def test_a_spike_among_very_many_points_is_drawn_at_its_full_height() -> None:
    values = [100.0 if step == 54_321 else 0.0 for step in range(100_000)]
    chart = draw_chart([Series("a", range(100_000), values)], width=80, height=20, colour=False)
    columns = {row.index("*", 40) for row in chart.plain.split("\n")[2:16]}
    assert len(columns) == 1


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
    found = strokes(Canvas(113, 20, (0.0, entries - 1.0), (-1.0, 1.0), braille=True), band)
    assert [column for column, _, _ in found] == list(range(113))
    assert {(low, high) for _, low, high in found} == {(-1.0, 1.0)}


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


def test_a_window_without_points_says_so() -> None:
    early = Plot((Series("a", [1, 2], [1.0, 2.0]),), x_limits=(5, 9))
    assert "no point in this window" in "".join(row.plain for row in draw(early, width=40, height=9).rows)
    nothing = Plot((Series("a", [1, 2], [math.nan, math.inf]),), x_limits=(0, 9))
    assert "no point can be drawn" in "".join(row.plain for row in draw(nothing, width=40, height=9).rows)


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
        Series(
            f"s{index}",
            [row[0] for row in rows],
            [row[1] for row in rows],
            [row[2] for row in rows],
            [row[3] for row in rows],
        )
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
    [
        (0.0123456, "0.01235"),
        (5000, "5000"),
        (9999.9, "10k"),
        (20_000, "20k"),
        (999_999, "1M"),
        (1.5e6, "1.5M"),
        (3.2e-7, "3.2e-07"),
        (0, "0"),
    ],
)
def test_numbers_have_four_digits(value: float, words: str) -> None:
    assert format_number(value) == words


def test_ticks_are_round_numbers_within_the_axis() -> None:
    assert ticks(0, 100, 5) == [0, 20, 40, 60, 80, 100]
    assert ticks(-0.3, 0.3, 3) == [-0.2, 0, 0.2]
    assert log_ticks(-3, 2, 6) == [-3, -2, -1, 0, 1, 2]


def test_the_axis_of_a_constant_has_a_length() -> None:
    assert limits([0.0, 0.0], 0.03) == (-1, 1)  # a constant at 0 is drawn at a size that can be read
    low, high = limits([5.0, 5.0], 0.03)
    assert low < 5 < high


def test_a_log_x_axis_has_its_decades_equally_far_apart() -> None:
    chart = draw_chart(
        [Series("a", [0, 1, 10, 100], [9, 0, 1, 2])], width=48, height=9, log_x=True, colour=False
    )
    axis = chart.plain.split("\n")[-2]
    first, middle, last = (place for place, char in enumerate(axis) if char == "+" and place > 6)
    assert middle - first == last - middle
    assert "9" not in chart.plain  # at step 0, which is nowhere on this axis


def test_curves_of_other_styles_are_told_apart_without_colour() -> None:
    flat = [1.0, 1.0]
    series = [
        Series("raw", [0, 9], [2.0, 2.0], style=Style.FAINT, look=0),
        Series("run", [0, 9], flat, look=0),
        Series("theory", [0, 9], [0.0, 0.0], style=Style.REFERENCE),
    ]
    head, *rows = draw_chart(series, width=47, height=9, colour=False).plain.split("\n")
    assert head == "* run 1   ~ theory 0"  # what is faint belongs to the curve in front of it
    drawn = [row[7:].replace(" ", "") for row in rows[:6] if row[7:].strip()]
    assert [set(row) for row in drawn] == [{"."}, {"*"}, {"~"}]
    (dotted,) = (row[7:] for row in rows if "~" in row)
    assert "~ ~" in dotted.strip()


def test_a_faint_line_has_every_second_dot_of_a_solid_one() -> None:
    def dots(style: Style) -> int:
        rows = draw(Plot((Series("a", [0, 9], [0.0, 9.0], style=style),)), width=60, height=12).rows
        braille = (ord(char) - 0x2800 for row in rows for char in row.plain if char >= "\u2800")
        return sum(code.bit_count() for code in braille)

    assert 0.45 < dots(Style.FAINT) / dots(Style.SOLID) < 0.55


def test_dashes_leave_out_dots_that_a_line_has() -> None:
    def dots(style: Style) -> int:
        rows = draw(Plot((Series("a", [0, 9], [1.0, 1.0], style=style),)), width=60, height=9).rows[1:]
        return sum((ord(char) - 0x2800).bit_count() for row in rows for char in row.plain if char > "⠀")

    assert dots(Style.DASHED) < 0.7 * dots(Style.SOLID)


def test_beyond_its_window_nothing_is_drawn_and_lines_go_on_to_its_edges() -> None:
    plot = Plot((Series("a", [0, 10, 20, 30], [0.0, 0.0, 8.0, 800.0]),), x_limits=(5, 15))
    drawing = draw(plot, width=47, height=9, colour=False)
    text = "\n".join(row.plain for row in drawing.rows)
    rows = [row.plain[7:] for row in drawing.rows[1:7]]
    assert "800" not in text.split("\n", 1)[1]
    assert rows[-1].startswith("****")  # from the point on the left, outside
    assert rows[0].rstrip().endswith("*")  # towards the point on the right, which is at 8: half of it
    assert any(row.plain.startswith("     4+") for row in drawing.rows)
    assert text.split()[-5:] == ["5", "7.5", "10", "12.5", "15"]


def test_a_window_between_two_points_shows_the_line_between_them() -> None:
    plot = Plot((Series("a", [0, 100], [1.0, 1.0]),), x_limits=(40, 60))
    rows = [row.plain[7:] for row in draw(plot, width=47, height=9, colour=False).rows]
    assert any(set(row.strip()) == {"*"} and len(row.strip()) == 40 for row in rows)


def test_the_cursor_reads_the_nearest_value_of_each_curve() -> None:
    curves = (Series("a", [0, 10, 20], [1.0, 2.0, 3.0]), Series("b", [0, 20], [7.0, 8.0]))
    drawing = draw(Plot(curves, cursor=11), width=47, height=9, colour=False)
    assert drawing.rows[0].plain == "* a 2   + b 8"
    assert drawing.field is not None
    column = drawing.field.left + round(11 / 20 * (drawing.field.width - 1))
    assert [row.plain[column] for row in drawing.rows[2:6]].count("|") >= 3
    assert abs(drawing.field.x_at(column) - 11) < 0.5


def test_a_long_legend_goes_on_in_further_lines() -> None:
    curves = [Series(f"a curve named {place}", [0, 1], [0, 1]) for place in range(6)]
    rows = draw_chart(curves, width=60, height=20, title="loss", colour=False).plain.split("\n")
    assert rows[0] == "loss"
    assert all(f"named {place} 1" in "\n".join(rows[1:4]) for place in range(6))
    assert max(map(len, rows)) <= 60


def test_smoothing_is_the_debiased_average_worked_out_by_hand() -> None:
    forgets_half = 1 / math.log(2)  # steps, so that each step halves what was there
    assert smoothed([0, 1, 2], [1.0, 0.0, 0.0], forgets_half) == pytest.approx([1.0, 1 / 3, 1 / 7])
    assert smoothed([0, 1, 2], [5.0, 5.0, 5.0], 100.0) == pytest.approx([5.0, 5.0, 5.0])
    assert smoothed([0, 1], [1.0, 2.0], 0.0) == [1.0, 2.0]


def test_smoothing_does_not_depend_on_how_densely_a_curve_was_sampled() -> None:
    steps = range(1, 2001)
    values = [math.sin(step / 150) + (step % 2) for step in steps]
    every = smoothed(steps, values, 100.0)
    means = [(values[place - 1] + values[place]) / 2 for place in range(1, 2000, 2)]
    every_other = smoothed(range(2, 2001, 2), means, 100.0)
    assert every_other[-1] == pytest.approx(every[-1], abs=0.01)
    assert max(abs(one - other) for one, other in zip(every[1::2], every_other, strict=True)) < 0.05


def test_a_gap_stays_a_gap_in_a_smoothed_curve_and_leaves_the_rest_alone() -> None:
    found = smoothed([0, 1, 2, 3], [1.0, math.nan, 1.0, 1.0], 3.0)
    assert math.isnan(found[1])
    assert [found[0], *found[2:]] == pytest.approx([1.0, 1.0, 1.0])


def test_plotting_loads_neither_torch_nor_textual_nor_the_store() -> None:
    code = "import sys, fsrun.plot; print([m for m in ('torch', 'textual', 'sqlmodel') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
