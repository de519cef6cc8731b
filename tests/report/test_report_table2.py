import csv
import json
import subprocess
import sys
from io import StringIO
from math import hypot, sqrt
from pathlib import Path
from typing import Any

import pytest

from experiments.config import ImageRun
from experiments.registry import METHODS, methods_of
from experiments.table2 import ROWS
from fsrun.report.paper import TABLE2
from fsrun.report.render import Format, render
from fsrun.report.table2 import Table2Row, left_out, rows, table2
from tests.report.report_cases import Filled, config_of, fill


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def row_of(filled: Filled, name: str, **asked: list[tuple[int, int]]) -> Table2Row:
    return next(row for row in rows(filled.engine, **asked) if row.name == name)


def line_of(text: str, title: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(title))


def records(filled: Filled) -> dict[str, Any]:
    document = json.loads(render(table2(filled.engine), Format.JSON))
    return {record["row"]: record for record in document["rows"]}


def test_an_empty_store_gives_the_twelve_rows_of_the_paper_and_ours_and_says_what_to_type(
    filled: Filled,
) -> None:
    lines = rows(filled.engine)
    assert [line.paper for line in lines if line.paper] == [
        26.7, 36.4, 85.0, 88.1, 89.5, 93.8, 95.0, 95.8, 96.0, 97.0, 97.6, 96.8
    ]  # fmt: skip
    assert [line.title for line in lines if not line.paper] == [
        "Pixel-KNN, cosine",
        "MANN, sequences",
        "CNN, linear",
        "CNN, fine-tuned",
        "MAML, head only",
        "Fast/Slow, looks",
        "Nearest mean",
        "Nearest mean, looks",
        "Coordinate-wise LSTM",
        "Meta-LSTM",
    ]
    assert all(line.measured is None for line in lines)
    text = render(table2(filled.engine), Format.TEXT)
    wide = render(table2(filled.engine), Format.TEXT, width=300)
    on_mini = [line for line in lines if line.method in methods_of("miniimagenet")]
    assert wide.count("not run") == 4 * len(lines) + 2 * len(on_mini)  # columns of Omniglot, of mini-ImageNet
    assert "fsrun queue table2 --preset quick" in " ".join(text.split())


def test_every_method_that_counts_as_a_row_is_in_the_papers_table() -> None:
    assert {name for name, entry in METHODS.items() if entry.row_of_table2} <= {row.method for row in TABLE2}


def test_a_finished_run_fills_its_row_in_percent_with_interval_episodes_and_run_id(filled: Filled) -> None:
    run_id = filled.measure("pixel-knn", 0.2697, interval=0.0035)
    measured = row_of(filled, "pixel-knn").measured
    assert measured is not None
    assert measured.mean == pytest.approx(26.97)
    assert measured.interval == pytest.approx(0.35)
    assert (measured.episodes, measured.run_ids, measured.preset) == (1000, (run_id,), "paper")
    assert (measured.interval_over, measured.differences) == ("episodes", ())
    text = render(table2(filled.engine, n_way=20), Format.TEXT, width=200)
    words = ["26.7", "26.97", "±", "0.35", "+0.3", "–", "not", "run"]
    assert line_of(text, "Pixel-KNN ").split()[1:9] == words
    assert line_of(text, "Pixel-KNN ").endswith("1000")


def test_what_the_source_really_measured_stands_beside_the_papers_cell(filled: Filled) -> None:
    row = row_of(filled, "mann")
    assert (row.paper, row.source) == (36.4, "5-way: 82.8*")
    assert "36.4 is before any" in row.note


def test_a_run_that_has_not_finished_measures_nothing(filled: Filled) -> None:
    filled.measure("protonet", 0.9)
    filled.start(config_of("omniglot", "protonet", settings={"lr": [0.01]}))
    measured = row_of(filled, "protonet").measured
    assert measured is not None
    assert measured.mean == pytest.approx(90)


def test_several_seeds_join_the_spread_of_the_runs_and_the_shared_episodes(filled: Filled) -> None:
    run_ids = tuple(filled.measure("protonet", value, seed=seed) for seed, value in enumerate((0.90, 0.92)))
    measured = row_of(filled, "protonet").measured
    assert measured is not None
    assert (measured.run_ids, measured.seeds) == (run_ids, (0, 1))
    assert measured.mean == pytest.approx(91)
    standard_error = sqrt(2) / sqrt(2)  # of the means 90 and 92
    assert measured.interval == pytest.approx(hypot(12.7062 * standard_error, 0.4), rel=1e-4)
    assert measured.interval_over == "runs and episodes"
    assert "Student's t" in render(table2(filled.engine).detailed(), Format.TEXT)


