"""What the training loop does when things go wrong: a loss that is no number, a disk that is full."""

import errno
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from experiments import run
from experiments.checkpoint import load_checkpoint, load_counters, save_checkpoint
from experiments.config import RunConfig
from experiments.errors import Diverged, StorageUnavailable, unwritable
from experiments.events import Finished, Stopped
from experiments.method import Resources
from experiments.sweeps import Sweep, plan

WILD = {"slow_lr": [1e6], "initial_scale": [1e3], "steps": [2000], "stop_on_nan_after": [50]}  # 100 points


def config(**settings: Any) -> RunConfig:
    chosen = {"steps": [400], "log_every": [20], "episodes": [10], "stop_on_nan_after": [50]} | settings
    return plan(Sweep("synthetic", ("linear",), "quick", settings=chosen))[0].config


@dataclass
class Memory:
    """An EventSink that keeps everything."""

    points: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    saved: list[Path] = field(default_factory=list)

    def started(self, step: int) -> None:
        assert step >= 0

    def metrics(self, steps: Sequence[int], values: Mapping[str, Sequence[float]]) -> None:
        for name, numbers in values.items():
            self.points.setdefault(name, []).extend(zip(steps, numbers, strict=True))

    def checkpoint(self, step: int, path: Path) -> None:
        assert step >= 0
        self.saved.append(path)


def carry_out(config: RunConfig, folder: Path, sink: Memory, **options: Any) -> Finished | Stopped:
    resources = Resources(folder, torch.device("cpu"), {})
    return run.run(config, resources, sink, lambda step: folder / f"{step}.safetensors", **options)


def test_a_run_whose_loss_is_no_number_for_long_is_stopped_and_says_why(tmp_path: Path) -> None:
    sink = Memory()
    with pytest.raises(Diverged, match=r"train/loss_ratio was (nan|inf) for 50 points in a row, up to step"):
        carry_out(config(**WILD), tmp_path, sink)
    bad = [value for _, value in sink.points["train/loss_ratio"] if not math.isfinite(value)]
    assert len(bad) >= 50
    assert len(sink.points["train/loss_ratio"]) < 100


def test_a_run_stopped_again_and_again_diverges_at_the_step_of_one_that_was_not(tmp_path: Path) -> None:
    with pytest.raises(Diverged) as undisturbed:
        carry_out(config(**WILD), tmp_path / "undisturbed", Memory())
    sink = Memory()

    def go_on_until_it_ends() -> None:
        for _ in range(20):  # 7 chunks at a time: fewer points than the 50 that end it
            turns = iter([False] * 7)
            saved = sink.saved[::-1]
            stop = partial(next, turns, True)
            carry_out(config(**WILD), tmp_path / "disturbed", sink, resume_from=saved, should_stop=stop)

    with pytest.raises(Diverged) as disturbed:
        go_on_until_it_ends()
    assert len(sink.saved) >= 7
    assert str(disturbed.value) == str(undisturbed.value)


def test_a_checkpoint_from_before_there_were_counters_has_none(tmp_path: Path) -> None:
    old = tmp_path / "old.safetensors"
    old.write_bytes(save({}, metadata={"step": "3", "tree": '{"dict": []}'}))
    assert load_checkpoint(old) == (3, {})
    assert load_counters(old) == {}
    save_checkpoint(tmp_path / "new.safetensors", 3, {}, {"train/loss": 4})
    assert load_counters(tmp_path / "new.safetensors") == {"train/loss": 4}


