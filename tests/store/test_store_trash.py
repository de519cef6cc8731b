"""Deleting runs, taking that back, and removing them for good.

Not here: their files (tests/cli/test_cli_upkeep).
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from store import queue, runs, upkeep
from store.checkpoints import add
from store.engine import reading
from store.errors import InvalidTransition, RunNotFound
from store.results import ResultRow, finished_results
from store.runs import RunRequest, enqueue, get_run
from store.snapshot import Pictures, snapshot
from store.upkeep import problems
from tests.store.store_cases import Writer, ask, complete, request, take


def finished(engine: Engine, *requests: RunRequest) -> list[int]:
    """Queue the requests, carry them and what they need out, and return their numbers."""
    asked = ask(engine, *requests)
    while (claim := queue.claim(engine, "w", now=1.0, lease_seconds=30)) is not None:
        complete(engine, claim)
    return asked


def listed(engine: Engine) -> list[int]:
    return [row.id for row in snapshot(engine, now=1.0).runs]


def test_a_deleted_run_is_out_of_sight_until_undo(engine: Engine) -> None:
    first, second = finished(engine, request("a"), request("b"))
    upkeep.trash(engine, [first], now=5.0)
    assert listed(engine) == [second]
    assert sum(snapshot(engine, now=1.0).counts.values()) == 1
    assert get_run(engine, first).trashed == 5.0
    with pytest.raises(RunNotFound):
        snapshot(engine, now=1.0, selected=first)
    assert upkeep.undo(engine) == (first,)
    assert listed(engine) == [second, first]
    assert get_run(engine, first).trashed is None


def test_runs_not_in_the_trash_fill_the_list(engine: Engine) -> None:
    numbers = finished(engine, *(request("a", seed=seed) for seed in range(6)))
    upkeep.trash(engine, numbers[2:], now=5.0)
    assert [row.id for row in snapshot(engine, now=6.0, limit=2).runs] == [numbers[1], numbers[0]]


def test_a_screen_that_looks_again_sees_a_deletion_and_its_undoing(engine: Engine) -> None:
    (run_id,) = finished(engine, request("a"))
    pictures = Pictures(engine)
    pictures.take(now=1.0)
    upkeep.trash(engine, [run_id], now=5.0)
    assert pictures.take(now=1.0).runs == ()
    upkeep.undo(engine)
    assert pictures.take(now=1.0) == snapshot(engine, now=1.0)


def test_undo_goes_back_deletion_by_deletion_or_to_the_runs_named(engine: Engine) -> None:
    a, b, c, d = finished(engine, *map(request, "abcd"))
    upkeep.trash(engine, [a, b], now=5.0)
    upkeep.trash(engine, [c], now=6.0)
    upkeep.trash(engine, [d], now=7.0)
    assert upkeep.undo(engine, [c]) == (c,)
    assert upkeep.undo(engine) == (d,)
    assert upkeep.undo(engine) == (a, b)
    with pytest.raises(InvalidTransition, match="the trash is empty"):
        upkeep.undo(engine)
    with pytest.raises(InvalidTransition, match=f"runs {a}, {b} are not in the trash"):
        upkeep.undo(engine, [a, b])
    with pytest.raises(RunNotFound):
        upkeep.undo(engine, [99])


def test_queued_and_running_runs_must_be_cancelled_first(engine: Engine) -> None:
    running, queued, other = ask(engine, request("a"), request("b"), request("c"))
    take(engine)
    line = rf"runs {running}, {queued} are queued or running: `fsrun cancel {running} {queued}` comes first"
    with pytest.raises(InvalidTransition, match=line):
        upkeep.trash(engine, [queued, running], now=5.0)
    queue.request_cancel(engine, [other], 2.0)
    upkeep.trash(engine, [other], now=5.0)
    assert listed(engine) == [queued, running]


def test_a_run_that_others_start_from_goes_only_with_them(engine: Engine) -> None:
    one, two = finished(engine, request("a", request("pretrain")), request("b", request("pretrain")))
    parent = get_run(engine, one).parents[0]
    line = f"run {parent} cannot be deleted: runs {one}, {two} start from it; delete runs {one}, {two} before"
    with pytest.raises(InvalidTransition, match=line):
        upkeep.trash(engine, [parent], now=5.0)
    upkeep.trash(engine, [one], now=5.0)
    with pytest.raises(InvalidTransition, match=f"run {two} starts from it"):
        upkeep.trash(engine, [parent], now=6.0)
    upkeep.trash(engine, [parent, two], now=7.0)
    assert listed(engine) == []
    assert upkeep.undo(engine, [one]) == (parent, one)  # it could not be understood alone
    assert listed(engine) == [one, parent]


def test_what_is_in_the_trash_cannot_be_deleted_or_retried(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    queue.request_cancel(engine, [run_id], 1.0)
    upkeep.trash(engine, [run_id], now=2.0)
    line = rf"run {run_id} is in the trash: `fsrun rm --undo {run_id}` takes it out"
    with pytest.raises(InvalidTransition, match=line):
        upkeep.trash(engine, [run_id], now=3.0)
    with pytest.raises(InvalidTransition, match=line):
        raise queue.retry(engine, [run_id], 3.0).refused[run_id]
    assert get_run(engine, run_id).trashed == 2.0


def test_a_new_run_does_not_start_from_one_in_the_trash(engine: Engine) -> None:
    (deleted,) = finished(engine, request("pretrain"))
    upkeep.trash(engine, [deleted], now=5.0)
    (asked,) = enqueue(engine, [request("a", request("pretrain"))], now=6.0, provenance={})
    assert asked.parents == asked.new_parents
    assert deleted not in asked.parents


def test_results_of_runs_in_the_trash_are_in_no_report(engine: Engine) -> None:
    runs = ask(engine, request("a"), request("b"))
    for run_id in runs:
        result = ResultRow("test/accuracy", 0.5, None, 4)
        queue.finish(engine, run_id, take(engine).attempt, [result], now=2.0)
    upkeep.trash(engine, runs[:1], now=5.0)
    assert [each.run_id for each in finished_results(engine)] == runs[1:]


def rows_about(engine: Engine, run_id: int) -> dict[str, int]:
    """Count what is stored of a run, by table."""
    with reading(engine) as connection:
        counted = {}
        for name in inspect(connection).get_table_names():
            columns = [column["name"] for column in inspect(connection).get_columns(name)]
            if name == "run":
                where = f"id = {run_id}"
            elif "run_id" in columns and name != "worker":
                where = f"run_id = {run_id}"
            elif "metric_id" in columns:
                where = f"metric_id IN (SELECT id FROM metric WHERE run_id = {run_id})"
            else:
                continue
            counted[name] = connection.execute(
                text(f"SELECT count(*) FROM {name} WHERE {where}")
            ).scalar_one()
    return counted


def full_run(engine: Engine, wanted: RunRequest) -> int:
    """Return a finished run that has something in every table."""
    (run_id,) = ask(engine, wanted)
    complete(engine, take(engine))
    claim = take(engine)
    Writer(engine, claim).write(range(200), [1.0] * 200)
    add(engine, run_id, 1, step=100, place=str(_path(run_id)), sha256="0" * 64, now=1.0)
    queue.finish(engine, run_id, 1, [ResultRow("test/accuracy", 0.5, None, 4)], now=2.0)
    runs.set_note(engine, [run_id], "x")
    return run_id


def _path(run_id: int) -> Path:
    return Path(f"nowhere/run-{run_id}.safetensors")


def test_purging_leaves_nothing_of_a_run_and_everything_of_the_others(engine: Engine) -> None:
    gone, stays = full_run(engine, request("a", request("x"))), full_run(engine, request("b", request("y")))
    before = rows_about(engine, stays)
    assert all(rows_about(engine, gone).values())
    upkeep.trash(engine, [gone], now=5.0)
    assert not upkeep.purge(engine, gone, before=4.0)  # not long enough
    assert not upkeep.purge(engine, stays, before=9.0)
    (lying,) = upkeep.trashed(engine, before=5.0)
    assert (lying.run_id, lying.trashed, lying.points) == (gone, 5.0, 200)
    assert [row.path for row in lying.checkpoints] == [_path(gone)]
    assert upkeep.purge(engine, gone, before=5.0)
    assert not any(rows_about(engine, gone).values())
    assert rows_about(engine, stays) == before
    assert problems(engine) == []
    assert ask(engine, request("c")) > [stays]  # a number is never given twice


def test_a_family_is_purged_children_first_and_a_parent_never_alone(engine: Engine) -> None:
    (child,) = finished(engine, request("child", request("parent")))
    upkeep.trash(engine, [child - 1, child], now=5.0)
    numbers: Sequence[int] = [each.run_id for each in upkeep.trashed(engine, before=5.0)]
    assert numbers == [child, child - 1]
    assert not upkeep.purge(engine, child - 1, before=5.0)
    assert [upkeep.purge(engine, run_id, before=5.0) for run_id in numbers] == [True, True]
    assert problems(engine) == []


def test_a_purge_that_was_interrupted_cannot_be_undone_and_is_finished_by_the_next(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.upkeep._AT_ONCE", 50)
    run_id = full_run(engine, request("a", request("x")))
    upkeep.trash(engine, [run_id], now=5.0)
    removed = 0

    def stumble(*_: object) -> bool:
        nonlocal removed
        removed += 1
        if removed == 3:
            raise KeyboardInterrupt
        return forget(*_)  # type: ignore[arg-type]

    forget = upkeep._forget_points
    with monkeypatch.context() as interrupted:
        interrupted.setattr("store.upkeep._forget_points", stumble)
        with pytest.raises(KeyboardInterrupt):
            upkeep.purge(engine, run_id, before=6.0)
    assert rows_about(engine, run_id)["point"] == 100
    with pytest.raises(InvalidTransition, match="not in the trash"):
        upkeep.undo(engine, [run_id])
    assert [each.run_id for each in upkeep.trashed(engine, before=1.0)] == [run_id]
    assert upkeep.purge(engine, run_id, before=1.0)
    assert not any(rows_about(engine, run_id).values())
