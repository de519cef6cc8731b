"""Curves: written in batches, rewound, and read at the cost of the pixels drawn.

Not here: who may write them (the fence is tested with the queue).
"""

from collections.abc import Iterator
from dataclasses import replace
from math import inf, isnan, nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from store import curves, queue
from store.curves import LEVELS, RADIX, merge, merge_by, of_point, width_for
from store.engine import open_store, reading
from store.runs import get_run
from store.snapshot import snapshot
from tests.store.store_cases import Writer, ask, request, take


@pytest.fixture
def writer(engine: Engine) -> Writer:
    ask(engine, request())
    return Writer(engine, take(engine))


@pytest.fixture(scope="module")
def long_curve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writer]:
    engine = open_store(tmp_path_factory.mktemp("db") / "fsrun.db")
    ask(engine, request())
    writer = Writer(engine, take(engine))
    writer.write(range(5000), [_zigzag(step) for step in range(5000)])
    yield writer
    engine.dispose()


def _zigzag(step: int) -> float:
    return float(step * 7919 % 5000)


def test_short_curve_comes_back_point_by_point(writer: Writer) -> None:
    writer.write([10, 20, 30], [3.0, 2.0, 1.0])
    curve = writer.read()
    assert curve.steps == (10, 20, 30)
    assert curve.mean == curve.low == curve.high == curve.last == (3.0, 2.0, 1.0)
    assert curve.times == (10.0, 20.0, 30.0)


def test_unknown_metric_is_an_empty_curve(writer: Writer) -> None:
    assert writer.read() == curves.Curve("train/loss", (), (), (), (), (), ())


def test_writing_tells_how_far_the_run_is(writer: Writer) -> None:
    writer.write([10], [3.0])
    (row,) = snapshot(writer.engine, now=6.0).runs
    assert (row.step, row.rate, row.eta_seconds, row.latest) == (10, 10.0, 99.0, {"train/loss": 3.0})


def test_point_written_twice_is_stored_once(writer: Writer) -> None:
    steps = list(range(40))
    writer.write(steps, [1.0] * 40)
    before = _tables(writer.engine)
    writer.write(steps[20:30], [1.0] * 10)
    assert _tables(writer.engine) == before
    writer.write([5], [9.0])
    assert writer.read().last[5] == 9.0
    assert writer.read(max_points=3).high[0] == 9.0


def test_of_two_points_at_one_step_in_one_batch_the_later_counts(writer: Writer) -> None:
    writer.write([1, 2, 2, 3], [1.0, 5.0, 7.0, 1.0])
    assert writer.read().last == (1.0, 7.0, 1.0)
    assert writer.read(max_points=1).high == (7.0,)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)  # the others take long to write so many points
def test_long_curve_is_read_in_a_bounded_number_of_rows_and_keeps_its_spike(writer: Writer) -> None:
    values = [1.0] * 200_000
    values[123_457] = 1e6
    writer.write(range(200_000), values)
    rows, curve = _counting_rows(writer, max_points=200)
    assert rows <= 17 * 200 + 1
    assert 100 <= len(curve.steps) <= 200
    assert max(curve.high) == 1e6
    assert min(curve.low) == 1.0
    assert curve.steps[-1] == 199_999
    assert sum(mean > 1.0 for mean in curve.mean) == 1

    rows, zoomed = _counting_rows(writer, max_points=200, first=123_000, last=123_999)
    assert rows <= 17 * 200 + 1
    assert (zoomed.steps[0], zoomed.steps[-1]) == (123_007, 123_999)
    assert max(zoomed.high) == 1e6

    _, close = _counting_rows(writer, max_points=200, first=123_450, last=123_460)
    assert close.steps == tuple(range(123_450, 123_461))


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_part_of_a_curve_is_drawn_from_the_points_within_it_alone(writer: Writer) -> None:
    inside = range(1001, 9004)
    writer.write(range(10_000), [1.0 if step in inside else 1e6 for step in range(10_000)])
    for max_points in (10, 20, 500):
        rows, curve = _counting_rows(writer, max_points, first=1001, last=9003)
        assert rows <= 17 * max_points + 2 * 15 * LEVELS + 2
        assert max_points / 2 <= len(curve.steps) <= max_points
        assert curve.steps[0] >= 1001
        assert curve.steps[-1] == 9003
        assert set(curve.mean + curve.low + curve.high + curve.last) == {1.0}


@settings(max_examples=25, deadline=None)
@given(first=st.integers(0, 5000), length=st.integers(0, 5000), max_points=st.integers(1, 60))
def test_any_part_of_a_curve_has_the_extremes_and_the_end_of_its_points(
    long_curve: Writer, first: int, length: int, max_points: int
) -> None:
    last = first + length
    curve = long_curve.read(max_points, first=first, last=last)
    points = [(step, _zigzag(step)) for step in range(first, min(last, 4999) + 1)]
    if not points:
        assert curve.steps == ()
        return
    values = [value for _, value in points]
    assert (min(curve.low), max(curve.high)) == (min(values), max(values))
    assert (curve.steps[-1], curve.last[-1]) == points[-1]
    assert curve.steps[0] >= first


def test_buckets_stay_where_they_are_while_a_curve_grows(writer: Writer) -> None:
    writer.write(range(3000), [float(step % 7) for step in range(3000)])
    before = writer.read(max_points=100)
    writer.write(range(3000, 3150), [0.0] * 150)
    after = writer.read(max_points=100)
    assert after.steps[: len(before.steps) - 1] == before.steps[:-1]
    assert after.mean[: len(before.steps) - 1] == before.mean[:-1]


