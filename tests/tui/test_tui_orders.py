"""What the keys of the dashboard do to the store."""

from textual.pilot import Pilot

from fsrun.tui.screens.confirm import Confirm
from fsrun.tui.screens.overview import Overview
from store.jobs import JobStatus
from store.runs import get_run
from tests.tui.tui_cases import Lab, is_open, shows, until, use


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
        await until(pilot, shows(pilot, "✗ failed", "ValueError: no"))
        await pilot.press("r")
        await until(pilot, shows(pilot, "run 1 is queued again", "○ queued"))
        assert status_of(lab, run_id) is JobStatus.QUEUED

    use(lab.dashboard(), steps)


def test_keys_that_do_not_apply_to_the_run_do_nothing(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")
    lab.finish(lab.work(run_id), "test/loss_ratio", 0.31)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "✓ done", "test/loss_ratio 0.3100 ± 0.0012"))
        await pilot.press("c", "r")
        await pilot.pause(0.2)
        assert isinstance(pilot.app.screen, Overview)
        assert status_of(lab, run_id) is JobStatus.DONE

    use(lab.dashboard(), steps)
