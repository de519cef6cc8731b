"""The screens that show reports: what is on them, what their keys do, and when they are made."""

import json
from itertools import pairwise

import pytest
from textual.pilot import Pilot

from experiments.config import ImageRun, config_to_json
from experiments.table2 import ROWS, Row
from fsrun.planning import Asked, plan_asked
from fsrun.report.render import Column, Table
from fsrun.report.table import field
from fsrun.tui.reports import Reports
from fsrun.tui.screens.menu import Menu
from fsrun.tui.screens.overview import Overview
from fsrun.tui.screens.reports import ClassesScreen, TheoryScreen
from fsrun.tui.screens.run import RunScreen
from fsrun.tui.screens.table2 import Table2Screen
from fsrun.tui.widgets.plots import Plots
from fsrun.tui.widgets.report_table import ReportTable, order
from fsrun.words import duration
from store.snapshot import snapshot
from tests.report.linear_cases import end, finished, start
from tests.report.report_cases import Filled, config_of
from tests.tui.tui_cases import dashboard_of, is_open, screen_text, shows, until, use


def cursor_title(pilot: Pilot[None]) -> str:
    table = pilot.app.screen.query_one(ReportTable)
    return table.get_row_at(table.cursor_row)[0].plain


def test_table_2_shows_what_was_measured_beside_the_papers_cell_and_never_glyphs(filled: Filled) -> None:
    filled.measure("pixel-knn", 0.2671, interval=0.0012)
    filled.measure("protonet", 0.5555, experiment="glyphs")

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await until(pilot, shows(pilot, "Table 2", "Pixel-KNN", "26.7", "26.71 ± 0.12"))
        assert "55.55" not in screen_text(pilot)
        (protonet,) = (line for line in screen_text(pilot).splitlines() if "Prototypical Net" in line)
        assert "96.0" in protonet
        assert "not run" in protonet
        await pilot.press("escape")
        await until(pilot, is_open(pilot, Overview))

    use(dashboard_of(filled), steps, (100, 40))


def test_other_ways_and_shots_have_a_table_of_their_own_to_which_tab_turns(filled: Filled) -> None:
    filled.measure("pixel-knn", 0.41, settings={"evaluation.n_way": [10]})

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await until(pilot, shows(pilot, "Table 2: Omniglot and mini-ImageNet accuracy, %  1/2"))
        assert "41.00" not in screen_text(pilot)
        await pilot.press("tab")
        await until(pilot, shows(pilot, "10-way 1-shot", "2/2", "41.00 ± 0.40"))

    use(dashboard_of(filled), steps, (100, 40))


def test_the_story_follows_the_cursor_and_enter_opens_the_run_behind_the_row(filled: Filled) -> None:
    run_id = filled.measure("pixel-knn", 0.2671)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await until(pilot, shows(pilot, "The cell is Vinyals et al.'s baseline on raw pixels"))
        await pilot.press("j")
        await until(pilot, shows(pilot, "The cell is not a 20-way number"))
        await pilot.press("enter")
        await until(
            pilot, shows(pilot, "MANN 5w1s was not run yet: type `fsrun queue omniglot --method mann")
        )
        await pilot.press(*("j" * 11))  # past the paper's rows
        await until(pilot, lambda: cursor_title(pilot) == "Pixel-KNN, cosine")
        await pilot.press("enter")
        await until(pilot, shows(pilot, "Pixel-KNN, cosine 5w1s was not run yet", "--set distance=cosine"))
        await pilot.press("g", "enter")
        await until(pilot, is_open(pilot, RunScreen))
        await until(pilot, shows(pilot, f"#{run_id} Pixel-KNN on omniglot"))
        await pilot.press("escape")
        await until(pilot, is_open(pilot, Table2Screen))

    use(dashboard_of(filled), steps, (160, 50))


def cell_of(pilot: Pilot[None], heading: str) -> int:
    """Return which column of the table, from the left, has the heading."""
    table = pilot.app.screen.query_one(ReportTable)
    return [column.key.value for column in table.ordered_columns].index(heading)


