"""What the keys of the dashboard do to the store."""

from sqlalchemy import text
from textual.pilot import Pilot

from fsrun.tui.app import Dashboard
from fsrun.tui.database import Database
from fsrun.tui.messages import Picture
from fsrun.tui.screens.confirm import Confirm
from fsrun.tui.screens.edit import Edit
from fsrun.tui.screens.overview import Overview
from store.engine import writing
from store.jobs import JobStatus
from store.runs import get_run
from store.snapshot import snapshot
from tests.tui.tui_cases import Lab, is_open, screen_text, shows, until, use


def status_of(lab: Lab, run_id: int) -> JobStatus:
    return get_run(lab.engine, run_id).status


def test_cancel_asks_first_and_then_the_store_says_cancelled(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("c")
        await until(pilot, is_open(pilot, Confirm))
        await pilot.press("enter")  # the harmless answer
        await until(pilot, is_open(pilot, Overview))
        assert status_of(lab, run_id) is JobStatus.QUEUED
        await pilot.press("c")
        await until(pilot, is_open(pilot, Confirm))
        await pilot.press("y")
        await until(pilot, shows(pilot, "run 1 is cancelled", "– cancelled"))
        assert status_of(lab, run_id) is JobStatus.CANCELLED

    use(lab.dashboard(), steps)


def test_cancelling_a_running_run_shows_that_it_will_stop(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")
    lab.work(run_id)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("c", "y")
        await until(pilot, shows(pilot, "◐ stopping", "will stop at the next checkpoint"))
        assert get_run(lab.engine, run_id).cancel_requested

    use(lab.dashboard(), steps)


def test_retry_queues_a_failed_run_again(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")
    lab.fail(lab.work(run_id), "ValueError: no")

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "✗ ValueError: no"))
        await pilot.press("r")
        await until(pilot, shows(pilot, "run 1 is queued again", "○ queued"))
        assert status_of(lab, run_id) is JobStatus.QUEUED

    use(lab.dashboard(), steps)


def test_keys_that_do_not_apply_to_the_run_change_nothing_and_say_why(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")
    lab.finish(lab.work(run_id), "test/loss_ratio", 0.31)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "✓ L1/L0", "test/loss_ratio 0.3100 ± 0.0012"))
        for key, why in (
            ("c", "run 1 is done: only queued and running runs can be cancelled"),
            ("r", "only failed and cancelled runs can be queued again"),
            ("plus", "run 1 is done: only queued runs have a priority"),
        ):
            await pilot.press(key)
            await until(pilot, shows(pilot, why))
        assert isinstance(pilot.app.screen, Overview)
        assert status_of(lab, run_id) is JobStatus.DONE

    use(lab.dashboard(), steps)


def test_d_on_a_queued_run_says_that_it_must_be_cancelled_first(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("d")
        await until(pilot, shows(pilot, "run 1 is queued: only runs that are over can be deleted; c cancels"))
        assert status_of(lab, run_id) is JobStatus.QUEUED

    use(lab.dashboard(), steps)


def test_a_run_that_ended_while_one_was_asked_is_named_and_the_others_are_cancelled(lab: Lab) -> None:
    first, second = lab.ask("glyphs", "pixel-knn", n_way=(5, 10))

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("asterisk", "c")
        await until(pilot, is_open(pilot, Confirm))
        lab.finish(lab.work(first), "test/accuracy", 0.9)
        await pilot.press("y")
        await until(pilot, shows(pilot, f"run {second} is cancelled; run {first} is done: only queued"))
        assert status_of(lab, second) is JobStatus.CANCELLED

    use(lab.dashboard(), steps, (120, 30))


def test_delete_asks_first_and_undo_brings_the_run_back(lab: Lab) -> None:
    first, second = lab.ask("synthetic", settings={"method.slow_lr": [0.001, 0.002]})
    lab.finish(lab.work(second), "test/loss_ratio", 0.31)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "✓ L1/L0"))
        await pilot.press("d")
        await until(pilot, is_open(pilot, Confirm))
        await until(pilot, shows(pilot, "Delete run 2, Linear fast/slow", "after 7 days"))
        await pilot.press("enter")  # the harmless answer
        await until(pilot, is_open(pilot, Overview))
        assert get_run(lab.engine, second).trashed is None
        await pilot.press("d", "y")
        await until(pilot, lambda: get_run(lab.engine, second).trashed == lab.now)
        await until(pilot, lambda: "✓ L1/L0" not in screen_text(pilot))
        assert "run 2 is deleted; undo brings it back" in screen_text(pilot)
        assert get_run(lab.engine, first).trashed is None
        await pilot.press("u")
        await until(pilot, shows(pilot, "run 2 is back", "✓ L1/L0"))
        assert get_run(lab.engine, second).trashed is None
        await pilot.press("u")
        await until(pilot, shows(pilot, "the trash is empty"))

    use(lab.dashboard(), steps)


