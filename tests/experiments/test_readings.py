"""Fast/Slow from pre-training to the test under each reading of C_base, C_meta and C_test, on real images."""

from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.checkpoint import save_checkpoint
from experiments.config import ImageRun, config_hash, prerequisites
from experiments.method import Resources, build
from experiments.splits.omniglot import protocol_splits
from experiments.sweeps import Sweep, plan

CPU = torch.device("cpu")
TINY: dict[str, list[Any]] = {
    "method.steps": [4],
    "inner_steps": [2],
    "views": [1],
    "pretrain.steps": [2],
    "pretrain.filters": [4],
    "pretrain.train_n_way": [5],
}


@pytest.mark.parametrize("sampling", ["mixed", "within-alphabet"])
@pytest.mark.parametrize("protocol", ["R1", "R2", "P-B"])
def test_fast_slow_is_pre_trained_meta_trained_and_tested(
    omniglot_data_dir: Path, tmp_path: Path, protocol: str, sampling: str
) -> None:
    settings = TINY | {"protocol": [protocol], "sampling": [sampling]}
    config = plan(Sweep("omniglot", ("fastslow",), "paper", settings=settings))[0].config
    assert isinstance(config, ImageRun)
    (stage,) = prerequisites(config)
    pretraining = build(stage, Resources(omniglot_data_dir, CPU))
    pretraining.train(0, 2)
    path = tmp_path / "pretrained.safetensors"
    save_checkpoint(path, 2, pretraining.state_dict())
    method = build(config, Resources(omniglot_data_dir, CPU, {config_hash(stage): path}))
    before = method.state_dict()["network"]["blocks.0.0.weight"].clone()
    assert torch.equal(before, pretraining.state_dict()["backbone"]["blocks.0.0.weight"])
    assert method.train(0, 4)["train/loss"].isfinite().all()
    assert not torch.equal(before, method.state_dict()["network"]["blocks.0.0.weight"])
    for split in ("test", "val"):
        accuracy = method.evaluate(split, range(3))["accuracy"]
        assert 0 <= float(accuracy.min()) <= float(accuracy.max()) <= 1


@pytest.mark.parametrize("protocol", ["R1", "R2", "P-B"])
def test_no_reading_learns_from_a_character_it_is_tested_on(protocol: str) -> None:
    splits = protocol_splits(protocol)
    learned = {*splits["base"], *splits["meta"]}
    assert not learned & {*splits["test"], *splits["val"]}
    assert not {*splits["base"]} & {*splits["meta"]}
