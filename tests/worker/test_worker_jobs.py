import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from fsrun.worker.runner import execute
from store import queue
from store.jobs import JobStatus, Outcome
from store.results import ResultRow
from store.upkeep import identity
from tests.cli.cli_cases import Case, Points, in_its_own_process
from tests.worker.worker_cases import after, ask, ask_for_the_long_run, never, take

SMALL_GLYPHS = {"alphabets": [10], "characters": [12], "n_way": [5], "episodes": [20], "steps": [5]}


def test_drain_carries_out_a_prerequisite_before_what_starts_from_it(
    home: Case, glyphs_data_dir: Path
) -> None:
    home.data.symlink_to(glyphs_data_dir)
    small = {"pretrain.steps": [2], "pretrain.filters": [8], "inner_steps": [2]}
    (fastslow,) = ask(home, "glyphs", "fastslow", SMALL_GLYPHS | small | {"fastslow.steps": [4]})
    (pretrain,) = home.run(fastslow).parents
    (protonet,) = ask(home, "glyphs", "protonet", SMALL_GLYPHS | {"train_n_way": [5], "filters": [8]})
    (pixels,) = ask(home, "glyphs", "pixel-knn", SMALL_GLYPHS | {"steps": [0]})

    answer = in_its_own_process(home, "worker", "--drain")
    assert (answer.code, answer.err) == (0, "")
    runs = [home.run(number) for number in (pretrain, fastslow, protonet, pixels)]
    assert [run.status for run in runs] == [JobStatus.DONE] * 4
    first, second = runs[0], runs[1]
    assert first.finished is not None
    assert second.started is not None
    assert first.finished <= second.started
    for run in runs[1:]:
        (result,) = run.results
        assert (result.name, result.episodes) == ("test/accuracy", 20)
        assert 0.2 < result.value <= 1  # above chance, which is 0.2
    assert len(list(home.root.glob("logs/worker-*.log"))) == 1
    assert answer.out.count("started") == answer.out.count("done in") == 4
    assert (
        f"run {protonet} Prototypical Net 5w1s seed 0 started: {home.run(protonet).spec.variant}\n"
        in answer.out
    )
    assert "train_n_way=5" in home.run(protonet).spec.variant


def test_a_job_that_raises_fails_with_its_traceback_and_the_worker_goes_on(home: Case) -> None:
    ask(home, "synthetic", "linear", {"steps": [200], "episodes": [10]}, seeds=3)
    block(home.checkpoint(identity(home.engine(), time.time()), 1, 1, 200).parent)
    home.engine().dispose()
    with closing(sqlite3.connect(home.root / "fsrun.db")) as database, database:
        database.execute("""UPDATE run SET config = replace(config, '"noise"', '"loudness"') WHERE id = 2""")

    answer = in_its_own_process(home, "worker", "--drain")
    assert (answer.code, answer.err) == (0, "")
    assert home.statuses() == [JobStatus.FAILED, JobStatus.FAILED, JobStatus.DONE]
    assert "run 1 Linear fast/slow seed 0 failed: FileExistsError" in answer.out
    shown = in_its_own_process(home, "show", "1").out
    assert "Traceback (most recent call last)" in shown
    assert "FileExistsError" in shown
    assert "Traceback" in home.log(1).read_text()
    known = home.run(2).error or ""  # an error raised on purpose needs no traceback
    assert "loudness" in known
    assert "\n" not in known
    assert "Traceback" not in home.log(2).read_text()


def block(folder: Path) -> None:
    """Put a file where a folder has to be."""
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")


@pytest.mark.parametrize("damage", ["cut short", "one bit", "gone"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    home: Case, undisturbed: tuple[tuple[ResultRow, ...], Points], damage: str
) -> None:
    run_id = ask_for_the_long_run(home)
    for chunks in (20, 30):
        execute(home.engine(), home, run_id, take(home).attempt, "cpu", after(chunks))
    newest, before = home.run(run_id).checkpoints
    assert (newest.step, before.step) == (1000, 400)
    spoil(home.checkpoints / newest.path, damage)

    execute(home.engine(), home, run_id, take(home).attempt, "cpu", never)
    record = home.run(run_id)
    assert record.status is JobStatus.DONE
    assert record.attempts[-1].from_step == 400
    warnings = [line for line in home.log(run_id).read_text().splitlines() if " WARNING " in line]
    assert len(warnings) == 1
    assert str(newest.path) in warnings[0]
    assert home.numbers(run_id) == undisturbed


def spoil(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "cut short":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[-1] ^= 1
        path.write_bytes(content)


def test_a_runner_that_has_lost_its_job_changes_nothing(home: Case) -> None:
    run_id = ask_for_the_long_run(home)
    lost = take(home)
    queue.release(home.engine(), run_id, lost.attempt, now=1.0)
    owner = take(home)
    before = home.run(run_id)

    execute(home.engine(), home, run_id, lost.attempt, "cpu", after(3))
    assert home.run(run_id) == before
    assert home.numbers(run_id) == ((), {})
    assert "no longer owns it" in home.log(run_id).read_text()
    execute(home.engine(), home, run_id, owner.attempt, "cpu", after(3))
    assert home.run(run_id).attempts[-1].outcome is Outcome.RELEASED