def test_a_run_that_others_start_from_is_not_deleted_and_the_line_names_them(lab: Lab) -> None:
    (child,) = lab.ask("glyphs", "fastslow")
    (parent,) = get_run(lab.engine, child).parents
    lab.finish(lab.work(parent), "val/accuracy", 0.9)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("end")
        await until(pilot, shows(pilot, f"#{parent} Pre-training"))
        await pilot.press("d")
        await until(pilot, is_open(pilot, Confirm))
        await pilot.press("y")
        await until(pilot, shows(pilot, f"run {parent} cannot be deleted: run {child} starts from it"))
        assert get_run(lab.engine, parent).trashed is None

    use(lab.dashboard(), steps, size=(120, 30))


def test_an_order_about_marked_runs_is_given_about_those_it_applies_to(lab: Lab) -> None:
    queued, failed, done = lab.ask("synthetic", settings={"method.slow_lr": [0.001, 0.002, 0.003]})
    lab.fail(lab.work(failed), "ValueError: no")
    lab.finish(lab.work(done), "test/loss_ratio", 0.31)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "✓ L1/L0"))
        await pilot.press("asterisk")
        await until(pilot, lambda: pilot.app.marked == {queued, failed, done})  # type: ignore[attr-defined]
        await pilot.press("t")
        await until(pilot, is_open(pilot, Edit))
        await pilot.press(*"paper", "enter")
        await until(pilot, shows(pilot, "runs 1-3 are tagged paper"))
        assert [get_run(lab.engine, run_id).tags for run_id in (1, 2, 3)] == [("paper",)] * 3
        await pilot.press("d")
        await until(pilot, is_open(pilot, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: get_run(lab.engine, failed).trashed is not None)
        assert get_run(lab.engine, done).trashed is not None
        assert get_run(lab.engine, queued).trashed is None

    use(lab.dashboard(), steps, size=(120, 30))


def test_a_note_and_tags_are_written_changed_and_left_as_they_were(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("N")
        await until(pilot, is_open(pilot, Edit))
        await pilot.press(*"too high", "enter")
        await until(pilot, lambda: get_run(lab.engine, run_id).note == "too high")
        await until(pilot, is_open(pilot, Overview))
        await until(pilot, lambda: noted(pilot) == "too high")
        await pilot.press("N")
        await until(pilot, shows(pilot, "Note for run 1"))
        await pilot.press(*" a rate", "escape")
        await until(pilot, is_open(pilot, Overview))
        assert get_run(lab.engine, run_id).note == "too high"
        await pilot.press("t")
        await until(pilot, is_open(pilot, Edit))
        await pilot.press(*"a;b")
        await until(pilot, shows(pilot, "invalid tag 'a;b'"))
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, Edit)  # as long as it is invalid
        await pilot.press("home", "ctrl+k", *"a,b", "enter")
        await until(pilot, lambda: get_run(lab.engine, run_id).tags == ("a", "b"))

    use(lab.dashboard(), steps)


def noted(pilot: Pilot[None]) -> str:
    """Return the note of the first run in the app's picture."""
    picture: Picture = pilot.app.picture  # type: ignore[attr-defined]
    return picture.snapshot.runs[0].note


def test_plus_and_minus_change_the_turn_of_a_queued_run(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("plus", "plus", "minus", "plus")
        await until(pilot, lambda: get_run(lab.engine, run_id).priority == 2)
        await until(pilot, shows(pilot, "run 1 now has priority 2"))
        lab.work(run_id)
        await until(pilot, shows(pilot, "● ────"))
        await pilot.press("plus")
        await pilot.pause(0.2)
        assert get_run(lab.engine, run_id).priority == 2

    use(lab.dashboard(), steps)


def test_p_pauses_the_queue_and_lets_it_go_on(lab: Lab) -> None:
    lab.ask("synthetic")

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("p")
        await until(pilot, shows(pilot, "the queue is paused"))
        assert snapshot(lab.engine, now=lab.now).paused
        await pilot.press("p")
        await until(pilot, shows(pilot, "the queue goes on"))
        assert not snapshot(lab.engine, now=lab.now).paused

    use(lab.dashboard(), steps)


def test_a_read_only_dashboard_gives_no_order(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")
    database = Database(lab.path, clock=lambda: lab.now, home=lab.home, read_only=True)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("c", "d", "u", "p", "plus", "N", "t", "n", "e")
        await pilot.pause(0.3)
        assert isinstance(pilot.app.screen, Overview)

    use(Dashboard(database, read_only=True), steps)
    run = get_run(lab.engine, run_id)
    assert (run.status, run.priority, run.trashed) == (JobStatus.QUEUED, 0, None)
    assert not snapshot(lab.engine, now=lab.now).paused


def test_a_run_whose_config_this_version_does_not_understand_cannot_be_copied(lab: Lab) -> None:
    lab.ask("synthetic")
    with writing(lab.engine) as connection:
        connection.execute(text("UPDATE run SET config = replace(config, 'fast_lr', 'quick_lr')"))

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("e")
        await until(pilot, shows(pilot, "run 1 cannot be copied: ", "quick_lr"))

    use(lab.dashboard(), steps, size=(120, 30))