def test_a_run_that_measures_anothers_model_joins_the_seeds_that_measured_their_own(filled: Filled) -> None:
    runs = [filled.measure("protonet", value, seed=seed) for seed, value in enumerate((0.90, 0.92))]
    own = config_of("omniglot", "protonet")
    assert isinstance(own, ImageRun)
    again = filled.end(filled.start(own.model_copy(update={"trained_by": own.evaluation})), 0.90)
    other = config_of("omniglot", "protonet", settings={"lr": [0.5]})
    measured = row_of(filled, "protonet").measured
    assert measured is not None
    assert measured.run_ids == (again, runs[1])
    filled.end(filled.start(other), 0.5)  # another config is another group
    assert row_of(filled, "protonet").measured != measured


def test_a_seed_that_was_run_twice_counts_once(filled: Filled) -> None:
    filled.measure("protonet", 0.90)
    again = filled.measure("protonet", 0.91)
    measured = row_of(filled, "protonet").measured
    assert measured is not None
    assert measured.run_ids == (again,)
    assert measured.mean == pytest.approx(91)


def test_the_group_that_finished_last_stands_in_the_row_and_says_how_it_differs(filled: Filled) -> None:
    filled.measure("protonet", 0.95)
    newest = filled.measure("protonet", 0.80, preset="quick", settings={"lr": [0.01]})
    measured = row_of(filled, "protonet").measured
    assert measured is not None
    assert (measured.run_ids, measured.preset) == ((newest,), "quick")
    assert measured.differences == ("method.lr=0.01",)
    text = " ".join(render(table2(filled.engine).detailed(), Format.TEXT).split())
    assert "Prototypical Net: quick with method.lr=0.01." in text


def test_fastslow_without_pretraining_is_one_difference(filled: Filled) -> None:
    filled.measure("fastslow", 0.5, settings={"method.pretrain": [None]})
    measured = row_of(filled, "fastslow").measured
    assert measured is not None
    assert measured.differences == ("method.pretrain=null",)


def test_glyphs_never_stand_in_table_2(filled: Filled) -> None:
    filled.measure("protonet", 0.99, experiment="glyphs")
    assert row_of(filled, "protonet").measured is None
    assert left_out(filled.engine) == ()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"protocol": ["P-B"]}, "protocol P-B has other test classes than P-V"),
        ({"rotations": [False]}, "its test classes are not rotated"),
    ],
)
def test_other_test_classes_are_left_out_and_named(
    filled: Filled, settings: dict[str, list[Any]], reason: str
) -> None:
    run_id = filled.measure("protonet", 0.99, settings=settings)
    assert row_of(filled, "protonet").measured is None
    assert left_out(filled.engine) == (f"run {run_id} (protonet): {reason}",)
    assert f"Excluded: run {run_id}" in render(table2(filled.engine), Format.MARKDOWN)


def test_r1_counts_because_it_is_tested_on_the_classes_of_p_v(filled: Filled) -> None:
    filled.measure("fastslow", 0.9)
    measured = row_of(filled, "fastslow").measured
    assert measured is not None
    assert '"protocol":"R1"' in measured.runs[0].config


def test_other_ways_and_shots_have_their_own_table_without_the_papers_cells(filled: Filled) -> None:
    filled.measure("protonet", 0.97, settings={"n_way": [5]})
    assert row_of(filled, "protonet", shapes=[(20, 1)]).measured is None
    row = row_of(filled, "protonet", shapes=[(5, 1)])
    assert (row.paper, row.source) == (None, "")
    assert row.measured is not None
    assert row.measured.differences == ()


def test_an_unknown_preset_of_an_old_run_is_named_and_stops_nothing(filled: Filled) -> None:
    job = filled.start(config_of("omniglot", "protonet"), preset="thorough")
    filled.end(job, 0.9)
    measured = row_of(filled, "protonet").measured
    assert measured is not None
    assert "thorough" in measured.differences[0]


def test_a_number_that_is_not_one_is_null_in_json_and_nan_in_the_table(filled: Filled) -> None:
    filled.measure("protonet", float("nan"), interval=float("nan"))
    assert records(filled)["protonet"]["20w1s_percent"] is None
    assert "nan" in line_of(render(table2(filled.engine), Format.TEXT, width=120), "Prototypical Net")


def test_markdown_has_the_same_number_of_columns_in_every_line(filled: Filled) -> None:
    filled.measure("pixel-knn", 0.2697)
    lines = [
        line for line in render(table2(filled.engine), Format.MARKDOWN).splitlines() if line.startswith("|")
    ]
    assert len(lines) == 2 + len(ROWS)
    assert len({line.count("|") for line in lines}) == 1
    assert "**26.97 ± 0.40**" in lines[2]


