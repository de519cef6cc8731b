"""Notes, tags and priorities: what the user says of runs that are stored.

Not here: deleting runs (test_store_trash).
"""

import os
from functools import partial

import pytest
from sqlalchemy import Engine, text

from store import queue, runs
from store.engine import reading
from store.errors import InvalidRemark, InvalidTransition, RunNotFound
from store.queue import claim, fail
from store.runs import get_run
from store.snapshot import Pictures, snapshot
from store.views import RunRow
from tests.store.store_cases import ask, complete, request, take


def row_of(engine: Engine, run_id: int) -> RunRow:
    return next(row for row in snapshot(engine, now=1.0).runs if row.id == run_id)


def test_a_run_without_remarks_has_no_row_for_them(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM remark")).scalar_one() == 0
    run = get_run(engine, run_id)
    assert (run.note, run.tags, run.trashed) == ("", (), None)


def test_a_note_is_kept_replaced_and_taken_away(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    for note in ("  the [bold]first[/] \x1b[31m attempt, π\n", "another", ""):
        runs.set_note(engine, [run_id], note)
        assert row_of(engine, run_id).note == get_run(engine, run_id).note == note.strip()


def test_bytes_that_are_no_text_are_question_marks_in_notes_and_errors(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    runs.set_note(engine, [run_id], os.fsdecode(b"caf\xe9"))
    assert get_run(engine, run_id).note == "caf?"
    claimed = claim(engine, "worker", now=1.0, lease_seconds=60.0)
    assert claimed is not None
    fail(engine, run_id, claimed.attempt, f"{os.fsdecode(bytes([0xE9]))} is damaged", now=2.0)
    assert get_run(engine, run_id).attempts[-1].error == "? is damaged"


def test_tags_are_added_and_removed_on_many_runs_at_once(engine: Engine) -> None:
    first, second = ask(engine, request("a"), request("b"))
    runs.set_note(engine, [first], "kept")
    runs.change_tags(engine, [first, second], add=["paper", "baseline", "paper"])
    runs.change_tags(engine, [second], add=["v1.2"], remove=["baseline", "never there"])
    assert row_of(engine, first).tags == get_run(engine, first).tags == ("baseline", "paper")
    assert row_of(engine, second).tags == ("paper", "v1.2")
    assert row_of(engine, first).note == "kept"


@pytest.mark.parametrize("tag", ["", "two words", "-x", "x" * 41, "a,b", "\x1b[31m", "tag\n", "status:done"])
def test_a_tag_that_cannot_be_typed_after_others_is_refused(engine: Engine, tag: str) -> None:
    (run_id,) = ask(engine, request())
    with pytest.raises(InvalidRemark, match="at most 40 letters, digits"):
        runs.change_tags(engine, [run_id], add=["fine", tag])
    assert get_run(engine, run_id).tags == ()


def test_remarks_have_bounds_and_need_a_run(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    with pytest.raises(InvalidRemark, match=r"the note has 2,001 characters: 2,000 are kept"):
        runs.set_note(engine, [run_id], "x" * 2001)
    with pytest.raises(InvalidRemark, match=r"run 1 would have 21 tags: 20 are kept"):
        runs.change_tags(engine, [run_id], add=[str(number) for number in range(21)])
    with pytest.raises(RunNotFound, match="there is no run 7"):
        runs.set_note(engine, [7], "x")
    with pytest.raises(RunNotFound, match="there is no run 7"):
        runs.change_tags(engine, [run_id, 7], add=["x"])
    assert get_run(engine, run_id).tags == ()


def test_a_screen_that_looks_again_sees_remarks_at_once(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    pictures = Pictures(engine)
    pictures.take(now=1.0)
    for order in (
        partial(runs.set_note, engine, [run_id], "one"),
        partial(runs.set_note, engine, [run_id], "two"),
        partial(runs.change_tags, engine, [run_id], add=["x"]),
        partial(queue.change_priority, engine, [run_id], 4),
    ):
        order()
        assert pictures.take(now=1.0) == snapshot(engine, now=1.0)


def test_queued_runs_change_places_and_what_they_wait_for_goes_with_them(engine: Engine) -> None:
    other, child = ask(engine, request("other"), request("child", request("parent")))
    assert queue.change_priority(engine, [child], 3) == (3,)
    assert queue.change_priority(engine, [child, other], 1) == (4, 1)
    assert queue.change_priority(engine, [other], -2) == (-1,)
    assert [row_of(engine, run_id).priority for run_id in (other, child - 1, child)] == [-1, 4, 4]
    assert [take(engine).run_id, take(engine).run_id] == [child - 1, other]


def test_only_queued_runs_have_a_priority_and_a_refusal_changes_nothing(engine: Engine) -> None:
    first, second = ask(engine, request("a"), request("b"))
    complete(engine, take(engine))
    with pytest.raises(InvalidTransition, match=f"run {first} is done: only queued runs have a priority"):
        queue.change_priority(engine, [second, first], 5)
    assert row_of(engine, second).priority == 0
