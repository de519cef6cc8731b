import math

import pytest

from fsrun.axes import with_interval
from fsrun.intervals import student_t


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (30, 2.0423), (1000, 1.9623)],
)
def test_student_t_agrees_with_the_printed_tables(degrees: int, expected: float) -> None:
    assert student_t(degrees) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("mean", "interval", "expected"),
    [
        (0.11, 0.00461, "0.1100 ± 0.0046"),
        (90.9, 0.9616, "90.90 ± 0.96"),
        (1234.5, 56.0, "1234 ± 56"),
        (2.4591, None, "2.459"),
        (0.5, 0.0, "0.5"),
        (0.5, math.inf, "0.5"),
    ],
)
def test_a_mean_has_as_many_places_as_its_interval(
    mean: float, interval: float | None, expected: str
) -> None:
    assert with_interval(mean, interval) == expected