@pytest.mark.parametrize("limit", [0, 101])
def test_the_check_can_be_switched_off_and_set(tmp_path: Path, limit: int) -> None:
    sink = Memory()
    outcome = carry_out(config(**WILD | {"stop_on_nan_after": [limit]}), tmp_path, sink)
    assert isinstance(outcome, Finished)
    assert len(sink.points["train/loss_ratio"]) == 100


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A disk that has no space for the first so many checkpoints."""
    left = [0]
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr("experiments.checkpoint.os.fsync", fsync)
    monkeypatch.setattr(run, "DISK_RETRY_SECONDS", 0.01)
    return left


def test_a_checkpoint_that_does_not_fit_is_refused_and_leaves_nothing(
    tmp_path: Path, full_disk: list[int]
) -> None:
    path = tmp_path / "run-1" / "a.safetensors"
    full_disk[0] = 1
    with pytest.raises(StorageUnavailable, match=r"No space left on device.*: free some space on its disk"):
        save_checkpoint(path, 3, {"w": torch.ones(2)})
    assert list(path.parent.iterdir()) == []
    save_checkpoint(path, 3, {"w": torch.ones(2)})
    assert load_checkpoint(path)[0] == 3


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "mount its disk so that it can be written"),
        (errno.EACCES, "right to write"),
        (errno.EIO, "check its disk"),
    ],
)
def test_what_cannot_be_written_is_said_with_the_remedy_for_its_reason(number: int, remedy: str) -> None:
    error = OSError(number, os.strerror(number))
    assert os.strerror(number) in str(unwritable("a file", error))
    assert remedy in str(unwritable("a file", error))


def test_on_a_full_disk_training_goes_on_and_waits_at_its_end(
    tmp_path: Path, full_disk: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = Memory()
    expected = carry_out(config(), tmp_path / "undisturbed", undisturbed)
    monkeypatch.setattr(run, "CHECKPOINT_SECONDS", -1.0)  # after every chunk
    full_disk[0] = 19 + 3
    sink = Memory()
    assert carry_out(config(), tmp_path / "full", sink) == expected
    assert sink.points == undisturbed.points
    assert [path.name for path in sink.saved] == ["400.safetensors"]


def test_a_stop_does_not_wait_for_a_full_disk(tmp_path: Path, full_disk: list[int]) -> None:
    full_disk[0] = 1_000_000
    assert carry_out(config(), tmp_path, Memory(), should_stop=lambda: True) == Stopped(0)


@pytest.mark.parametrize(("holdout", "validated"), [(True, [2, 4]), (False, [])])
def test_a_run_is_validated_only_where_classes_are_held_out_for_it(
    omniglot_data_dir: Path, tmp_path: Path, holdout: bool, validated: list[int]
) -> None:
    small = {"filters": 4, "train_n_way": 5, "steps": 4, "log_every": 2, "validate_every": 2, "episodes": 2}
    settings = {
        name: [value]
        for name, value in (small | {"split": "test", "holdout": holdout, "validate_episodes": 2}).items()
    }
    (planned,) = plan(Sweep("omniglot", ("pretrain",), "paper", settings=settings))
    sink, resources = Memory(), Resources(omniglot_data_dir, torch.device("cpu"), {})
    run.run(planned.config, resources, sink, lambda step: tmp_path / f"{step}.safetensors")
    assert [step for step, _ in sink.points.get("val/accuracy", [])] == validated


@pytest.mark.parametrize(("n_way", "validated"), [(12, [2, 4]), (13, [])])
def test_a_run_of_more_ways_than_validation_classes_is_not_validated(
    tmp_path: Path, glyphs_data_dir: Path, n_way: int, validated: list[int]
) -> None:
    small = {"alphabets": 10, "characters": 12, "rotations": False, "n_way": n_way, "validate_episodes": 2}
    training = {
        "filters": 4,
        "train_n_way": 5,
        "steps": 4,
        "log_every": 2,
        "validate_every": 2,
        "episodes": 2,
    }
    settings = {name: [value] for name, value in (small | training).items()}
    (planned,) = plan(Sweep("glyphs", ("protonet",), "paper", settings=settings))
    sink, resources = Memory(), Resources(glyphs_data_dir, torch.device("cpu"), {})
    run.run(planned.config, resources, sink, lambda step: tmp_path / f"{step}.safetensors")
    assert [step for step, _ in sink.points.get("val/accuracy", [])] == validated


def test_a_run_measured_on_validation_classes_says_nothing_about_test_classes(
    tmp_path: Path, glyphs_data_dir: Path
) -> None:
    small: dict[str, list[Any]] = {
        "alphabets": [10],
        "characters": [12],
        "n_way": [5],
        "episodes": [20],
        "split": ["val", "test"],
    }
    on_val, on_test = (each.config for each in plan(Sweep("glyphs", ("pixel-knn",), "paper", settings=small)))
    resources = Resources(glyphs_data_dir, torch.device("cpu"), {})
    measured: dict[str, tuple[float, ...]] = {}
    for chosen in (on_val, on_test):
        ended = run.run(chosen, resources, Memory(), lambda step: tmp_path / f"{step}.safetensors")
        assert isinstance(ended, Finished)
        measured |= {result.name: result.episodes for result in ended.results}
    assert set(measured) == {"val/accuracy", "test/accuracy"}
    assert measured["val/accuracy"] != measured["test/accuracy"]


@pytest.mark.parametrize("stopped_after", [None, 1, 2])
def test_both_phases_of_a_training_leave_all_their_metrics_wherever_chunks_end(
    glyphs_data_dir: Path, tmp_path: Path, stopped_after: int | None
) -> None:
    small = {"alphabets": [10], "characters": [12], "filters": [4], "batch_size": [4], "n_way": [5]}
    short = {"steps": [8], "generator_steps": [3], "hallucinate": [2], "log_every": [4], "episodes": [2]}
    shrinking = plan(Sweep("glyphs", ("shrinking",), "quick", settings=small | short))[0].config
    resources, sink = Resources(glyphs_data_dir, torch.device("cpu"), {}), Memory()

    def go_on(chunks: int | None) -> None:
        turns = iter([False] * chunks if chunks else [])
        stop = partial(next, turns, True) if chunks else lambda: False
        place = lambda step: tmp_path / f"{step}.safetensors"  # noqa: E731
        run.run(shrinking, resources, sink, place, resume_from=sink.saved[::-1], should_stop=stop)

    if stopped_after:
        go_on(stopped_after)
    go_on(None)
    steps = {name: [step for step, _ in points] for name, points in sink.points.items()}
    assert steps["train/loss"] == list(range(1, 9))
    assert steps["train/accuracy"] == steps["train/penalty"] == list(range(1, 6))
