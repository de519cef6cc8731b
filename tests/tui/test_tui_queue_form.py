"""Queueing from the dashboard: the form, what it says as one types, and what is in the store after."""

from functools import partial
from itertools import product

from textual.pilot import Pilot
from textual.widgets import Button, Input, Select

from experiments.config import SyntheticRun, config_from_json
from fsrun.tui.screens.overview import Overview
from fsrun.tui.screens.queue_form import QueueForm
from store.runs import get_run
from store.snapshot import snapshot
from tests.tui.tui_cases import Lab, is_open, screen_text, shows, until, use


def configs(lab: Lab) -> list[SyntheticRun]:
    """Return the configs of all runs, the first one first; all are synthetic."""
    rows = reversed(snapshot(lab.engine, now=lab.now).runs)
    found = [config_from_json(get_run(lab.engine, row.id).spec.config) for row in rows]
    assert all(isinstance(config, SyntheticRun) for config in found)
    return [config for config in found if isinstance(config, SyntheticRun)]


def has_runs(lab: Lab, count: int) -> bool:
    return len(configs(lab)) == count


async def opened(pilot: Pilot[None], key: str) -> QueueForm:
    """Open the form with a key, and wait for its first preview."""
    await pilot.press(key)
    await until(pilot, is_open(pilot, QueueForm))
    form = pilot.app.screen
    assert isinstance(form, QueueForm)
    await until(pilot, lambda: form.checked is not None)
    await pilot.pause()
    return form


async def write(pilot: Pilot[None], form: QueueForm, option: str, text: str) -> None:
    """Search an option, go to it, and write a value over the one it has."""
    form.query_one("#wanted", Input).value = option
    form.query_one("#options").focus()
    await pilot.pause()
    await pilot.press("enter")
    await until(pilot, lambda: form.query_one("#value").has_focus)
    await pilot.press("home", "ctrl+k", *text)
    await until(pilot, lambda: form.checked is not None and form.checked.draft == form.draft)
    await pilot.pause()


