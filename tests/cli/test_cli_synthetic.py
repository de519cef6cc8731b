"""The linear case study at the command line: seeds together, values from files, warnings, and refusals."""

from pathlib import Path

import pytest

from experiments.config import SyntheticRun, config_from_json
from store.jobs import JobStatus
from tests.cli.cli_cases import Case, Typed, assert_refused

REFUSED: dict[str, tuple[str, ...]] = {
    "no-examples": ("batch_size=0", "batch_size"),
    "infinite-noise": ("noise=Infinity", "noise", "finite"),
    "spectrum-length": ("spectrum=[1,2]", "2 eigenvalues", "dimension is 10"),
    "asymmetric": ("covariance=[[1,2],[0,1]]", "covariance"),
    "no-file": ("spectrum=@/nowhere/values.txt", "/nowhere/values.txt", "No such file"),
    "modules-of-one": ("slow_modules=known", "components=2"),
    "equal-components": ("components=3", "condition_number above 1"),
    "angles-of-a-ball": ("angles=30", "condition_number above 1"),
    "learner": ("fast_learner=adam", "fast_learner", "'adam'"),
    "condition-number": ("condition_numbers=0.5", "at least 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_in_one_line_and_nothing_is_stored(
    typed: Typed, home: Case, name: str
) -> None:
    setting, *parts = REFUSED[name]
    answer = typed("queue", "synthetic", "--set", setting)
    assert answer.code == 2
    assert_refused(answer, *parts)
    assert home.statuses() == []


def test_sizes_that_fit_no_memory_are_refused(typed: Typed) -> None:
    answer = typed("queue", "synthetic", "--set", "dimension=4096", "--seeds", "1000")
    assert_refused(answer, "dimension 4096 with 1000 seeds", "GiB of memory", "lower")


def test_seeds_of_the_linear_case_study_are_one_run(typed: Typed, home: Case) -> None:
    answer = typed("queue", "synthetic", "--seeds", "32")
    assert (answer.code, answer.err) == (0, "")
    assert "0 to 31" in answer.words
    assert home.statuses() == [JobStatus.QUEUED]
    config = config_from_json(home.run(1).spec.config)
    assert isinstance(config, SyntheticRun)
    assert (config.seed, config.seeds) == (0, 32)


def test_a_matrix_from_a_file_is_stored_with_the_run(typed: Typed, home: Case, tmp_path: Path) -> None:
    file = tmp_path / "matrix.csv"
    file.write_text("2, 1\n1, 2\n")
    answer = typed("queue", "synthetic", "--set", "dimension=2", "--set", f"covariance=@{file}")
    assert (answer.code, answer.err) == (0, "")
    config = config_from_json(home.run(1).spec.config)
    assert isinstance(config, SyntheticRun)
    assert config.data.covariance == ((2, 1), (1, 2))


def test_rates_that_diverge_are_warned_of_and_the_run_fails_with_the_task(typed: Typed, home: Case) -> None:
    wild = ("--preset", "quick", "--set", "slow_lr=1,2", "--set", "steps=4000")
    queued = typed("queue", "synthetic", *wild)
    assert queued.code == 0
    assert queued.err.startswith(
        "Warning: slow_lr 1 with fast_lr 0.2 is expected to diverge: theory puts the bound"
    )
    assert queued.err.endswith("(and 1 more of these runs).\n")
    assert queued.err.count("\n") == 1
    typed("worker", "--drain")
    assert home.statuses() == [JobStatus.FAILED] * 2
    assert str(home.run(1).error).startswith("diverged at task ")
