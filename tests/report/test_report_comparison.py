"""Two runs, or groups of seeds, held against each other on the test episodes that both met."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fsrun.errors import FsrunError, UsageError
from fsrun.report.comparison import compare, sentence
from fsrun.report.comparison_report import comparison_report
from fsrun.report.formats import Format
from fsrun.report.report import written
from store.errors import RunNotFound
from store.queue import finish
from store.results import ResultRow
from tests.report.linear_cases import finished
from tests.report.report_cases import Filled, Settings, config_of, fill

HARD = np.linspace(0.5, 1.0, 400)
SPREAD = np.tile([0.01, -0.01, 0.0, 0.0], 100)


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def outcome(
    filled: Filled,
    values: Sequence[float] | np.typing.NDArray[np.float64],
    method: str = "protonet",
    *,
    seed: int = 0,
    settings: Settings | None = None,
) -> int:
    """Return a finished run that measured these accuracies, episode by episode."""
    kept = np.asarray(values, dtype="<f4")
    job = filled.start(config_of("omniglot", method, seed=seed, settings=settings))
    mean, half = float(kept.mean()), float(1.96 * kept.std(ddof=1) / len(kept) ** 0.5)
    row = ResultRow("test/accuracy", mean, half, len(kept), kept.tobytes())
    finish(filled.engine, job.run_id, job.attempt, [row], now=filled.tick())
    return job.run_id


def test_the_effect_is_paired_and_the_sentence_names_it(filled: Filled) -> None:
    a, b = outcome(filled, HARD - 0.04 + SPREAD, "fastslow"), outcome(filled, HARD - 0.06)
    found = compare(filled.engine, [a], [b])
    (effect,) = found.effects
    assert effect.apart.mean == pytest.approx(2, abs=1e-3)
    assert effect.apart.interval == pytest.approx(100 * 1.96 * SPREAD.std(ddof=1) / 20, rel=1e-3)
    assert (effect.better, effect.equal, effect.worse) == (400, 0, 0)
    assert effect.p is not None
    assert effect.p < 1e-16
    assert sentence(found) == (
        "On the same 400 numbered 20-way 1-shot test episodes of omniglot, Fast/Slow at 71.0 ± 1.4 % is "
        "2.00 ± 0.07 points ahead of Prototypical Net at 69.0 ± 1.4 % (paired difference, 95 % interval "
        "1.93 to 2.07, p < 1e-16). One training of a side says nothing of how much trainings vary: compare "
        "several seeds."
    )
    assert " points behind " in sentence(compare(filled.engine, [b], [a]))


def test_what_cannot_be_told_apart_is_not_called_a_difference(filled: Filled) -> None:
    a = outcome(filled, HARD - 0.06 + SPREAD, settings={"lr": [0.01]})
    b = outcome(filled, HARD - 0.06, settings={"lr": [0.02]})
    said = sentence(compare(filled.engine, [a], [b]))
    assert "Prototypical Net with lr=0.01 at 69.0 ± 1.4 % and Prototypical Net with lr=0.02" in said
    assert "could not be told apart: the paired difference is" in said
    assert "(95 % interval -0.07 to 0.07, p = 1)" in said


def test_groups_of_seeds_add_what_seeds_vary_by(filled: Filled) -> None:
    settings = {"lr": [0.01]}
    a = [outcome(filled, HARD - 0.1 + 0.02 * seed, seed=seed) for seed in (0, 1)]
    b = [outcome(filled, HARD - 0.1, seed=seed, settings=settings) for seed in (0, 1)]
    (effect,) = compare(filled.engine, a, b).effects
    assert effect.apart.mean == pytest.approx(1, abs=1e-3)
    assert effect.apart.interval == pytest.approx(12.7, abs=0.1)  # Student's t with one degree of freedom
    assert effect.p is None
    said = sentence(compare(filled.engine, a, b))
    assert "(2 seeds)" in said
    assert "One training" not in said


def test_the_options_that_differ_are_listed_and_json_has_all(filled: Filled) -> None:
    a, b = outcome(filled, HARD, "fastslow"), outcome(filled, HARD)
    report = comparison_report(filled.engine, (a,), (b,))
    text = written(report, Format.TEXT, width=120)
    assert "data.protocol" in text
    assert "options that only one side has" in text
    document = json.loads(written(report, Format.JSON))
    assert (document["schema"], document["sentence"]) == ("fsrun/comparison/1", report.says)
    assert {row["option"] for row in document["options"]} > {"method.name", "method.slow_lr"}
    assert {*document["runs"]} == {str(a), str(b)}
    (result,) = document["results"]
    assert (result["difference"], result["interval_leaves_out_zero"]) == (0, False)


@pytest.mark.parametrize("form", Format)
def test_a_comparison_has_every_format(filled: Filled, form: Format) -> None:
    a, b = outcome(filled, HARD), outcome(filled, HARD - 0.1, settings={"lr": [0.01]})
    text = written(comparison_report(filled.engine, (a,), (b,)), form)
    assert "test/accuracy" in text
    assert ("the same 400 numbered" in " ".join(text.split())) is (form is not Format.CSV)


def test_two_runs_of_one_config_are_compared_bit_for_bit(filled: Filled) -> None:
    a, b, c = outcome(filled, HARD), outcome(filled, HARD), outcome(filled, HARD - 0.1)
    report = comparison_report(filled.engine, (a,), (b,))
    assert report.says == "identical: all 400 episode values of test/accuracy are equal."
    assert json.loads(written(report, Format.JSON))["schema"] == "fsrun/repetition/1"
    assert comparison_report(filled.engine, (a,), (c,)).says.startswith(
        f"not the same: test/accuracy of run {c} is -10"
    )


def test_runs_that_cannot_be_compared_are_refused_with_the_reason(filled: Filled) -> None:
    one = outcome(filled, HARD)
    five = outcome(filled, HARD, settings={"n_way": [5]})
    other = outcome(filled, HARD, settings={"lr": [0.01]})
    again = outcome(filled, HARD)
    elsewhere = outcome(filled, HARD, settings={"protocol": ["P-B"]})
    bare = filled.measure("protonet", 0.9, settings={"lr": [0.02]})
    linear = finished(filled)
    waiting = filled.queue(config_of("omniglot", "protonet", seed=5))
    engine = filled.engine
    with pytest.raises(FsrunError, match=r"did not meet the same test episodes \(n_way 20 and 5\)"):
        compare(engine, [one], [five])
    with pytest.raises(FsrunError, match="their test classes are others"):
        compare(engine, [one], [elsewhere])
    with pytest.raises(UsageError, match=r"not seeds of one config: they differ in method\.lr"):
        compare(engine, [one, other], [five])
    with pytest.raises(UsageError, match="are both of seed 0"):
        compare(engine, [one, again], [other])
    with pytest.raises(UsageError, match="cannot be compared with itself"):
        compare(engine, [one, other], [one])
    with pytest.raises(FsrunError, match=rf"run {bare} kept no values .* fsrun rerun {bare}"):
        compare(engine, [one], [bare])
    with pytest.raises(FsrunError, match="of synthetic, whose test tasks cannot be paired"):
        compare(engine, [one], [linear])
    with pytest.raises(FsrunError, match=f"run {waiting} is queued: compare runs that are done"):
        compare(engine, [one], [waiting])
    with pytest.raises(RunNotFound, match="no run 99"):
        compare(engine, [one], [99])