def test_csv_gives_one_line_a_method_with_bare_numbers(filled: Filled) -> None:
    ids = [filled.measure("protonet", 0.9, seed=seed) for seed in (0, 1)]
    read = list(csv.DictReader(StringIO(render(table2(filled.engine), Format.CSV))))
    assert [line["row"] for line in read if line["paper_percent"]] == [row.method for row in TABLE2]
    line = next(line for line in read if line["method"] == "protonet")
    assert line["paper_percent"] == "96.0"
    assert float(line["20w1s_percent"]) == pytest.approx(90)
    assert line["20w1s_run_ids"].split() == line["run_ids"].split() == [str(run_id) for run_id in ids]
    assert float(line["20w1s_train_seconds"]) == 10
    assert read[0]["20w1s_percent"] == line["5w1s_percent"] == ""


def test_json_traces_every_number_to_config_versions_and_commit(filled: Filled) -> None:
    run_id = filled.measure("protonet", 0.9)
    record = records(filled)["protonet"]
    run = record["runs"][str(run_id)]
    assert record["run_ids"] == [run_id]
    assert run["provenance"] == {"commit": "c0ffee", "torch": "2.14.1"}
    assert run["config"]["method"]["name"] == "protonet"
    assert (run["value"], run["device"], run["seconds"]) == (0.9, "cpu", 10.0)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_text_is_never_wider_than_asked(filled: Filled, width: int) -> None:
    filled.measure("protonet", 0.9)
    text = render(table2(filled.engine), Format.TEXT, width=width)
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [80, 100, 140])
def test_every_row_has_one_line_and_what_there_is_no_room_for_is_named(filled: Filled, width: int) -> None:
    for seed in range(3):
        filled.measure("protonet", 0.9, seed=seed)
    lines = render(table2(filled.engine), Format.TEXT, width=width).splitlines()
    titles = [row.title for row in rows(filled.engine)]
    shown = [*lines[4:16], *lines[17 : 17 + len(ROWS) - 12]]
    assert [line.split()[0] for line in shown] == [title.split()[0] for title in titles]
    assert lines[16].startswith("── not in the paper ──")
    assert lines[1].split() == ["Omniglot", "20-way", "1-shot", "mini-ImageNet", "5-way", "1-shot"]
    assert lines[2].split()[:7] == ["Method", *("paper", "ours", "Δ") * 2]
    assert "Hidden: " in " ".join(lines[-4:])
    assert ("5w5s" in lines[2]) == (width >= 140)


def test_rows_that_are_not_in_the_paper_fold_into_one_line(filled: Filled) -> None:
    filled.measure("protonet", 0.9)
    filled.measure("pixel-knn", 0.3, settings={"distance": ["cosine"]})  # a row that the paper has not
    lines = render(table2(filled.engine).folded(), Format.TEXT, width=80).splitlines()
    assert lines[15].startswith("Fast/Slow ")
    folded = f"── not in the paper: {len(ROWS) - 12} rows, 1 measured; --extra prints them ──"
    assert lines[16].startswith(folded)
    assert len(lines) <= 24


def test_the_difference_to_the_paper_is_in_points_and_none_where_the_task_is_another(filled: Filled) -> None:
    filled.measure("protonet", 0.98)
    filled.measure("mann", 0.3641)
    found = records(filled)
    assert found["protonet"]["to_paper_points"] == pytest.approx(2.0)
    assert found["mann"]["to_paper_points"] is None
    assert found["protonet"]["mini_to_paper_points"] is None


def test_a_wide_text_leaves_nothing_out(filled: Filled) -> None:
    filled.measure("protonet", 0.9)
    table = table2(filled.engine)
    text = render(table, Format.TEXT, width=300)
    assert "Hidden" not in text
    assert all(column.shown in text for column in table.columns)


def test_reports_load_without_torch() -> None:
    code = "import fsrun.report.table2, fsrun.report.figure4, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_mini_imagenet_has_a_column_of_its_own_beside_the_papers(filled: Filled) -> None:
    here = filled.measure("protonet", 0.49, experiment="miniimagenet", settings={"n_way": [5]})
    filled.measure("protonet", 0.95)
    row = row_of(filled, "protonet")
    assert row.measured is not None
    assert row.measured.mean == pytest.approx(95)
    assert row.on_mini.measured is not None
    assert row.on_mini.measured.mean == pytest.approx(49)
    assert row.on_mini.measured.run_ids == (here,)
    assert row_of(filled, "maml").on_mini.measured is None
    table = table2(filled.engine)
    text = render(table, Format.MARKDOWN)
    assert "| 48.7 | not run |" in text
    assert "| – | **49.00 ± 0.40** |" in text
    narrow = render(table, Format.TEXT, width=80)
    assert "49.00 ± 0.40" in line_of(narrow, "Prototypical Net ")
    record = next(record for record in table.records if record["row"] == "protonet")
    assert (record["mini_status"], record["mini_percent"]) == ("measured", pytest.approx(49))
    assert str(here) in record["runs"]
