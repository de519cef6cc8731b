"""Images a second through a training step, by C allocator and precision, and where the time of a step goes.

Not here: what training reaches (results/).
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import os
import subprocess
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from time import perf_counter

from benchmarks.machine import describe, median_milliseconds, scratch, table
from experiments.config import FastSlowConfig, ImageRun, PretrainConfig, config_hash, prerequisites
from experiments.sweeps import Sweep, plan
from fsrun.worker.process import RUNNER_ENVIRONMENT

METHODS = ("pretrain", "fastslow")
SHOWN = 8  # operations of the profile
QUIET = {"OMP_NUM_THREADS": "1", "KINETO_LOG_LEVEL": "99"}  # one thread; no word from torch's profiler


@dataclass(frozen=True)
class Speed:
    """What one process measured: medians over its steps, and each operation's share of a step's time."""

    images_per_second: float
    step_ms: float
    data_ms: float  # draw, gather, turn, mirror and change the images
    operations: dict[str, float]


def measure(name: str, folder: Path, steps: int, precision: str) -> Speed:
    """Train a method of the preset "paper" on glyphs, in this process, for some steps after a few others."""
    import torch  # seconds; only the processes that train need it

    from experiments.checkpoint import save_checkpoint
    from experiments.method import Resources, build
    from experiments.methods.fastslow import FastSlow
    from experiments.methods.pretrain import Pretrain
    from experiments.rng import generator

    (planned,) = plan(Sweep("glyphs", (name,), settings={"method.precision": [precision]}))
    config = planned.config
    assert isinstance(config, ImageRun)
    parents = {}
    for need in prerequisites(config):
        path = folder / f"{config_hash(need)}.safetensors"
        save_checkpoint(path, 0, build(need, Resources(folder, torch.device("cpu"))).state_dict())
        parents[config_hash(need)] = path
    method = build(config, Resources(folder, torch.device("cpu"), parents))
    method.train(0, 2)
    step_ms = median_milliseconds(steps, lambda: method.train(2, 1))
    source = generator("benchmark")
    if isinstance(method, FastSlow):
        data_ms = median_milliseconds(steps, lambda: method.tasks.batches(2))
    else:
        assert isinstance(method, Pretrain)
        data_ms = median_milliseconds(
            steps, lambda: method.classes.images(*method.objective.draw(source), source)
        )
    with torch.profiler.profile() as profile:
        method.train(2, 1)
    events = profile.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    operations = {event.key: event.self_cpu_time_total / total for event in events}
    return Speed(1e3 * _images(config) / step_ms, step_ms, data_ms, operations)


def _images(config: ImageRun) -> int:
    """Return how many images go forward and backward in a step."""
    method = config.method
    if isinstance(method, PretrainConfig):
        episodes = method.objective == "episodes"
        return method.train_n_way * method.train_images if episodes else method.batch_size
    assert isinstance(method, FastSlowConfig)
    of_support = config.evaluation.k_shot if method.inner_batch == "support" else 0
    return method.inner_steps * method.train_n_way * (of_support + method.batch_per_class)


def in_a_process(
    name: str, folder: Path, steps: int, environment: dict[str, str], precision: str = "float32"
) -> Speed:
    """Measure in a process of its own, on one thread."""
    words = [sys.executable, __file__, "--measure", name, "--folder", str(folder), "--steps", str(steps)]
    words += ["--precision", precision]
    surroundings = {key: value for key, value in os.environ.items() if key not in RUNNER_ENVIRONMENT}
    done = subprocess.run(
        words,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=surroundings | QUIET | environment,
    )
    return Speed(**json.loads(done.stdout.splitlines()[-1]))


def compare(name: str, folder: Path, steps: int, rounds: int) -> None:
    """Measure a method each way in turn, and print medians and the ratios of each round."""
    ways = {
        "allocator's defaults": partial(in_a_process, name, folder, steps, {}),
        "the runner's": partial(in_a_process, name, folder, steps, RUNNER_ENVIRONMENT),
        "the runner's, bf16": partial(in_a_process, name, folder, steps, RUNNER_ENVIRONMENT, "bf16"),
    }
    speeds: dict[str, list[Speed]] = {title: [] for title in ways}
    for _ in range(rounds):
        for title, measured in ways.items():
            speeds[title].append(measured())
    print(f"\n{name}, one thread, medians of {rounds} rounds of {steps} steps")
    table(("", "images/s", "ms a step", "of it data"), [_row(title, some) for title, some in speeds.items()])
    plain, kept, mixed = speeds.values()
    print(f"  the runner's allocator {_ratio(kept, plain)}, bf16 beside it {_ratio(mixed, kept)}")
    shares = sorted(kept[-1].operations.items(), key=lambda item: -item[1])[:SHOWN]
    print("  " + ", ".join(f"{operation.removeprefix('aten::')} {share:.0%}" for operation, share in shares))


def _ratio(faster: list[Speed], slower: list[Speed]) -> str:
    ratios = [a.images_per_second / b.images_per_second for a, b in zip(faster, slower, strict=True)]
    return f"{median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"


def _row(title: str, speeds: list[Speed]) -> tuple[str, ...]:
    rate, step, data = (
        median(getattr(speed, field) for speed in speeds)
        for field in ("images_per_second", "step_ms", "data_ms")
    )
    return (title, f"{rate:.0f}", f"{step:.0f}", f"{data / step:.1%}")


def main() -> None:
    """Compare both methods, or, as a child, measure one and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind, in turn")
    parser.add_argument("--steps", type=int, default=8, help="timed steps in each process")
    parser.add_argument("--measure", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="float32", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(asdict(measure(asked.measure, asked.folder, asked.steps, asked.precision))))
        return
    describe("a training step on the CPU")
    started = perf_counter()
    with scratch() as folder:
        for name in METHODS:
            compare(name, folder, asked.steps, asked.rounds)
    print(f"\n{perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