def test_a_new_run_is_queued_with_options_as_written(lab: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        form = await opened(pilot, "n")
        await until(pilot, shows(pilot, "Queue 1 run", "Linear fast/slow", "20,000"))
        await write(pilot, form, "slow_lr", "0.01,0.02")
        await until(pilot, shows(pilot, "Queue 2 runs", "* method.slow_lr", "0.001 → 0.01,0.02"))
        await pilot.press("ctrl+s")
        await until(pilot, shows(pilot, "queued runs 1, 2"))
        assert [config.method.slow_lr for config in configs(lab)] == [0.01, 0.02]
        assert isinstance(pilot.app.screen, Overview)

    use(lab.dashboard(), steps, size=(100, 30))


def test_a_wrong_value_is_said_beside_its_field_as_one_types_and_nothing_is_queued(lab: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        form = await opened(pilot, "n")
        await write(pilot, form, "slow_lr", "-1")
        line = "✗ slow_lr = -1: input should be greater than 0"
        await until(pilot, lambda: screen_text(pilot).count(line) == 2)  # in the list, and where one types
        assert form.query_one("#queue", Button).disabled
        await pilot.press("ctrl+s")
        await pilot.pause(0.2)
        assert pilot.app.screen is form
        await pilot.press("home", "ctrl+k", *"0.5")
        await until(pilot, shows(pilot, "Queue 1 run"))
        assert "✗" not in screen_text(pilot)
        form.query_one("#seeds", Input).value = "none"
        await until(pilot, shows(pilot, "✗ seeds 'none' is not a whole number from 1 to 1,000"))
        await pilot.press("escape")
        await until(pilot, is_open(pilot, Overview))
        assert configs(lab) == []

    use(lab.dashboard(), steps, size=(120, 30))


def test_experiment_method_preset_ways_and_seeds_are_chosen(lab: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        form = await opened(pilot, "n")
        assert form.query_one("#n_way", Input).disabled
        form.query_one("#experiment", Select).value = "glyphs"
        await until(pilot, lambda: form.query_one("#n_way", Input).value == "20")
        form.query_one("#method", Select).value = "pixel-knn"
        await until(pilot, shows(pilot, "Pixel-KNN"))
        form.query_one("#n_way", Input).value = "5,20"
        form.query_one("#seeds", Input).value = "2"
        form.query_one("#priority", Input).value = "3"
        await until(pilot, shows(pilot, "Queue 4 runs"))
        await pilot.press("ctrl+s")
        await until(pilot, is_open(pilot, Overview))
        rows = reversed(snapshot(lab.engine, now=lab.now).runs)
        assert [(row.method, row.n_way, row.seed, row.priority) for row in rows] == [
            ("pixel-knn", n_way, seed, 3) for n_way in (5, 20) for seed in (0, 1)
        ]

    use(lab.dashboard(), steps)


def test_a_copy_says_what_differs_and_keeps_all_else(lab: Lab) -> None:
    lab.ask("synthetic", settings={"method.slow_lr": [0.003], "data.dimension": [7]})

    async def steps(pilot: Pilot[None]) -> None:
        form = await opened(pilot, "e")
        await until(pilot, shows(pilot, "A copy of run 1 with edits", "differs from run 1: nothing yet"))
        assert form.query_one("#experiment", Select).disabled
        await write(pilot, form, "fast_lr", "0.1")
        await until(pilot, shows(pilot, "differs from run 1: method.fast_lr 0.2 → 0.1"))
        await pilot.press("ctrl+s")
        await until(pilot, shows(pilot, "queued run 2"))
        first, second = configs(lab)
        assert (second.method.fast_lr, second.method.slow_lr, second.data.dimension) == (0.1, 0.003, 7)
        assert second.model_copy(update={"method": first.method}) == first

    use(lab.dashboard(), steps, size=(100, 30))


def test_a_run_that_is_there_is_queued_once_more_only_after_asking(lab: Lab) -> None:
    lab.ask("synthetic")

    async def steps(pilot: Pilot[None]) -> None:
        for answer, runs in (("n", 1), ("y", 2)):
            await opened(pilot, "e")
            await until(pilot, shows(pilot, "nothing yet", "Queue 1 run"))
            await pilot.press("ctrl+s")
            await until(pilot, shows(pilot, "Run 1 has this config (queued).", "Queue it once more?"))
            await pilot.press(answer)
            await until(pilot, is_open(pilot, Overview))
            await until(pilot, partial(has_runs, lab, runs))
        first, second = configs(lab)
        assert first == second

    use(lab.dashboard(), steps, size=(100, 30))


def test_what_no_worker_here_could_run_is_said_before_it_is_queued(lab: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        form = await opened(pilot, "n")
        form.query_one("#experiment", Select).value = "omniglot"
        await until(pilot, shows(pilot, "fsrun data import omniglot"))
        assert form.query_one("#queue", Button).disabled

    use(lab.dashboard(), steps)


def test_the_form_fits_a_small_terminal(lab: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await opened(pilot, "n")
        await until(pilot, shows(pilot, "Queue 1 run", "search an option", "method", "Linear"))

    use(lab.dashboard(), steps, size=(60, 20))


def test_several_methods_ways_and_seeds_are_queued_as_one_sweep(lab: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        form = await opened(pilot, "n")
        form.query_one("#experiment", Select).value = "glyphs"
        await until(pilot, lambda: form.draft.experiment == "glyphs")
        form.query_one("#method", Select).value = "protonet"
        for field, text in (("also", "maml, matchin"), ("n_way", "5,10"), ("seeds", "2")):
            await until(pilot, lambda: form.checked is not None and form.checked.draft == form.draft)
            form.query_one(f"#{field}", Input).value = text
            await pilot.pause()
        await until(pilot, shows(pilot, "✗ unknown method of glyphs 'matchin': did you mean 'matching'?"))
        assert form.query_one("#queue", Button).disabled
        form.query_one("#also", Input).value = "maml"
        await until(pilot, shows(pilot, "Queue 8 runs", "MAML", "Prototypical Net"))
        await pilot.press("ctrl+s")
        await until(pilot, is_open(pilot, Overview))
        await until(pilot, shows(pilot, "queued runs"))
        queued = {(run.method, run.n_way, run.seed) for run in snapshot(lab.engine, now=lab.now).runs}
        assert queued >= set(product(("protonet", "maml"), (5, 10), (0, 1)))  # besides what protonet shares

    use(lab.dashboard(), steps, size=(100, 30))
