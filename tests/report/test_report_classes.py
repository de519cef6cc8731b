"""Accuracy against the number of classes, from stored runs."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments.sweeps import Sweep, plan
from fsrun.errors import UsageError
from fsrun.planning import requests
from fsrun.provenance import PEAK_BYTES, REPAIRED, SECONDS_PER_EPISODE
from fsrun.report.canvas import save
from fsrun.report.classes import Classes, MethodCurve, classes
from fsrun.report.classes_drawing import chart, classes_report, draw_classes
from fsrun.report.errors import NothingToReport
from fsrun.report.paired import shared_values
from fsrun.report.render import Format, render
from fsrun.report.report import written
from fsrun.report.table2 import rows, table2
from store.jobs import add_provenance
from store.queue import claim, finish
from store.results import ResultRow
from store.runs import enqueue
from tests.report.report_cases import ONE_LOOK, Filled, fill

WAYS = [5, 20, 100, 1692]


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def sweep(filled: Filled, method: str, lead: float = 0.0, **settings: list[Any]) -> None:
    """Queue a method for all WAYS and end every run, as good as `lead` above 1 - 0.1 * log10(n_way)."""
    chosen: dict[str, list[Any]] = {"n_way": WAYS, "episodes": [4]} | settings
    chosen |= {name: list(values) for name, values in ONE_LOOK.items() if method == "fastslow"}
    planned = plan(Sweep("omniglot", (method,), "quick", settings=chosen))
    enqueue(filled.engine, requests(planned), now=filled.tick(), provenance={})
    while taken := claim(filled.engine, "worker", now=filled.tick(), lease_seconds=60):
        n_way = json.loads(taken.config)["evaluation"]["n_way"]
        mean = 1 - 0.1 * float(np.log10(n_way)) + lead
        values = (mean + np.array([-0.02, 0.02, -0.02, 0.02])).astype("<f4")
        facts = {SECONDS_PER_EPISODE: str(n_way / 1000), PEAK_BYTES: str(n_way * 2**20)}
        add_provenance(filled.engine, taken.run_id, taken.attempt, facts)
        row = ResultRow("test/accuracy", mean, 0.02, 4, values.tobytes())
        finish(filled.engine, taken.run_id, taken.attempt, [row], now=filled.tick())


def curve(found: Classes, method: str) -> MethodCurve:
    return next(each for each in found.curves if each.method == method)


def test_each_method_has_a_point_for_each_number_of_classes(filled: Filled) -> None:
    sweep(filled, "protonet")
    sweep(filled, "cnn-nn", lead=-0.1)
    found = classes(filled.engine, "omniglot")
    assert [each.method for each in found.curves] == ["cnn-nn", "protonet"]  # no pre-training
    points = curve(found, "protonet").points
    assert [point.n_way for point in points] == WAYS
    assert [round(point.measured.mean, 2) for point in points] == [93.01, 86.99, 80.0, 67.72]
    assert points[0].measured.interval == pytest.approx(2)
    assert [point.seconds_per_episode for point in points] == [0.005, 0.02, 0.1, 1.692]
    assert points[-1].peak_bytes == 1692 * 2**20


def test_fast_slow_is_compared_with_each_other_method_on_the_same_episodes(filled: Filled) -> None:
    sweep(filled, "cnn-nn", lead=-0.1)
    sweep(filled, "fastslow")
    found = classes(filled.engine, "omniglot")
    for point in curve(found, "cnn-nn").points:
        assert point.ahead is not None
        assert point.ahead.mean == pytest.approx(10, abs=1e-3)
        assert point.ahead.interval < 1e-3  # every episode by the same
    assert all(point.ahead is None for point in curve(found, "fastslow").points)


def test_a_curve_is_of_one_model_the_one_that_was_measured_last(filled: Filled) -> None:
    sweep(filled, "protonet", lead=-0.5)
    sweep(filled, "protonet", lr=[0.1])
    points = curve(classes(filled.engine, "omniglot"), "protonet").points
    assert [round(point.measured.mean) for point in points] == [93, 87, 80, 68]
    assert "method.lr=0.1" in points[0].measured.differences


def test_a_measuring_run_stands_in_its_methods_row_of_table_2(filled: Filled) -> None:
    sweep(filled, "fastslow")
    row = next(row for row in rows(filled.engine, shapes=[(5, 1)]) if row.method == "fastslow")
    assert row.measured is not None
    assert row.measured.mean == pytest.approx(93.01, abs=0.01)
    assert row.measured.differences == ("evaluation.episodes=4",)


def test_table_2_tells_leads_on_the_same_episodes(filled: Filled) -> None:
    sweep(filled, "fastslow")
    sweep(filled, "protonet", lead=0.02)
    text = render(table2(filled.engine).detailed(), Format.TEXT, width=240)
    assert "+2.00 ± 0.00" in next(line for line in text.splitlines() if line.startswith("Prototypical Net"))
    assert "to F/S: accuracy minus that of Fast/Slow, in points, on the same numbered episodes alone." in text


def test_runs_on_other_test_classes_are_left_out_and_named(filled: Filled) -> None:
    sweep(filled, "protonet", protocol=["P-B"])
    sweep(filled, "cnn-nn")
    found = classes(filled.engine, "omniglot")
    assert [each.method for each in found.curves] == ["cnn-nn"]
    assert found.left_out == (1, 2, 3, 4, 5)
    assert "Not shown, since tested on other classes or features: runs 1, 2, 3, 4, 5." in " ".join(
        written(classes_report(filled.engine, "omniglot"), Format.TEXT).split()
    )


@dataclass(frozen=True)
class OnFeatures:
    """A result on features, as far as pairs need it."""

    provenance: Mapping[str, str]
    result: ResultRow
    config: str = '{"data": {"kind": "imagenet", "features": "animals"}, "evaluation": {}}'


def test_runs_before_and_after_features_were_repaired_met_other_images() -> None:
    values = np.zeros(4, "<f4").tobytes()
    before, same, after = (
        OnFeatures(facts, ResultRow("test/accuracy", 0.5, 0.1, 4, values))
        for facts in ({}, {}, {REPAIRED: "1"})
    )
    assert shared_values([before], [same]) is not None
    assert shared_values([before], [after]) is None


def test_other_kinds_of_tests_stand_neither_here_nor_in_table_2(filled: Filled) -> None:
    sweep(filled, "fastslow")
    usual = classes(filled.engine, "omniglot").curves, rows(filled.engine)
    before = max(run_id for point in usual[0][0].points for run_id in point.measured.run_ids)
    for settings in ({"sampling": ["within-alphabet"]}, {"evaluation.batch_norm": ["queries"]}):
        sweep(filled, "fastslow", lead=0.05, n_way=[5, 20], **settings)
    found = classes(filled.engine, "omniglot")
    assert (found.curves, rows(filled.engine)) == usual
    assert found.unusual == (before + 1, before + 2, before + 3, before + 4)
    notes = " ".join(render(table2(filled.engine).detailed(), Format.TEXT, width=200).split())
    assert (
        f"Excluded: runs {before + 4}, {before + 3} (fastslow): batch norm uses the statistics of the"
        in notes
    )
    assert f"runs {before + 2}, {before + 1} (fastslow): its episodes are drawn within-alphabet." in notes


@pytest.mark.parametrize(("experiment", "k_shot"), [("omniglot", 5), ("glyphs", 1)])
def test_where_nothing_is_measured_the_command_that_measures_is_named(
    filled: Filled, experiment: str, k_shot: int
) -> None:
    sweep(filled, "protonet")
    with pytest.raises(NothingToReport, match=f"fsrun queue {experiment} --method fastslow"):
        classes(filled.engine, experiment, k_shot=k_shot)


def test_text_has_a_curve_with_the_numbers_of_classes_along_it_and_a_table_below(filled: Filled) -> None:
    sweep(filled, "protonet")
    text = written(classes_report(filled.engine, "omniglot"), Format.TEXT, width=80)
    assert max(map(len, text.splitlines())) <= 80
    axis = next(line for line in text.splitlines() if line.split() == ["5", "20", "100", "1,692"])
    place = [axis.index(each) for each in ("20", "100", "1,692")]
    assert place[0] < place[1] - 5 < place[2] - 10  # a logarithmic axis: 100 lies near the middle
    assert abs(place[1] - 44) < 6
    assert "93.01 ± 2.00" in text
    assert "1692 MB" in text


def test_a_terminal_shows_fast_slow_and_the_best_of_many(filled: Filled) -> None:
    for place, method in enumerate(("pixel-knn", "cnn-nn", "protonet", "matching", "siamese", "fastslow")):
        sweep(filled, method, lead=0.1 - 0.03 * place)
    head = chart(classes(filled.engine, "omniglot"), width=160, colour=False).plain.splitlines()[0]
    assert [title in head for title in ("Fast/Slow", "Pixel-KNN", "CNN 1-NN", "Prototypical")] == [True] * 4
    assert not any(title in head for title in ("Matching", "Siamese"))


def test_csv_and_json_carry_every_number_with_its_runs(filled: Filled) -> None:
    sweep(filled, "protonet")
    table = list(csv.DictReader(StringIO(written(classes_report(filled.engine, "omniglot"), Format.CSV))))
    assert [row["n_way"] for row in table] == [str(n_way) for n_way in WAYS]
    assert float(table[3]["seconds_per_episode"]) == 1.692
    document = json.loads(written(classes_report(filled.engine, "omniglot"), Format.JSON))
    (run,) = document["rows"][0]["runs"].values()
    assert run["config"]["trained_by"]["n_way"] == 20
    assert SECONDS_PER_EPISODE in run["provenance"]


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")])
def test_the_figure_becomes_a_picture_with_ink_in_both_panels(
    filled: Filled, tmp_path: Path, ending: str, start: bytes
) -> None:
    sweep(filled, "protonet")
    path = tmp_path / f"classes.{ending}"
    save(draw_classes(classes(filled.engine, "omniglot")), path)
    assert path.read_bytes().startswith(start)
    if ending == "png":
        with Image.open(path) as picture:
            left, right = np.array_split(np.asarray(picture.convert("L")), 2, axis=1)
        assert max(left.min(), right.min()) < 130
    with pytest.raises(UsageError, match=r"\.png, \.svg, \.pdf"):
        save(draw_classes(classes(filled.engine, "omniglot")), tmp_path / "classes.txt")


def test_where_not_all_fit_a_chart_shows_the_methods_of_the_most_points(filled: Filled) -> None:
    sweep(filled, "fastslow")
    for method in ("matching", "siamese", "cnn", "shrinking"):
        sweep(filled, method, n_way=[5, 20])
    sweep(filled, "protonet", lead=-0.2)
    head = chart(classes(filled.engine, "omniglot"), width=160, colour=False).plain.splitlines()[0]
    assert head.index("Fast/Slow") < head.index("Prototypical Net")
    assert sum(name in head for name in ("Matching", "Siamese", "CNN", "Shrinking")) == 2
