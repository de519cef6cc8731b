"""Which runs a command is about: numbers, ranges, a status, a tag; and what scripts read of them."""

import csv
import io
import json
import time
from datetime import datetime
from typing import Any

import pytest

from store import queue, workers
from store.jobs import JobStatus
from store.results import ResultRow
from tests.cli.cli_cases import TINY, Case, Typed, assert_refused

RATES = ("0.001", "0.002", "0.003", "0.004", "0.005")


@pytest.fixture
def five(typed: Typed, home: Case) -> Typed:
    """Five runs: 1 done, 2 failed, 3 lost by its worker, 4 and 5 queued; 2 and 4 have the tag night."""
    assert typed("queue", "synthetic", *TINY, "--set", f"slow_lr={','.join(RATES)}").code == 0
    engine, now = home.engine(), time.time()
    workers.register(engine, "w", host="elsewhere", pid=1, device="cpu", now=now)
    for _ in range(3):
        claim = queue.claim(engine, "w", now=now - 100, lease_seconds=60)
        assert claim is not None
        if claim.run_id == 1:
            results = [ResultRow("test/loss_ratio", 0.25, float("nan"), 50)]
            queue.finish(engine, 1, claim.attempt, results, now=now)
        if claim.run_id == 2:
            queue.fail(engine, 2, claim.attempt, "Traceback\nValueError: it diverged", now=now)
    engine.dispose()
    assert typed("tag", "2,4", "night").out == "Runs 2, 4 are tagged night.\n"
    return typed


def listed(five: Typed, *words: str) -> list[int]:
    return [each["id"] for each in json.loads(five("ls", "--json", *words).out)["runs"]]


def test_a_range_stands_for_the_runs_in_it_and_a_missing_number_is_an_error(five: Typed, home: Case) -> None:
    assert five("cancel", "4-9").out == "Runs 4, 5 are cancelled.\n"
    assert home.statuses()[3:] == [JobStatus.CANCELLED] * 2
    assert_refused(five("cancel", "9"), "there is no run 9")
    assert five("retry", "4,5").out == "Runs 4, 5 are queued again.\n"
    assert five("priority", "7", "4-5").out == "Runs 4, 5 now have priority 7.\n"
    assert five("cancel", "6-9").out == "No runs match 6-9.\n"


def test_orders_reach_all_runs_of_a_status_or_with_a_tag(five: Typed, home: Case) -> None:
    assert five("retry", "--status", "failed").out == "Run 2 is queued again.\n"
    assert five("retry", "--status", "failed").out == "No runs are failed.\n"
    assert five("cancel", "--tag", "night").out == "Runs 2, 4 are cancelled.\n"
    assert five("cancel", "1-5", "--status", "queued").out == "Run 5 is cancelled.\n"
    assert five("rm", "--status", "cancelled").out == "Runs 2, 4, 5 are deleted; undo brings them back.\n"
    assert listed(five) == [3, 1]
    assert five("rm", "--undo", "4-5").out == "Runs 4, 5 are back.\n"
    assert listed(five) == [5, 4, 3, 1]


def test_tags_are_put_on_ranges_on_runs_of_a_status_and_on_runs_with_a_tag(five: Typed, home: Case) -> None:
    assert five("tag", "3-9", "late").out == "Runs 3-5 are tagged late.\n"
    assert five("tag", "--status", "failed", "bad,again").out == "Run 2 is tagged bad, again.\n"
    assert five("tag", "--tag", "night", "paper").out == "Runs 2, 4 are tagged paper.\n"
    assert five("tag", "1-4", "kept", "--tag", "late", "--status", "queued").out == "Run 4 is tagged kept.\n"
    assert five("tag", "--tag", "paper", "paper", "--remove").out == "Runs 2, 4 are no longer tagged paper.\n"
    assert home.run(2).tags == ("again", "bad", "night")
    assert five("tag", "--status", "cancelled", "x").out == "No runs are cancelled.\n"
    assert_refused(five("tag", "3"), "name the tags")
    assert_refused(five("tag", "x", "y"), "'x' is not a run")


def test_lost_runs_can_be_listed_and_failed_ones_say_why(five: Typed) -> None:
    assert listed(five, "--status", "lost") == [3]
    assert listed(five, "--status", "running") == [3]
    assert listed(five, "--status", "queued", "--tag", "night") == [4]
    failed = five("ls", "--status", "failed").out
    assert "ValueError: it diverged" in failed
    assert "progress" not in failed


