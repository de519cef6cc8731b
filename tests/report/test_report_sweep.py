"""The report on a sweep: a result against one option, with a line for each value of another."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import ConfigError
from fsrun.errors import UsageError
from fsrun.report.canvas import save
from fsrun.report.errors import NothingToReport
from fsrun.report.formats import Format
from fsrun.report.report import written
from fsrun.report.sweep import Swept, sweep, sweep_report
from tests.report.report_cases import Filled, fill

RATES = (0.001, 0.01, 0.1)


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def measured(filled: Filled, value: float, *, seed: int = 0, **options: Any) -> int:
    settings = {name: [each] for name, each in options.items()}
    return filled.measure("protonet", value, seed=seed, settings=settings)


def product(filled: Filled) -> list[int]:
    """Rates by filters: 64 filters are ahead by ten points, and the middle rate is best."""
    return [
        measured(filled, 0.6 + 0.1 * (filters == 64) + 0.05 * (lr == 0.01), lr=lr, filters=filters)
        for filters in (64, 16)
        for lr in reversed(RATES)
    ]


def values(found: Swept) -> list[tuple[Any, Any, float]]:
    return [(point.line, point.value, round(point.measured.mean, 6)) for point in found.points]


def test_a_product_has_a_line_for_each_value_of_the_option_with_fewer(filled: Filled) -> None:
    product(filled)
    measured(filled, 0.99, lr=0.5, filters=32, train_n_way=5)  # differs in more
    filled.measure("matching", 0.99)
    found = sweep(filled.engine, run_id=1)
    assert (found.metric, found.axis, found.by) == ("test/accuracy", "method.lr", "method.filters")
    assert values(found) == [
        *((16, 0.001, 60.0), (16, 0.01, 65.0), (16, 0.1, 60.0)),
        *((64, 0.001, 70.0), (64, 0.01, 75.0), (64, 0.1, 70.0)),
    ]
    assert values(sweep(filled.engine)) == values(found)  # the newest that is a sweep


def test_the_axis_can_be_named_and_other_options_stay_as_the_run_has_them(filled: Filled) -> None:
    runs = product(filled)
    found = sweep(filled.engine, run_id=runs[-1], by=["filters"])
    assert (found.axis, found.by) == ("method.filters", "")
    assert [(value, mean) for _, value, mean in values(found)] == [(16, 60.0), (64, 70.0)]
    turned = sweep(filled.engine, run_id=runs[0], by=["filters", "lr"])
    assert [(line, value) for line, value, _ in values(turned)][:2] == [(0.001, 16), (0.001, 64)]
    with pytest.raises(ConfigError, match="did you mean 'filters'"):
        sweep(filled.engine, run_id=runs[0], by=["filter"])
    with pytest.raises(UsageError, match="--by"):
        sweep(filled.engine, run_id=runs[0], by=["lr", "filters", "steps"])
    with pytest.raises(UsageError, match="--run 99"):
        sweep(filled.engine, run_id=99)


def test_the_interval_is_over_seeds_where_there_are_several(filled: Filled) -> None:
    for seed, value in enumerate((0.7, 0.8)):
        measured(filled, value, seed=seed, lr=0.01)
    measured(filled, 0.6, lr=0.1)
    several, one = sweep(filled.engine).points
    assert (several.measured.seeds, several.measured.interval_over) == ((0, 1), "runs and episodes")
    assert several.measured.interval == pytest.approx(63.5, abs=0.1)  # Student's t with one degree of freedom
    assert one.measured.interval_over == "episodes"
    assert one.measured.interval == pytest.approx(0.4)


def test_one_config_is_no_sweep(filled: Filled) -> None:
    measured(filled, 0.7)
    measured(filled, 0.7, seed=1)
    with pytest.raises(NothingToReport, match="fsrun queue omniglot"):
        sweep(filled.engine)


def test_words_lie_side_by_side_and_every_format_has_all_points(filled: Filled, tmp_path: Path) -> None:
    for place, schedule in enumerate(("constant", "cosine")):
        measured(filled, 0.7 + 0.1 * place, schedule=schedule)
    report = sweep_report(filled.engine)
    text = written(report, Format.TEXT, width=100)
    assert "cosine" in text
    assert "80.00 ± 0.40" in text
    document = json.loads(written(report, Format.JSON))
    assert [(row["axis"], row["value"], row["mean"]) for row in document["rows"]] == [
        ("method.schedule", "constant", 70.0),
        ("method.schedule", "cosine", 80.0),
    ]
    for form in Format:
        assert "constant" in written(report, form)
    pytest.importorskip("matplotlib")
    assert report.picture is not None
    save(report.picture(), tmp_path / "sweep.svg")
    assert (tmp_path / "sweep.svg").stat().st_size > 1000
