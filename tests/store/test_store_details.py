"""Runs looked at from closer by: windows of long curves, and several runs at once."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event

from store import queue
from store.engine import open_store, reading
from store.snapshot import Pictures
from store.views import Look
from tests.store.store_cases import Writer, ask, request, take


@pytest.fixture
def writer(engine: Engine) -> Writer:
    ask(engine, request())
    return Writer(engine, take(engine))


def test_the_selected_run_is_read_in_the_window_asked_for(writer: Writer) -> None:
    writer.write(range(1000), [float(step) for step in range(1000)])
    taken = Pictures(writer.engine).take(now=1.0, selected=1, look=Look(200, (300, 399)))
    assert taken.selected is not None
    (curve,) = taken.selected.curves
    assert curve.steps == tuple(range(300, 400))


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)  # the others take long to write so many points
def test_a_window_of_a_long_curve_costs_a_bounded_number_of_rows(writer: Writer) -> None:
    writer.write(range(200_000), [1.0] * 200_000)
    whole, close = (_rows(writer.engine, Look(100, window)) for window in (None, (123_000, 124_000)))
    assert max(whole, close) <= 17 * 100 + 50


def test_compared_runs_come_with_one_metric_and_its_band(writer: Writer) -> None:
    for name in ("train/loss", "train/loss.low", "train/loss.high", "val/loss"):
        replace(writer, name=name).write([1, 2], [3.0, 4.0])
    ask(writer.engine, request("other"))
    look = Look(compared=(2, 1, 77), metric="train/loss")
    compared = Pictures(writer.engine).take(now=1.0, look=look).compared
    assert [run.row.id for run in compared] == [
        2,
        1,
    ]  # in the order asked for; one that is not there is left out
    names = [[curve.name for curve in run.curves] for run in compared]
    assert names == [[], ["train/loss", "train/loss.high", "train/loss.low"]]


def test_finished_runs_are_not_read_again_until_they_are_retried(writer: Writer) -> None:
    writer.write([1], [3.0])
    pictures, look = Pictures(writer.engine), Look(compared=(1,), metric="train/loss")

    def statements() -> int:
        counted: list[str] = []
        event.listen(writer.engine, "before_cursor_execute", lambda *args: counted.append(args[2]))
        pictures.take(now=2.0, look=look)
        return sum("FROM metric" in each and "summary" not in each for each in counted)

    queue.fail(writer.engine, 1, 1, "ValueError: no", now=2.0)
    first = statements()
    ask(writer.engine, request("other"))  # something is committed
    assert statements() < first
    queue.retry(writer.engine, [1], 3.0)
    (again,) = pictures.take(now=3.0, look=look).compared
    assert again.row.status == "queued"
    assert again.error is None


def _rows(engine: Engine, look: Look) -> int:
    """Take a picture, and count the rows that the database hands out on the way."""
    other = open_store(engine.url.render_as_string(hide_password=False))
    counted = 0

    def count(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        nonlocal counted
        if statement.startswith("SELECT"):
            with reading(other) as connection:
                counted += len(connection.exec_driver_sql(statement, parameters).all())

    event.listen(engine, "before_cursor_execute", count)
    Pictures(engine).take(now=1.0, selected=1, look=look)
    event.remove(engine, "before_cursor_execute", count)
    other.dispose()
    return counted
