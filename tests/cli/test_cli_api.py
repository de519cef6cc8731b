"""The Python API: the same facts as the commands print, as plain values."""

import json
import sys
from datetime import UTC, datetime
from math import isnan

import pytest

import fsrun
from experiments.errors import ConfigError
from fsrun.errors import FsrunError, UsageError
from store.errors import DatabaseUnavailable, RunNotFound
from tests.cli.cli_cases import TINY, Case, Typed


def test_runs_have_the_names_and_values_of_the_list_as_json(looking: Typed) -> None:
    (listed,) = json.loads(looking("ls", "--json").out)["runs"]
    (run,) = fsrun.runs()
    assert set(vars(run)) == set(listed)
    assert (run.id, run.status, run.results) == (1, "done", listed["results"])
    assert run.created == datetime.fromisoformat(listed["created"]).replace(
        microsecond=run.created.microsecond
    )
    assert run.created.tzinfo is UTC


def test_runs_are_chosen_by_number_status_and_tag(typed: Typed) -> None:
    assert typed("queue", "synthetic", *TINY, "--set", "slow_lr=0.001,0.002,0.003").code == 0
    typed("tag", "2-3", "night")
    typed("cancel", "3")
    assert [run.id for run in fsrun.runs()] == [3, 2, 1]
    assert [run.id for run in fsrun.runs(tag="night", status="queued")] == [2]
    assert [run.id for run in fsrun.runs(1, 3)] == [3, 1]
    with pytest.raises(RunNotFound, match="there is no run 9"):
        fsrun.runs(1, 9)
    with pytest.raises(UsageError, match="unknown status 'finished'"):
        fsrun.runs(status="finished")


def test_results_say_what_each_run_measured_with_its_options(looking: Typed, finished_home: Case) -> None:
    measured = finished_home.run(1).results
    found = fsrun.results(experiment="synthetic")
    assert {each.name: each.value for each in found} == {each.name: each.value for each in measured}
    assert {each.config["method"]["steps"] for each in found} == {400}
    assert [each.run for each in fsrun.results(name="test/loss_ratio")] == [1]
    assert fsrun.results(experiment="omniglot") == ()


def test_a_curve_has_every_point(looking: Typed, finished_home: Case) -> None:
    curve = fsrun.curve(1, "train/loss_ratio")
    assert (curve.steps, curve.values) == finished_home.numbers(1)[1]["train/loss_ratio"]
    assert len(curve.times) == len(curve.steps)
    with pytest.raises(ConfigError, match="did you mean 'train/loss_ratio'"):
        fsrun.curve(1, "train/loss")


def test_runs_and_curves_become_frames_of_pandas(looking: Typed) -> None:
    pytest.importorskip("pandas")
    frame = fsrun.results().to_frame()
    assert list(frame["value"].round(9)) == [round(each.value, 9) for each in fsrun.results()]
    curve = fsrun.curve(1, "train/loss_ratio")
    assert list(curve.to_frame()["step"]) == list(curve.steps)
    assert not any(map(isnan, curve.to_frame()["value"]))


def test_without_pandas_or_without_a_database_one_line_says_so(
    looking: Typed, home: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(FsrunError, match="pip install pandas"):
        fsrun.runs().to_frame()
    monkeypatch.setenv("FSRUN_HOME", str(home.root))
    with pytest.raises(DatabaseUnavailable, match=r"fsrun\.db"):
        fsrun.runs()
