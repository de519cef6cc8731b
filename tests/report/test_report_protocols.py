"""One method in every kind of test it was put to."""

import json
from pathlib import Path

import pytest

from experiments.errors import ConfigError
from fsrun.report.errors import NothingToReport
from fsrun.report.protocols import protocols, protocols_table
from fsrun.report.render import Format, render
from fsrun.report.rows import left_out, rows
from tests.report.report_cases import Filled, Settings, config_of, fill


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def test_every_kind_of_test_has_a_line_and_its_ways_and_shots_are_columns(filled: Filled) -> None:
    tests: tuple[tuple[float, Settings], ...] = (
        (0.97, {}),
        (0.99, {"k_shot": [5]}),
        (0.98, {"evaluation.batch_norm": ["queries"]}),
        (0.70, {"sampling": ["within-alphabet"]}),
        (0.95, {"protocol": ["P-B"]}),
        (0.96, {"rotations": [False], "quarter_turns": [1]}),
    )
    for value, settings in tests:
        job = filled.start(config_of("omniglot", "fastslow", settings=settings))
        filled.end(job, value)
    table = protocols_table(protocols(filled.engine, "fastslow"))
    assert [column.heading for column in table.columns] == ["Data", "Test", "20w1s", "20w5s", "Runs"]
    numbers = {row[1]: row[2:4] for row in table.rows}
    assert numbers == {
        "R1": ("97.00 ± 0.40", "99.00 ± 0.40"),
        "R1, statistics of the queries (t)": ("98.00 ± 0.40", ""),
        "R1, within an alphabet": ("70.00 ± 0.40", ""),
        "R1, upright characters": ("96.00 ± 0.40", ""),
        "P-B": ("95.00 ± 0.40", ""),
    }


def test_several_looks_are_a_test_of_their_own_and_stay_out_of_table_2(filled: Filled) -> None:
    once = filled.end(filled.start(config_of("omniglot", "protonet")), 0.94)
    looks: Settings = {"looks.views": [3], "looks.turns": [4]}
    filled.end(filled.start(config_of("omniglot", "protonet", settings=looks)), 0.96)
    table = protocols_table(protocols(filled.engine, "protonet"))
    assert {row[1]: row[2] for row in table.rows} == {"P-V": "94.00 ± 0.40", "P-V, 12 looks": "96.00 ± 0.40"}
    (row,) = (row for row in rows(filled.engine) if row.name == "protonet")
    assert row.measured is not None
    assert row.measured.run_ids == (once,)
    assert any("looks at each test image 12 times" in line for line in left_out(filled.engine))


def test_a_test_is_shown_as_it_was_run_last_and_its_record_names_the_run(filled: Filled) -> None:
    for seed, value in enumerate((0.5, 0.96, 0.98)):
        settings = {"steps": [10]} if seed == 0 else None
        filled.end(filled.start(config_of("omniglot", "fastslow", seed=seed, settings=settings)), value)
    found = protocols(filled.engine, "fastslow")
    (record,) = json.loads(render(protocols_table(found), Format.JSON))["rows"]
    assert record["mean_percent"] == pytest.approx(97)
    assert record["seeds"] == [1, 2]
    assert record["interval_over"] == "runs and episodes"
    assert set(record["runs"]) == {str(run_id) for run_id in record["run_ids"]}


def test_what_another_method_or_other_classes_measured_is_left_out(filled: Filled) -> None:
    filled.end(filled.start(config_of("omniglot", "protonet")), 0.9)
    filled.end(filled.start(config_of("omniglot", "fastslow", settings={"n_way": [100]})), 0.8)
    with pytest.raises(NothingToReport, match="fsrun queue omniglot --method fastslow --n-way 5,20"):
        protocols(filled.engine, "fastslow")
    with pytest.raises(ConfigError, match="protonet"):
        protocols(filled.engine, "protonets")