def test_curve_with_wide_gaps_between_its_points_is_drawn_finely(writer: Writer) -> None:
    writer.write(range(0, 3_000_000, 1000), [1.0] * 3000)
    curve = writer.read(max_points=200)
    assert 90 <= len(curve.steps) <= 200


def test_nan_and_infinity_survive(writer: Writer) -> None:
    writer.write([1, 2, 3, 4, 5], [1.0, nan, 5e-324, inf, -inf])
    points = writer.read()
    assert isnan(points.last[1])
    assert points.last[2:] == (5e-324, inf, -inf)
    folded = writer.read(max_points=1)
    assert (folded.low, folded.high, folded.last) == ((-inf,), (inf,), (-inf,))
    assert isnan(folded.mean[0])


def test_nan_hides_no_number_beside_it(writer: Writer) -> None:
    writer.write(range(40), [nan] * 16 + [2.0, nan, 4.0] + [nan] * 21)
    whole = writer.read(max_points=1)
    assert (whole.mean, whole.low, whole.high) == ((3.0,), (2.0,), (4.0,))
    assert isnan(whole.last[0])
    first, *_ = writer.read(max_points=3).mean
    assert isnan(first)
    (row,) = snapshot(writer.engine, now=0.0).runs
    assert isnan(row.latest["train/loss"])


def test_rewound_run_is_as_if_it_had_never_gone_further(writer: Writer) -> None:
    writer.write(range(0, 101), [float(step) for step in range(101)])
    before = _tables(writer.engine)
    writer.write(range(101, 5000), [7.0] * 4899)
    other = replace(writer, name="test/accuracy")
    other.write([400], [0.5])

    queue.release(writer.engine, writer.claim.run_id, 1, now=3.0)
    again = take(writer.engine, now=4.0)
    curves.rewind(writer.engine, again.run_id, again.attempt, 100)
    assert _tables(writer.engine) == before
    assert other.read().steps == ()
    run = get_run(writer.engine, again.run_id)
    assert (run.step, run.attempts[1].from_step) == (100, 100)


def test_points_written_again_after_a_rewind_are_not_doubled(writer: Writer) -> None:
    writer.write(range(300), [1.0] * 300)
    uninterrupted = _tables(writer.engine)
    curves.rewind(writer.engine, writer.claim.run_id, 1, 150)
    writer.write(range(151, 300), [1.0] * 149)
    assert _tables(writer.engine) == uninterrupted


@settings(max_examples=25, deadline=None)
@given(
    curve=st.dictionaries(
        st.integers(0, 70_000),
        st.floats(-1e6, 1e6) | st.just(nan),
        min_size=1,
        max_size=60,
    ),
    data=st.data(),
)
def test_summaries_do_not_depend_on_how_points_came_in_batches(
    tmp_path_factory: pytest.TempPathFactory, curve: dict[int, float], data: st.DataObject
) -> None:
    engine = open_store(tmp_path_factory.mktemp("db") / "fsrun.db")
    ask(engine, request("a"), request("b"))
    at_once, in_batches = Writer(engine, take(engine)), Writer(engine, take(engine))
    at_once.write(list(curve), list(curve.values()))
    order = data.draw(st.permutations(sorted(curve)))
    cut = data.draw(st.integers(0, len(order)))
    for batch in (order[:cut], order[cut:]):
        if batch:
            in_batches.write(batch, [curve[step] for step in batch])
    for max_points in (1, 7, 50):
        assert repr(at_once.read(max_points)) == repr(in_batches.read(max_points))
    engine.dispose()


def test_merging_by_width_groups_neighbours() -> None:
    points = [of_point(step, float(step), 0.0) for step in (0, 1, 4, 5, 6, 9)]
    merged = merge_by(points, 4)
    assert [bucket for bucket, _ in merged] == [0, 1, 2]
    assert [part.points for _, part in merged] == [2, 3, 1]
    assert merge([part for _, part in merged]) == merge(points)
    assert merge(points).mean == pytest.approx(25 / 6)


@given(first=st.integers(0, 10**7), length=st.integers(0, 10**7), most=st.integers(1, 500))
def test_width_is_the_smallest_power_of_two_that_fits(first: int, length: int, most: int) -> None:
    last = first + length
    width = width_for(first, last, most)
    assert width.bit_count() == 1
    fits = last // width - first // width + 1 <= most
    assert fits or width > last
    assert width == 1 or last // (width // 2) - first // (width // 2) + 1 > most


def test_widest_bucket_holds_a_long_run() -> None:
    assert RADIX**LEVELS > 10_000_000


def _tables(engine: Engine) -> list[Any]:
    """Return all rows of all tables that hold curves."""
    with reading(engine) as connection:
        return [
            sorted(tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}")))
            for table in ("metric", "point", "summary")
        ]


def _counting_rows(
    writer: Writer, max_points: int, first: int | None = None, last: int | None = None
) -> tuple[int, curves.Curve]:
    """Read the curve, and count the rows that the database hands out on the way."""
    counted = 0

    def count(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        nonlocal counted
        if statement.startswith("SELECT"):
            with reading(other) as connection:
                counted += len(connection.exec_driver_sql(statement, parameters).all())

    other = open_store(writer.engine.url.render_as_string(hide_password=False))
    event.listen(writer.engine, "before_cursor_execute", count)
    curve = writer.read(max_points, first, last)
    event.remove(writer.engine, "before_cursor_execute", count)
    other.dispose()
    return counted, curve
