"""Runs that repeat others, found by what their requests say of them."""

from sqlalchemy import Engine

from store.queue import request_cancel
from store.runs import REPEATS, curve_ends, enqueue, repeats_of
from store.upkeep import trash
from tests.store.store_cases import Writer, ask, request, take


def repeat(engine: Engine, run_id: int) -> int:
    return enqueue(engine, [request()], now=2.0, provenance={REPEATS: str(run_id)})[0].run_id


def test_repeats_are_found_by_the_run_they_name_unless_deleted(engine: Engine) -> None:
    first = enqueue(engine, [request()], now=1.0, provenance={})[0].run_id
    one, other, deleted = (repeat(engine, first) for _ in range(3))
    again = repeat(engine, one)
    request_cancel(engine, [deleted], 3.0)
    trash(engine, [deleted], 3.0)
    assert repeats_of(engine, first) == (one, other)
    assert repeats_of(engine, one) == (again,)
    assert repeats_of(engine, again) == ()


def test_the_ends_of_curves_are_those_of_their_last_points(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    Writer(engine, take(engine)).write((1, 2, 4), (1.0, 0.5, 0.25))
    assert curve_ends(engine, run_id) == {"train/loss": (3, 4, 0.25)}
