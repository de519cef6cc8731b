from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.checkpoint import load_checkpoint
from fsrun.worker.runner import execute
from store.jobs import JobStatus
from tests.cli.cli_cases import Case
from tests.worker.worker_cases import after, ask, never, take

GLYPHS = {"alphabets": [10], "characters": [12], "n_way": [5], "episodes": [20], "log_every": [1]}
PRETRAIN = {"pretrain.steps": [2], "pretrain.filters": [8]}
RUNS: dict[str, tuple[str, str, dict[str, list[Any]]]] = {
    "linear": ("synthetic", "linear", {"steps": [400], "log_every": [20], "episodes": [20]}),
    "protonet": ("glyphs", "protonet", GLYPHS | {"steps": [6], "train_n_way": [5], "filters": [8]}),
    "fastslow": ("glyphs", "fastslow", GLYPHS | PRETRAIN | {"fastslow.steps": [6], "inner_steps": [2]}),
}


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """Return the leaves of a nested state by their places."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {place: value}
    return {name: leaf for key in value for name, leaf in flat(value[key], f"{place}/{key}").items()}


def equal(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_stopped_twice_ends_with_the_points_results_and_weights_of_one_that_was_not(
    home: Case, glyphs_data_dir: Path, name: str
) -> None:
    home.data.symlink_to(glyphs_data_dir)
    for _ in range(2):
        ask(home, *RUNS[name])
    last: dict[int, dict[str, Any]] = {}
    stopped: set[int] = set()
    while len(last) < len(home.statuses()):
        claim = take(home)
        breaks = (2, 1) if home.run(claim.run_id).spec.method == name and stopped == set() else ()
        if breaks:
            stopped.add(claim.run_id)
        for chunks in breaks:
            execute(home.engine(), home, claim.run_id, claim.attempt, "cpu", after(chunks))
            claim = take(home)
            assert claim.run_id in stopped
        execute(home.engine(), home, claim.run_id, claim.attempt, "cpu", never)
        record = home.run(claim.run_id)
        assert record.status is JobStatus.DONE, record.error
        last[claim.run_id] = flat(load_checkpoint(home.checkpoints / record.checkpoints[0].path)[1])
    (disturbed,) = stopped
    (other,) = [each for each in last if each != disturbed and home.run(each).spec.method == name]
    assert [attempt.from_step > 0 for attempt in home.run(disturbed).attempts] == [False, True, True]
    assert home.numbers(disturbed) == home.numbers(other)
    assert last[disturbed].keys() == last[other].keys()
    for place, value in last[disturbed].items():  # the weights, the optimisers' states, everything
        assert equal(value, last[other][place]), place


def test_a_run_goes_on_with_as_many_threads_as_it_began_with(
    home: Case, glyphs_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.data.symlink_to(glyphs_data_dir)
    (run_id,) = ask(home, *RUNS["protonet"])
    used: list[int] = []

    def stops_at_once() -> bool:
        used.append(torch.get_num_threads())
        return len(used) < 3

    for cores in ("3", "1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", cores)
        execute(home.engine(), home, run_id, take(home).attempt, "cpu", stops_at_once)
    assert set(used) == {3}
    assert home.run(run_id).status is JobStatus.DONE
    assert [attempt.provenance["torch threads"] for attempt in home.run(run_id).attempts] == ["3"] * 3


def test_a_job_that_diverges_fails_with_that_reason_and_keeps_its_points(home: Case) -> None:
    wild: dict[str, list[Any]] = {
        "slow_lr": [1e6],
        "initial_scale": [1e3],
        "steps": [4000],
        "log_every": [20],
        "stop_on_nan_after": [50],
    }
    (run_id,) = ask(home, "synthetic", "linear", wild)
    execute(home.engine(), home, run_id, take(home).attempt, "cpu", never)
    record = home.run(run_id)
    assert record.status is JobStatus.FAILED
    assert "for 50 points in a row" in str(record.error)
    assert "Traceback" not in str(record.error)
    steps, _ = home.numbers(run_id)[1]["train/loss_ratio"]
    assert len(steps) >= 50