def test_enter_opens_the_run_behind_the_cell_and_lists_several(filled: Filled) -> None:
    fives = [
        filled.measure("pixel-knn", 0.4, seed=seed, settings={"evaluation.n_way": [5]}) for seed in (0, 1)
    ]
    twenty = filled.measure("pixel-knn", 0.2671)
    mini = filled.measure("pixel-knn", 0.21, experiment="miniimagenet")

    async def enter(pilot: Pilot[None], heading: str) -> None:
        table = pilot.app.screen.query_one(ReportTable)
        table.move_cursor(row=0, column=cell_of(pilot, heading))
        await pilot.press("enter")

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await until(pilot, shows(pilot, "26.71", "40.00"))
        for heading, run_id in (("20w1s", twenty), ("Mini 5w1s", mini)):
            await enter(pilot, heading)
            await until(pilot, shows(pilot, f"#{run_id} Pixel-KNN on "))
            await pilot.press("escape")
            await until(pilot, is_open(pilot, Table2Screen))
        await enter(pilot, "5w1s")
        await until(pilot, is_open(pilot, Menu))
        await until(pilot, shows(pilot, *(f"run {run_id}, seed" for run_id in fives)))
        await pilot.press("j", "enter")
        await until(pilot, shows(pilot, f"#{fives[1]} Pixel-KNN on "))
        await pilot.press("escape")
        await enter(pilot, "5w5s")
        await until(pilot, shows(pilot, "5w5s was not run yet", "--n-way 5 --k-shot 5", "distance=l2"))

    use(dashboard_of(filled), steps, (300, 50))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_a_cell_advises_to_type_measures_that_row_and_no_other(row: Row) -> None:
    for shape in row.shapes:
        words = row.command("omniglot", shape).split()
        settings = [value for option, value in pairwise(words) if option == "--set"]
        (planned,) = plan_asked(
            Asked("omniglot", (row.method,), "cpu", (shape[0],), (shape[1],), settings=settings)
        )
        assert isinstance(planned.config, ImageRun)
        test = planned.config.evaluation
        assert (test.n_way, test.k_shot) == shape
        stored = json.loads(config_to_json(planned.config))
        assert [each.name for each in ROWS if each.holds(stored)] == [row.name]


def test_training_is_sorted_by_its_seconds() -> None:
    lines = [{"s": 3900.0}, {"s": 59.0}, {"s": None}, {"s": 200.0}]  # 1h05m, 59s, nothing, 3m20s
    table = Table.of("t", [Column("Training", field("s", duration), "s", numeric=True)], lines, dict)
    assert order(table, "Training", descending=True) == [0, 3, 1, 2]
    assert order(table, "Training", descending=False) == [1, 3, 0, 2]


def test_every_column_of_table_2_names_fields_that_its_records_have(filled: Filled) -> None:
    filled.measure("pixel-knn", 0.2671)
    for table in Reports(filled.engine).table2():
        for column in table.columns:
            for record in table.records:
                assert isinstance(record[column.runs], list)
                assert not column.value or column.value in record


def test_table_2_is_sorted_by_the_chosen_column_and_back_by_its_opposite(filled: Filled) -> None:
    filled.measure("pixel-knn", 0.2671)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await until(pilot, shows(pilot, "26.71"))
        table = pilot.app.screen.query_one(ReportTable)

        def first() -> str:
            return table.get_row_at(0)[0].plain

        assert first() == "Pixel-KNN"
        await pilot.press("s")
        await until(pilot, is_open(pilot, Menu))
        await pilot.press("j", "enter")  # by the paper's cell, highest first
        await until(pilot, lambda: first() == "Temporal Conv")
        assert cursor_title(pilot) == "Pixel-KNN"  # the cursor stays on its row
        await pilot.press("S")
        await until(pilot, lambda: first() == "Pixel-KNN")

    use(dashboard_of(filled), steps, (120, 50))


def test_rows_sort_by_number_then_words_and_nothing_comes_last_either_way() -> None:
    values = [9.5, None, 96.91, 1200, "", "abc"]
    column = Column("a", field("a", nothing="not run"), "a", numeric=True)
    table = Table.of("t", [column], [{"a": value} for value in values], dict)
    assert order(table, "a", descending=False) == [0, 2, 3, 5, 1, 4]
    assert order(table, "a", descending=True) == [5, 3, 2, 0, 1, 4]
    assert order(table, "no such column", descending=True) == list(range(6))


def test_the_line_for_all_stays_last_and_a_column_of_numbers_names_its_value() -> None:
    column = Column("a", field("a"), "a", numeric=True)
    table = Table.of("t", [column], [{"a": 1}, {"a": 3}], dict, total={"a": 4})
    assert [row for (row,) in table.rows] == ["1", "3", "4"]
    assert order(table, "a", descending=True) == [1, 0, 2]
    assert len(table.records) == 2
    with pytest.raises(TypeError, match="'b' holds numbers"):
        Column("b", field("b"), numeric=True)


def test_classes_has_a_page_for_each_experiment_and_number_of_shots(filled: Filled) -> None:
    for n_way, value in ((5, 0.99), (20, 0.95)):
        filled.measure("protonet", value, settings={"evaluation.n_way": [n_way]})
    filled.measure("protonet", 0.77, experiment="glyphs", preset="quick")

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await until(pilot, is_open(pilot, ClassesScreen))
        await until(pilot, shows(pilot, "omniglot, 1-shot  1/2", "omniglot, 1-shot accuracy, %", "classes"))
        assert "99.00 ± 0.40" in screen_text(pilot)
        assert "95.00 ± 0.40" in screen_text(pilot)
        await pilot.press("tab")  # from the last chart
        await until(pilot, shows(pilot, "glyphs, 1-shot  2/2", "77.00 ± 0.40"))

    use(dashboard_of(filled), steps, (120, 50))


