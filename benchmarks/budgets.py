"""What a training step and a test episode of every row of Table 2 cost, as experiments/budgets.py keeps them.

Not here: what the rows reach (results/), and how many steps a preset takes (experiments/presets.py).
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import count

from benchmarks.machine import describe, scratch
from experiments.budgets import Costs, budget_key, trainings
from experiments.checkpoint import save_checkpoint
from experiments.config import ImageRun, config_hash, prerequisites, training_run
from experiments.method import Method, Resources, build
from experiments.table2 import plan_table2

PLACES = 8  # of a training, evenly spread, since steps may grow with a curriculum


def costs(config: ImageRun, data: Path, folder: Path, seconds: float) -> Costs:
    """Return milliseconds of processor time of a training step and of a test episode, untrained."""
    method = _built(config, data, folder)
    steps = config.method.steps
    step = _milliseconds(
        lambda turn: method.train(steps * (2 * (turn % PLACES) + 1) // (2 * PLACES), 1), seconds
    )
    batch = 5

    def measure(turn: int) -> object:
        return method.evaluate(config.evaluation.split, range(turn * batch, (turn + 1) * batch))

    return (step if steps else 0.0, _milliseconds(measure, seconds / 2) / batch)


def _built(config: ImageRun, data: Path, folder: Path) -> Method:
    """Return the method as it begins, after pre-trainings of no steps."""
    import torch  # seconds; not for --help

    parents = {}
    for need in prerequisites(config):
        path = folder / f"{config_hash(need)}.safetensors"
        save_checkpoint(path, 0, build(need, Resources(data, torch.device("cpu"))).state_dict())
        parents[config_hash(need)] = path
    return build(config, Resources(data, torch.device("cpu"), parents))


def _milliseconds(act: Callable[[int], object], seconds: float) -> float:
    """Return the mean processor time of an act, after a first one, over at least PLACES of them."""
    act(0)
    started, clock = time.process_time(), time.perf_counter()
    for turn in count(1):
        act(turn)
        if turn >= PLACES and time.perf_counter() - clock > seconds:
            return 1e3 * (time.process_time() - started) / turn
    raise AssertionError


def _different(
    presets: Sequence[str], methods: Sequence[str]
) -> dict[tuple[str, str, tuple[int, int]], ImageRun]:
    """Return a run for each preset, row, ways and shots: one that trains, or that trains nothing."""
    found: dict[tuple[str, str, tuple[int, int]], ImageRun] = {}
    for preset in presets:
        planned = plan_table2(preset=preset)
        for config in (*trainings(planned), *(each.config for each in planned)):
            assert isinstance(config, ImageRun)
            alone = config.model_copy(update={"trained_by": None}) if training_run(config) else config
            shape = (alone.evaluation.n_way, alone.evaluation.k_shot)
            if not methods or alone.method.name in methods:
                found.setdefault((preset, budget_key(alone), shape), alone)
    return found


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print, ready to be put into experiments/budgets.py."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with an imported Omniglot")
    parser.add_argument("--presets", default="quick,cpu", help="a comma between")
    parser.add_argument("--methods", default="", help="a comma between; all if empty")
    parser.add_argument("--seconds", type=float, default=1.5, help="of steps, for each kind of run")
    asked = parser.parse_args(words)
    import torch

    torch.set_num_threads(1)
    describe("Table 2: milliseconds of processor time, one thread: (a training step, a test episode)")
    methods = [name for name in asked.methods.split(",") if name]
    with scratch() as folder:
        before = ""
        for (preset, name, shape), config in _different(asked.presets.split(","), methods).items():
            if f"{preset} {name}" != before:
                print(f"{preset} {name}, {config.method.steps} steps")
                before = f"{preset} {name}"
            step, episode = costs(config, asked.data, folder, asked.seconds)
            minutes = (config.method.steps * step + 1000 * episode) / 60_000
            print(f"  {shape}: ({step:.3g}, {episode:.3g}),  # {minutes:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
