"""Runs from elsewhere: taken in whole, once, and never something to start from."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from store.archive import TAG, ForeignRun, add_finished
from store.jobs import JobStatus
from store.results import IMPORTED_FROM, ResultRow, finished_results, lineage
from store.runs import get_run
from tests.store.store_cases import ask, complete, request, spec, take


def foreign(number: int, name: str, *parents: int, value: float = 0.9) -> ForeignRun:
    return ForeignRun(
        number=number,
        spec=spec(name),
        parents=parents,
        created=100.0,
        finished=500.0 + number,
        seconds=60.0,
        device="cuda:0",
        asked_with={"commit": "c0ffee"},
        made_with={"torch": "2"},
        results=(ResultRow("test/accuracy", value, 0.01, 2, b"\0\0\0\0\0\0\x80?"),),
    )


def test_runs_are_taken_in_with_what_they_start_from(engine: Engine) -> None:
    ask(engine, request("mine"))
    added = add_finished(engine, [foreign(41, "stage"), foreign(57, "model", 41)], "theirs.json")
    assert (added.new, added.present) == ((2, 3), ())
    run = get_run(engine, 3)
    assert (run.status, run.parents, run.tags) == (JobStatus.DONE, (2,), (TAG,))
    found = finished_results(engine)[0]
    assert (found.run_id, found.seconds, found.device, found.imported) == (3, 60.0, "cuda:0", True)
    assert found.result.episode_values == b"\0\0\0\0\0\0\x80?"
    assert found.provenance == {"commit": "c0ffee", "torch": "2", IMPORTED_FROM: "theirs.json"}
    assert lineage(engine).seconds == {2: 60.0, 3: 60.0}


def test_a_run_is_taken_in_once_and_its_children_find_it(engine: Engine) -> None:
    add_finished(engine, [foreign(41, "stage")], "one.json")
    added = add_finished(
        engine,
        [foreign(7, "other"), replace(foreign(41, "stage"), number=8), foreign(9, "model", 8)],
        "two.json",
    )
    assert (added.new, added.present) == ((2, 3), (1,))
    assert get_run(engine, 3).parents == (1,)


def test_all_are_taken_in_or_none(engine: Engine) -> None:
    with pytest.raises(KeyError):
        add_finished(engine, [foreign(1, "stage"), foreign(2, "model", 99)], "torn.json")
    assert finished_results(engine) == ()


def test_a_run_that_needs_the_same_stage_is_given_one_made_here(engine: Engine) -> None:
    add_finished(engine, [foreign(1, "stage")], "theirs.json")
    (model,) = ask(engine, request("model", request("stage")))
    (parent,) = get_run(engine, model).parents
    assert parent != 1
    complete(engine, take(engine))
    (another,) = ask(engine, request("another", request("stage")))
    assert get_run(engine, another).parents == (parent,)
