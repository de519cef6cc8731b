"""Several runs side by side: which curves are drawn, what they are called, and the numbers beside them."""

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
from textual.pilot import Pilot

from fsrun.stored_options import different_options
from fsrun.tui.comparing import members_of, names_of
from fsrun.tui.outcomes import ahead, outcomes
from fsrun.tui.screens.compare import CompareScreen
from fsrun.tui.screens.overview import Overview
from fsrun.tui.widgets.charts import Charts
from store import queue
from store.results import ResultRow
from store.snapshot import Pictures
from store.views import Look, RunDetail
from tests.tui.test_tui_hostile import HOSTILE, control_codes
from tests.tui.tui_cases import Lab, halving, is_open, rising, screen_text, shows, until, use


def asked(lab: Lab) -> list[int]:
    """Queue two configs of two seeds each."""
    return [
        run_id
        for lr in (0.001, 0.01)
        for run_id in lab.ask("omniglot", "protonet", seeds=2, settings={"lr": [lr], "steps": [1000]})
    ]


def above(by: int) -> Callable[[int], float]:
    return lambda step: rising(step) + by


def trained(lab: Lab) -> list[int]:
    """Train both configs; the first three runs measured 1,000 shared episodes."""
    run_ids = asked(lab)
    for place, run_id in enumerate(run_ids):
        job = lab.work(run_id)
        lab.report(job, range(10, 1001, 10), {"train/loss": halving, "val/accuracy": above(place)})
        if place < 3:
            episodes = np.tile([0.5 + 0.1 * place, 0.7 + 0.1 * place], 500).astype("<f4")
            mean, spread = float(episodes.mean()), float(episodes.std(ddof=1))
            result = ResultRow("test/accuracy", mean, 1.96 * spread / sqrt(1000), 1000, episodes.tobytes())
            queue.finish(lab.engine, run_id, job.attempt, [result], now=lab.now)
    return run_ids


def details(lab: Lab, run_ids: list[int], metric: str = "train/loss") -> tuple[RunDetail, ...]:
    return Pictures(lab.engine).take(now=lab.now, look=Look(200, None, tuple(run_ids), metric)).compared


def test_marked_runs_share_a_chart_and_seeds_of_one_config_a_line(lab: Lab) -> None:
    trained(lab)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("asterisk", "m")
        await until(pilot, is_open(pilot, CompareScreen))
        await until(pilot, shows(pilot, "4 runs of 2 configs", "train/loss", "lr=0.001 (2 seeds)"))
        charts = pilot.app.screen.query_one(Charts)
        (chart,) = charts.charts
        assert [len(line.curves) for line in chart.lines] == [2, 2]
        await pilot.press("o")
        await until(pilot, shows(pilot, "4 runs · train/loss", "lr=0.01 seed 1"))
        assert [len(line.curves) for line in charts.charts[0].lines] == [1, 1, 1, 1]
        await pilot.press("tab")
        await until(pilot, shows(pilot, "val/accuracy, metric 2 of 2: tab", "lr=0.001 seed 0 1 "))
        assert {curve.name for curve in charts.charts[0].curves} == {"val/accuracy"}
        await pilot.press("o")
        (band, _) = charts.charts[0].series
        assert band.low is not None
        assert band.high is not None
        assert (band.low[-1], band.high[-1]) == pytest.approx((rising(1000), rising(1000) + 1))
        await pilot.press("z")
        await until(pilot, shows(pilot, "of 1,000"))
        await pilot.press("escape")
        await until(pilot, is_open(pilot, Overview))

    use(lab.dashboard(), steps, (100, 30))


def test_the_sections_tell_results_with_paired_differences_and_options_that_differ(lab: Lab) -> None:
    trained(lab)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("asterisk", "m", "o")
        await until(pilot, is_open(pilot, CompareScreen))
        await pilot.press("R")
        await until(pilot, shows(pilot, "60.00 ± 0.62 %", "70.00 ± 0.62 %", "Δ +10", "● running"))
        await pilot.press("C")
        await until(pilot, shows(pilot, "method.lr", "0.001", "0.01"))
        assert "method.steps" not in screen_text(pilot)
        await pilot.press("slash", *"nothing")
        await until(pilot, shows(pilot, "nothing found"))

    use(lab.dashboard(), steps, (100, 40))