def test_theory_shows_curves_with_floor_and_expected_way_above_the_verdicts(filled: Filled) -> None:
    run_id = finished(filled)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, is_open(pilot, TheoryScreen))
        await until(pilot, shows(pilot, f"Theory  run {run_id}: d = 10, k = 100", "floor 0.1001", "expected"))
        await until(pilot, shows(pilot, "L1/L0 goes from 0.8 to 0", "holds with a correction", "Lemma 2"))

    use(dashboard_of(filled), steps, (160, 60))


def test_charts_of_theory_are_zoomed_panned_read_and_made_large(filled: Filled) -> None:
    finished(filled)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, shows(pilot, "floor 0.1001", "(a) L1/L0", "(b)"))
        plots = pilot.app.screen.query_one(Plots)
        first, last = plots.extent
        await pilot.press("z", "right")
        await until(pilot, lambda: plots.view.window is not None)
        window = plots.view.window
        assert window is not None
        assert window[1] - window[0] == (last - first) / 2
        assert window[0] > (first + last) / 4  # moved to later tasks
        await pilot.press("v")
        await until(pilot, shows(pilot, f"tasks {window[0]:,.0f}–{window[1]:,.0f} of {last:,.0f}", " tasks"))
        assert plots.view.cursor is not None
        await pilot.press("0", "enter")
        await until(pilot, lambda: "(b)" not in screen_text(pilot))
        await pilot.press("tab")
        await until(pilot, lambda: "(b)" in screen_text(pilot) and "(a)" not in screen_text(pilot))
        await pilot.press("escape")
        await until(pilot, shows(pilot, "(a)", "(b)"))
        assert plots.view.window is None

    use(dashboard_of(filled), steps, (160, 60))


def test_classes_are_zoomed_on_their_logarithmic_axis(filled: Filled) -> None:
    for n_way, value in ((5, 0.99), (20, 0.95), (500, 0.6)):
        filled.measure("protonet", value, settings={"evaluation.n_way": [n_way]})

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await until(pilot, shows(pilot, "omniglot, 1-shot accuracy, %", "500"))
        plots = pilot.app.screen.query_one(Plots)
        await pilot.press("z")
        await until(pilot, lambda: plots.plot(0, 80).x_limits is not None)
        low, high = plots.plot(0, 80).x_limits or (0.0, 0.0)
        assert high / low == pytest.approx((500 / 5) ** 0.5)
        assert low * high == pytest.approx(5 * 500)  # about the middle of the axis
        await until(pilot, shows(pilot, "classes 16–158 of 500"))

    use(dashboard_of(filled), steps, (120, 50))


def test_a_running_study_is_shown_on_its_way_and_its_verdicts_when_it_has_finished(filled: Filled) -> None:
    job = start(filled)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, shows(pilot, "measured 0.2", "not decided", "the run has not finished"))
        end(filled, job)
        await until(pilot, shows(pilot, "0.10100 ± 0.00046", "holds with a correction"))
        assert "the run has not finished" not in screen_text(pilot)

    use(dashboard_of(filled), steps, (160, 60))


def test_a_report_without_runs_says_what_to_type(filled: Filled) -> None:
    filled.measure("pixel-knn", 0.5, experiment="glyphs")

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(
            pilot, shows(pilot, "no synthetic run has finished", "fsrun run synthetic --preset quick")
        )
        await pilot.press("2")
        await until(pilot, is_open(pilot, Table2Screen))
        await pilot.press("1")
        await until(pilot, is_open(pilot, Overview))

    use(dashboard_of(filled), steps, (120, 40))


def test_reports_are_made_anew_only_when_the_runs_behind_them_change(filled: Filled) -> None:
    def theory() -> object:
        return reports.theory(snapshot(filled.engine, now=filled.now))

    filled.measure("pixel-knn", 0.5)
    finished(filled)
    reports = Reports(filled.engine)
    before = reports.table2(), reports.classes(), theory()
    protonet = config_of("omniglot", "protonet")
    filled.queue(protonet)
    for now, then in zip((reports.table2(), reports.classes(), theory()), before, strict=True):
        assert now is then
    filled.end(filled.start(protonet), 0.9)
    assert reports.table2() is not before[0]
    assert reports.classes() is not before[1]
    assert theory() is before[2]
    finished(filled)
    assert theory() is not before[2]


def test_a_running_study_is_read_again_only_when_it_got_further(filled: Filled) -> None:
    job = start(filled)
    reports = Reports(filled.engine)

    def theory() -> object:
        return reports.theory(snapshot(filled.engine, now=filled.now))

    before = theory()
    assert theory() is before
    filled.report(job, [800], {"train/loss_ratio": [0.1]})
    assert theory() is not before
