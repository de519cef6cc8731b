"""Searches: Optuna asks for the next configs, told by the store what those before came to."""

import sys
import time
from math import log10
from statistics import fmean

import pytest

from experiments.config import ImageRun, ProtoNetConfig, config_from_json
from store import queue
from store.results import ResultRow
from tests.cli.cli_cases import Case, Typed, assert_refused

GLYPHS = ("queue", "glyphs", "--preset", "quick", "--method", "protonet", "--set", "split=val")
RANGES = ("--set", "lr=1e-6..1:log", "--set", "filters=4..64")
ASKED = ("--sampler", "tpe", "--metric", "val/accuracy", "--trials")


def values(home: Case, run_id: int) -> tuple[float, int]:
    config = config_from_json(home.run(run_id).spec.config)
    assert isinstance(config, ImageRun)
    assert isinstance(config.method, ProtoNetConfig)
    return config.method.lr, config.method.filters


def apart(home: Case, run_id: int) -> float:
    """Return by how many powers of ten a run's rate is off the best."""
    return abs(log10(values(home, run_id)[0]) + 3)


def end(home: Case) -> None:
    """Have all runs measured: a rate of 0.001 is best."""
    engine = home.engine()
    while claim := queue.claim(engine, "w", now=time.time(), lease_seconds=60):
        row = ResultRow("val/accuracy", 0.9 - 0.1 * apart(home, claim.run_id), 0.01, 100)
        queue.finish(engine, claim.run_id, claim.attempt, [row], now=time.time())
    engine.dispose()


def test_a_search_comes_nearer_to_the_best_value_with_what_its_trials_came_to(
    typed: Typed, home: Case
) -> None:
    pytest.importorskip("optuna")
    first = typed(*GLYPHS, *RANGES, *ASKED, "32", "-q")
    assert (first.err, first.out.split()) == ("", [str(each) for each in range(1, 33)])
    typed(*GLYPHS, "--set", "lr=1", "--set", "steps=77")  # another config, which says nothing of the search
    end(home)
    second = typed(*GLYPHS, *RANGES, *ASKED, "8", "-q").out.split()
    assert len(second) == 8
    assert fmean(apart(home, int(each)) for each in second) < fmean(
        apart(home, each) for each in range(1, 33)
    )
    assert all(4 <= values(home, int(each))[1] <= 64 for each in second)
    waiting = typed(*GLYPHS, *RANGES, *ASKED, "2", "-q").out.split()
    assert not {values(home, int(each)) for each in waiting} & {values(home, int(each)) for each in second}


def test_a_search_that_cannot_be_is_refused_in_one_line(typed: Typed, home: Case) -> None:
    assert_refused(typed(*GLYPHS, *RANGES, "--sampler", "tpe"), "--trials", "--metric")
    assert_refused(typed(*GLYPHS, *RANGES, "--trials", "3"), "--sampler")
    assert_refused(typed(*GLYPHS, *RANGES, *ASKED, "3", "--random", "3"), "--random", "--sampler")
    assert_refused(typed(*GLYPHS, *ASKED, "3"), "--set lr=1e-4..1e-1:log")
    assert_refused(typed(*GLYPHS, *RANGES, *ASKED, "3", "--seeds", "2"), "one config")
    test = ("--sampler", "tpe", "--trials", "3", "--metric", "test/accuracy")
    assert_refused(typed(*GLYPHS, *RANGES, *test), "test/accuracy", "val/accuracy")
    assert_refused(typed(*GLYPHS[:-2], *RANGES, *ASKED, "3"), "--set split=val")
    assert_refused(typed(*GLYPHS, *RANGES, "--sampler", "tp", "--trials", "3", "--metric", "val/x"), "tpe")
    assert home.statuses() == []


def test_runs_without_the_metric_are_named(typed: Typed, home: Case) -> None:
    pytest.importorskip("optuna")
    assert typed(*GLYPHS, *RANGES, *ASKED, "1").code == 0
    end(home)
    wrong = ("--sampler", "tpe", "--trials", "1", "--metric", "val/accurate")
    assert_refused(typed(*GLYPHS, *RANGES, *wrong), "run 1 has no val/accurate, but val/accuracy")


def test_without_optuna_one_line_says_what_to_install(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert_refused(typed(*GLYPHS, *RANGES, *ASKED, "1"), "pip install 'fsrun[optuna]'")
