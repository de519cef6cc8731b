"""Studies: sweeps with a name of their own, queued and reported on by it."""

import pytest

from tests.cli.cli_cases import Case, Typed, assert_refused

TINY = ("--on", "glyphs", "--preset", "quick", "--n-way", "3", "--set", "alphabets=10")

WRONG = {
    "a name nearly right": ("queue ablation", "unknown experiment 'ablation'", "did you mean 'ablations'"),
    "other data": ("queue ablations --on synthetic", "unknown data of ablations 'synthetic'"),
    "data of no study": ("queue omniglot --on glyphs", "--on picks the data of a study"),
    "a method": ("queue ablations --method protonet", "leave out --method"),
    "two bases": ("queue ablations --set slow_lr=1,2", "slow_lr has 2 values"),
    "two bases of ways": ("queue ablations --n-way 5,20", "n_way has 2 values"),
    "a drawn table": ("report --ablations --out table.png", "--ablations", "--format"),
    "nothing finished": ("report --ablations", "fsrun queue ablations"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_refused_in_one_line(typed: Typed, name: str) -> None:
    command, *expected = WRONG[name]
    assert_refused(typed(*command.split()), *expected)


def test_ablations_are_one_sweep_that_says_what_each_run_is_for(typed: Typed, home: Case) -> None:
    answer = typed("queue", "ablations", *TINY, "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    head, *lines = (line.rstrip() for line in answer.out.splitlines())
    rows = [line for line in lines if line.startswith("Fast/Slow")]
    assert len(rows) == 16
    assert head.endswith("for")
    assert rows[0].endswith("Base")
    assert rows[-1].endswith("Batch of an inner step: a fresh one")
    assert lines[-1] == "Dry run: nothing was stored."
    assert not home.root.exists()


def test_queued_ablations_share_one_pre_training(typed: Typed, home: Case) -> None:
    answer = typed("queue", "ablations", *TINY)
    assert "Queued runs 2-17; waiting for run 1." in answer.words
    parents = [home.run(number).parents for number in range(2, 18)]
    assert parents.count((1,)) == 15
    assert parents.count(()) == 1  # without pre-training
