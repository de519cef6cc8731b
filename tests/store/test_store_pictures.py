"""Snapshots one after another: each as if it were the first, and next to nothing read where nothing changed.

Not here: what a snapshot holds (test_store_snapshot).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest
from sqlalchemy import Engine, event

from store import queue, workers
from store.engine import open_store
from store.errors import RunNotFound
from store.results import ResultRow
from store.snapshot import Pictures, snapshot
from tests.store.store_cases import Writer, ask, request, take


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """Collect the statements that are executed in here."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def life_of_some_jobs(engine: Engine) -> Iterator[str]:
    """Carry out the orders of workers and users one by one; yields what was done."""
    child, other, third = ask(engine, request("child", request("parent")), request("other"), request("third"))
    yield "queued"
    workers.register(engine, "w1", host="here", pid=1, device="cpu", now=1.0)
    yield "a worker came"
    parent = take(engine)
    yield "claimed"
    Writer(engine, parent).write([100], [3.0])
    yield "reported"
    workers.beat(engine, "w1", now=4.0, run_id=parent.run_id)
    yield "a sign of life"
    queue.fail(engine, parent.run_id, parent.attempt, "boom", now=5.0)
    yield "failed"
    queue.retry(engine, [parent.run_id], 6.0)
    yield "retried"
    again = take(engine, now=7.0)
    queue.crashed(engine, again.run_id, again.attempt, "died", now=8.0)
    yield "crashed"
    last = take(engine, now=9.0)
    result = ResultRow("test/accuracy", 0.9, 0.01, 100)
    queue.finish(engine, last.run_id, last.attempt, [result], now=10.0)
    yield "finished, so that the child waits no more"
    queue.request_cancel(engine, [child], 11.0)
    yield "cancelled"
    queue.retry(engine, [child], 12.0)
    yield "queued again"
    queue.request_cancel(engine, [child], 13.0)
    yield "cancelled again"
    ask(engine, request("urgent", request("third")), now=14.0, priority=5)
    yield "more priority for what is shared"
    queue.pause(engine, 15.0)
    yield "paused"
    assert other < third


@pytest.mark.parametrize("by_itself", [True, False])
def test_every_picture_is_the_one_that_a_first_look_gives(place: str, *, by_itself: bool) -> None:
    watched = open_store(place)
    acting = watched if by_itself else open_store(place)
    pictures = Pictures(watched)
    done = []
    for what in life_of_some_jobs(acting):
        done.append(what)
        for now, selected in ((20.0, None), (25.0, 2)):
            expected = snapshot(acting, now=now, selected=selected)
            assert pictures.take(now=now, selected=selected) == expected, what
    assert len(done) == 14
    for engine in (watched, acting):
        engine.dispose()


def test_where_nothing_changed_one_statement_is_enough_and_ages_go_on(engine: Engine) -> None:
    ask(engine, *(request("a", seed=seed) for seed in range(50)))
    workers.register(engine, "w1", host="here", pid=1, device="cpu", now=0.0)
    Writer(engine, take(engine)).write([100], [3.0])
    pictures = Pictures(engine)
    pictures.take(now=5.0, selected=1)
    with statements(engine) as seen:
        later = pictures.take(now=8.0, selected=1)
    wanted = [each for each in seen if not each.startswith(("BEGIN", "SET TRANSACTION"))]
    assert len(wanted) == 1
    assert later == snapshot(engine, now=8.0, selected=1)
    assert later.runs[-1].heartbeat_age == 8.0


def test_a_run_that_is_not_there_is_named_again_and_again(engine: Engine) -> None:
    pictures = Pictures(engine)
    for _ in range(2):
        with pytest.raises(RunNotFound):
            pictures.take(now=1.0, selected=7)
    assert pictures.take(now=1.0).runs == ()


def test_another_file_in_the_place_of_the_first_is_read_anew(tmp_path: Path) -> None:
    for name, run in (("fsrun.db", "a"), ("other.db", "b")):
        engine = open_store(tmp_path / name)
        ask(engine, *(request(run, seed=seed) for seed in (0, 1)))
        engine.dispose()
    with_one_more = open_store(tmp_path / "other.db")
    queue.request_cancel(with_one_more, [1], 2.0)
    with_one_more.dispose()
    engine = open_store(tmp_path / "fsrun.db")
    pictures = Pictures(engine)
    before = pictures.take(now=1.0)
    (tmp_path / "other.db").replace(tmp_path / "fsrun.db")
    engine.dispose()
    after = pictures.take(now=1.0)
    assert after != before
    assert after == snapshot(engine, now=1.0)
    engine.dispose()


def milliseconds(act: Callable[[], object]) -> float:
    times = []
    for _ in range(9):
        began = time.perf_counter()
        act()
        times.append(1e3 * (time.perf_counter() - began))
    return median(times)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_look_at_many_runs_costs_little_after_the_first(engine: Engine) -> None:
    ask(engine, *(request("a", seed=seed) for seed in range(400)))
    writer = Writer(engine, take(engine))
    pictures = Pictures(engine)
    whole = milliseconds(lambda: snapshot(engine, now=1.0))
    unchanged = milliseconds(lambda: pictures.take(now=1.0))
    steps = iter(range(1, 100))

    def report() -> None:
        writer.write([next(steps)], [1.0])

    def report_and_look() -> None:
        report()
        pictures.take(now=1.0)

    reporting = milliseconds(report)
    assert unchanged < whole / 4
    assert milliseconds(report_and_look) - reporting < whole