def test_several_runs_are_watched_to_their_end(five: Typed) -> None:
    watched = five("watch", "1-2")
    assert "Run 1 is done after" in watched.out
    assert_refused(watched, "run 2 failed: ValueError: it diverged")
    assert five("watch", "1").code == 0


def test_a_list_as_json_has_numbers_and_times_that_a_script_can_read(five: Typed) -> None:
    found = json.loads(five("ls", "--json", "--limit", "3").out)
    assert (found["schema"], found["found"], found["paused"]) == ("fsrun/runs/1", 5, False)
    assert [each["id"] for each in found["runs"]] == [5, 4, 3]
    (done,) = json.loads(five("ls", "--json", "--status", "done").out)["runs"]
    assert (done["status"], done["results"], done["intervals"]) == (
        "done",
        {"test/loss_ratio": 0.25},
        {"test/loss_ratio": None},
    )
    assert datetime.fromisoformat(done["created"]).tzinfo is not None
    assert json.loads(five("ls", "--json", "--status", "cancelled").out)["runs"] == []


def test_a_list_as_csv_has_a_line_for_each_run(five: Typed) -> None:
    rows = list(csv.DictReader(io.StringIO(five("ls", "--csv").out)))
    assert [row["id"] for row in rows] == ["5", "4", "3", "2", "1"]
    assert (rows[4]["newest"], rows[4]["value"], rows[4]["interval"]) == ("test/loss_ratio", "0.25", "")
    assert (rows[3]["tags"], rows[3]["error"]) == ("night", "ValueError: it diverged")


def test_one_run_as_json_has_its_config_results_and_attempts(five: Typed) -> None:
    run: dict[str, Any] = json.loads(five("show", "1", "--json").out)
    assert (run["schema"], run["id"], run["status"]) == ("fsrun/run/1", 1, "done")
    assert run["config"]["method"]["slow_lr"] == 0.001
    assert run["results"] == [{"name": "test/loss_ratio", "value": 0.25, "interval": None, "episodes": 50}]
    assert [each["outcome"] for each in run["attempts"]] == ["done"]


def test_queueing_for_a_script_says_the_new_runs_and_those_that_were_there(typed: Typed, home: Case) -> None:
    words = ("queue", "synthetic", *TINY, "--json", "--tag", "sweep", "--set")
    first = json.loads(typed(*words, "slow_lr=0.001").out)
    assert (first["schema"], first["queued"], first["there"]) == ("fsrun/queued/1", [1], {})
    dry = json.loads(typed(*words, "slow_lr=0.001,0.002", "--dry-run").out)
    assert (dry["queued"], dry["planned"], dry["there"]) == ([], 2, {"1": "queued"})
    both = json.loads(typed(*words, "slow_lr=0.001,0.002").out)
    assert (both["queued"], both["there"]) == ([2], {"1": "queued"})
    assert home.run(2).tags == ("sweep",)
    assert json.loads(typed(*words, "slow_lr=0.001", "--again").out)["queued"] == [3]


def test_a_quiet_queue_prints_the_numbers_of_the_new_runs_alone(typed: Typed) -> None:
    words = ("queue", "synthetic", *TINY, "-q", "--set")
    assert typed(*words, "slow_lr=0.001,0.002").out == "1\n2\n"
    assert typed(*words, "slow_lr=0.002,0.003").out == "3\n"
    assert typed(*words, "slow_lr=0.004", "--dry-run").out == ""
    assert_refused(typed(*words, "slow_lr=0.004", "--json"), "--json", "--quiet")


def test_a_quiet_worker_prints_nothing_and_keeps_its_lines(typed: Typed, home: Case) -> None:
    typed("pause")
    loud = typed("worker", "--drain")
    assert loud.out.startswith("The queue is paused")
    quiet = typed("worker", "--drain", "-q")
    assert (quiet.code, quiet.out) == (0, "")
    (log,) = home.logs.glob("supervisor-*.log")
    assert log.read_text().count("The queue is paused") == 2


def test_data_and_checks_as_json(typed: Typed, home: Case) -> None:
    data = json.loads(typed("data", "list", "--json").out)
    assert {each["name"]: each["state"] for each in data["data"]}["glyphs"] == "always here"
    checks = json.loads(typed("doctor", "--json").out)["checks"]
    assert {each["name"]: each["ok"] for each in checks}["database"] is True


def test_the_version_and_the_short_word_for_help(typed: Typed) -> None:
    from importlib.metadata import version

    assert typed("--version").out == f"fsrun {version('fsrun')}\n"
    assert typed("cancel", "-h").out == typed("cancel", "--help").out
