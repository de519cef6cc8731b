"""How far one method is ahead of another on the same episodes."""

from math import hypot, sqrt
from typing import Any

import numpy as np
import pytest

from experiments.config import config_to_json
from fsrun.intervals import student_t
from fsrun.report.paired import held_out, paired_difference
from store.results import FinishedResult, ResultRow
from tests.report.report_cases import config_of


def finished(
    values: list[float], method: str = "protonet", settings: dict[str, list[Any]] | None = None
) -> FinishedResult:
    config = config_of("omniglot", method, settings=settings)
    episodes = np.array(values, dtype="<f4")
    return FinishedResult(
        run_id=1,
        experiment="omniglot",
        method=method,
        preset="paper",
        seed=0,
        n_way=20,
        k_shot=1,
        config=config_to_json(config),
        group_hash="",
        created=0.0,
        finished=0.0,
        seconds=0.0,
        device="cpu",
        provenance={},
        result=ResultRow("test/accuracy", float(episodes.mean()), 0.0, len(values), episodes.tobytes()),
    )


HARD_AND_EASY = [0.1, 0.9, 0.2, 0.8]


def test_a_constant_lead_is_certain_however_much_episodes_differ() -> None:
    ahead, behind = finished([value + 0.05 for value in HARD_AND_EASY]), finished(HARD_AND_EASY)
    lead = paired_difference([ahead], [behind], scale=100)
    assert lead is not None
    assert lead.mean == pytest.approx(5, abs=1e-4)
    assert lead.interval == pytest.approx(0, abs=1e-4)
    assert lead.episodes == 4


def test_the_interval_is_that_of_the_differences() -> None:
    lead = paired_difference([finished([0.5, 0.7])], [finished([0.4, 0.4])])
    assert lead is not None
    assert lead.mean == pytest.approx(0.2)
    assert lead.interval == pytest.approx(1.96 * (0.2 / sqrt(2)) / sqrt(2), rel=1e-4)
    back = paired_difference([finished([0.4, 0.4])], [finished([0.5, 0.7])])
    assert back is not None
    assert back.mean == pytest.approx(-0.2)


def test_what_seeds_vary_by_is_added() -> None:
    ahead = [finished([0.5, 0.5]), finished([0.7, 0.7])]
    lead = paired_difference(ahead, [finished([0.4, 0.4])])
    assert lead is not None
    assert lead.mean == pytest.approx(0.2)
    over_runs = student_t(1) * (0.2 / sqrt(2)) / sqrt(2)
    assert lead.interval == pytest.approx(hypot(0, over_runs), rel=1e-4)


def test_only_episodes_that_both_met_count() -> None:
    lead = paired_difference([finished([0.5, 0.7, 0.0])], [finished([0.4, 0.4])])
    assert lead is not None
    assert lead.episodes == 2
    assert lead.mean == pytest.approx(0.2)


@pytest.mark.parametrize(
    "other", [{"n_way": [5]}, {"n_query": [15]}, {"evaluation.seed": [1]}, {"protocol": ["P-B"]}]
)
def test_other_episodes_cannot_be_compared(other: dict[str, list[Any]]) -> None:
    assert paired_difference([finished(HARD_AND_EASY)], [finished(HARD_AND_EASY, settings=other)]) is None


def test_the_common_test_classes_of_two_protocols_are_the_same_episodes() -> None:
    fastslow = finished(HARD_AND_EASY, "fastslow")  # learns under R1, is tested on the classes of P-V
    assert held_out(fastslow) == held_out(finished(HARD_AND_EASY))
    assert paired_difference([fastslow], [finished(HARD_AND_EASY)]) is not None


def test_a_run_that_kept_no_episodes_cannot_be_compared() -> None:
    assert paired_difference([finished(HARD_AND_EASY)], [finished([0.5])]) is None