def test_nothing_is_compared_before_runs_are_marked(lab: Lab) -> None:
    asked(lab)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("m")
        await until(pilot, shows(pilot, "mark the runs to compare: space"))
        assert isinstance(pilot.app.screen, Overview)

    use(lab.dashboard(), steps)


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 50)])
def test_hostile_names_are_drawn_plainly_at_every_size(lab: Lab, size: tuple[int, int]) -> None:
    runs = asked(lab)
    job = lab.work(runs[0])
    lab.report(job, [10, 20], {f"train/{HOSTILE}": halving})

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("asterisk", "m")
        await until(pilot, is_open(pilot, CompareScreen))
        await until(pilot, shows(pilot, "4 runs", "·[2J"))
        for key in ("R", "C", "C", "v", "enter", "i"):
            await pilot.press(key)
            await pilot.pause(0.05)
            assert control_codes(pilot) == []
            assert max(map(len, screen_text(pilot).splitlines())) <= size[0]

    use(lab.dashboard(), steps, size)


def test_names_say_what_differs_and_no_more(lab: Lab) -> None:
    lr = lab.ask("omniglot", "protonet", settings={"lr": [0.001, 0.01]})
    assert names_of(details(lab, lr)) == ["lr=0.001", "lr=0.01"]
    methods = [*lab.ask("omniglot", "pixel-knn"), *lab.ask("omniglot", "protonet")]
    assert names_of(details(lab, methods)) == ["Pixel-KNN", "Prototypical Net"]
    seeds = lab.ask("omniglot", "protonet", seeds=2)
    assert names_of(details(lab, seeds)) == ["seed 0", "seed 1"]
    twins = [*lab.ask("omniglot", "pixel-knn"), *lab.ask("omniglot", "pixel-knn")]
    assert names_of(details(lab, twins)) == [f"#{run_id}" for run_id in twins]
    both = [*lr, methods[0]]
    assert names_of(details(lab, both)) == [
        "Prototypical Net lr=0.001",
        "Prototypical Net lr=0.01",
        "Pixel-KNN",
    ]


def test_options_that_are_the_same_are_not_listed(lab: Lab) -> None:
    runs = details(lab, lab.ask("omniglot", "protonet", settings={"lr": [0.001, 0.01]}))
    assert different_options([run.config for run in runs]) == [("method.lr", ["0.001", "0.01"])]


def test_a_paired_difference_is_that_of_the_same_episodes(lab: Lab) -> None:
    members = members_of(details(lab, trained(lab)), merge=False)
    apart = ahead(members[1], members[0], "test/accuracy")
    assert apart is not None
    assert apart.mean == pytest.approx(10, abs=1e-4)
    assert apart.interval == pytest.approx(0, abs=1e-4)  # every episode is as much ahead as any other
    assert ahead(members[3], members[0], "test/accuracy") is None  # not measured yet
    ((name, row),) = outcomes(members)
    assert name == "test/accuracy"
    assert [bool(outcome.difference) for outcome in row] == [False, True, True, False]


def test_runs_that_met_other_episodes_are_not_paired(lab: Lab) -> None:
    runs = [*lab.ask("omniglot", "pixel-knn"), *lab.ask("omniglot", "pixel-knn", n_way=[5])]
    values = np.full(10, 0.5, "<f4").tobytes()
    for run_id in runs:
        job = lab.work(run_id)
        result = ResultRow("test/accuracy", 0.5, 0.1, 10, values)
        queue.finish(lab.engine, run_id, job.attempt, [result], now=lab.now)
    one, other = members_of(details(lab, runs), merge=False)
    assert ahead(one, other, "test/accuracy") is None


def test_seeds_of_one_config_are_counted_and_none_is_named_for_all(lab: Lab) -> None:
    run_ids = [
        run_id
        for lr, seeds in ((0.01, [0, 1]), (0.1, [5, 6]))
        for run_id in lab.ask("omniglot", "pretrain", settings={"method.lr": [lr], "seed": seeds})
    ]
    names = [member.name for member in members_of(details(lab, run_ids), merge=True)]
    assert names == ["lr=0.01 (2 seeds)", "lr=0.1 (2 seeds)"]
    pairs = lab.ask("synthetic", seeds_per_run=2, settings={"seed": [0, 4]})
    assert [each.name for each in members_of(details(lab, pairs), merge=False)] == ["seeds 0-1", "seeds 4-5"]
