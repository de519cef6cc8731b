"""What a task of the linear case study costs: a plain PyTorch loop, both samplers, and the limit.

Not here: that they agree, which the tests of experiments/linear show.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from statistics import median
from typing import Any

import numpy as np
import torch
from numba import njit

from benchmarks.machine import describe, scratch, table
from experiments.config import GaussianData, LinearFastSlowConfig, SyntheticRun
from experiments.linear.direct import DirectRecursion
from experiments.linear.fast import FastRecursion
from experiments.sweeps import Sweep, plan
from fsrun.checkpoint_files import prepare
from fsrun.paths import Home
from fsrun.planning import requests
from fsrun.worker.runner import execute
from store import queue
from store.engine import open_store
from store.jobs import JobStatus
from store.runs import enqueue, get_run

CHUNK = 200  # tasks between two looks, as in the paper's preset
MANY = 32  # seeds
NOISE, ETA, DELTA = 0.1, 0.2, 1e-3
SIZES = ((10, 100), (100, 200), (1000, 2000))  # d, k
JOB_GOALS = {1: 2.0, MANY: 20.0}  # seconds for 100,000 tasks

Contestant = Callable[[int], int]
"""Meets so many tasks from where it stands, with every seed; returns tasks times seeds."""


def config(d: int = 10, k: int = 100, seeds: int = 1, **method: Any) -> SyntheticRun:
    """Return the paper's setting at another size."""
    data = GaussianData(dimension=d, batch_size=k, noise=NOISE)
    return SyntheticRun(
        seeds=seeds, data=data, method=LinearFastSlowConfig(slow_lr=DELTA, fast_lr=ETA, **method)
    )


class PlainLoop:
    """The paper's Table 1 in PyTorch as one would write it, gradients by autograd."""

    def __init__(self, d: int, k: int, kind: torch.dtype) -> None:
        self.d, self.k, self.kind = d, k, kind
        self.source = torch.Generator().manual_seed(0)
        self.w_s = (0.7 / d**0.5 * self.normal(d, d)).requires_grad_()

    def normal(self, *shape: int) -> torch.Tensor:
        """Return standard normal numbers."""
        return torch.randn(*shape, generator=self.source, dtype=self.kind)

    def batch(self, w_bar: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a fresh x (d, k) and y (1, k)."""
        x = self.normal(self.d, self.k)
        return x, w_bar @ x + NOISE * self.normal(1, self.k)

    def __call__(self, tasks: int) -> int:
        """Meet so many tasks."""
        for _ in range(tasks):
            w_bar = self.normal(1, self.d)
            w_f = torch.zeros(1, self.d, dtype=self.kind, requires_grad=True)
            x, y = self.batch(w_bar)
            loss = (w_f @ self.w_s.detach() @ x - y).square().sum() / (2 * self.k)
            w_f = (w_f - ETA * torch.autograd.grad(loss, w_f)[0]).detach()
            x, y = self.batch(w_bar)
            loss = (w_f @ self.w_s @ x - y).square().sum() / (2 * self.k)
            (gradient,) = torch.autograd.grad(loss, self.w_s)
            with torch.no_grad():
                self.w_s -= DELTA * gradient
        return tasks


class Stepping:
    """A recursion, chunk by chunk."""

    def __init__(self, recursion: FastRecursion | DirectRecursion, seeds: int) -> None:
        self.recursion, self.seeds, self.met = recursion, seeds, 0

    def __call__(self, tasks: int) -> int:
        """Meet so many tasks with every seed."""
        for start in range(self.met, self.met + tasks, CHUNK):
            self.recursion.advance(start, min(CHUNK, self.met + tasks - start))
        self.met += tasks
        return tasks * self.seeds


@njit(nogil=True, fastmath=True, cache=True)
def multiply_adds(w, vectors, product):  # type: ignore[no-untyped-def]
    """Take three passes of d^2 multiply-adds over w (d, d) for each row of vectors (tasks, d)."""
    d = len(w)
    for task in range(len(vectors)):
        for i in range(d):
            total = 0.0
            for j in range(d):
                total += w[i, j] * vectors[task, j]
            for j in range(d):
                product[j] += total * w[i, j]
        for i in range(d):
            factor = 1e-9 * vectors[task, i]
            for j in range(d):
                w[i, j] += factor * vectors[task, j]


class Limit:
    """The random numbers and the multiply-adds of a task, and nothing else."""

    def __init__(self, d: int, k: int, seeds: int, threads: int) -> None:
        self.d, self.k, self.threads = d, k, threads
        self.block = max(1, min(256, 2**16 // (3 * d + 2)))  # tasks whose numbers are drawn at once
        self.sources = [np.random.Generator(np.random.SFC64(seed)) for seed in range(seeds)]
        self.w = [0.01 * source.standard_normal((d, d)) for source in self.sources]

    def __call__(self, tasks: int) -> int:
        """Do what so many tasks of every seed need."""
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(lambda seed: self._one(seed, tasks), range(len(self.w))))
        return tasks * len(self.w)

    def _one(self, seed: int, tasks: int) -> None:
        source, product = self.sources[seed], np.zeros(self.d)
        for start in range(0, tasks, self.block):
            n = min(self.block, tasks - start)
            numbers = source.standard_normal((n, 3 * self.d + 2))
            for degrees in (self.k, self.k, self.k - 1):
                source.standard_gamma(degrees / 2, size=n)
            multiply_adds(self.w[seed], numbers[:, : self.d].copy(), product)


def contestants(threads: int) -> dict[str, tuple[Contestant, int]]:
    """Return everything that is timed at the paper's size with tasks a trial; torch has one thread."""
    found: dict[str, tuple[Contestant, int]] = {
        "a  PyTorch, float32": (PlainLoop(10, 100, torch.float32), 1000),
        "a  PyTorch, float64": (PlainLoop(10, 100, torch.float64), 1000),
    }
    for seeds, tasks in ((1, 20_000), (MANY, 4000)):
        words = f"{seeds} seed" + "s" * (seeds > 1)
        asked = config(seeds=seeds)
        direct = DirectRecursion(asked)
        found[f"b  direct, {words}"] = (Stepping(direct, seeds), 1000)
        found[f"c  fast, {words}"] = (Stepping(FastRecursion(asked, threads), seeds), tasks)
        found[f"d  limit, {words}"] = (Limit(10, 100, seeds, threads), tasks)
    return found


def microseconds(
    timed: dict[str, tuple[Contestant, int]], repeats: int, *, share: float = 1.0
) -> dict[str, float]:
    """Return the median microseconds per task and seed, trials taken in turn; the first ones do not count."""
    times: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(repeats + 1):
        for name, (meet, tasks) in timed.items():
            began = time.perf_counter()
            met = meet(max(1, int(share * tasks)))
            times[name].append(1e6 * (time.perf_counter() - began) / met)
    return {name: median(values[1:]) for name, values in times.items()}


def peak_mib() -> float:
    """Return the most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def growth(d: int, k: int, tasks: int) -> tuple[float, float, float]:
    """Return microseconds per task, and the peak MiB of this process before it met any and after."""
    before = peak_mib()
    timed: Any = Stepping(FastRecursion(config(d, k), threads=1), 1)
    timed(1)
    began = time.perf_counter()
    met = timed(tasks)
    return 1e6 * (time.perf_counter() - began) / met, before, peak_mib()


def job_seconds(folder: Path, seeds: int, tasks: int) -> tuple[float, float]:
    """Return the seconds a claimed job takes from its config to its stored results, and those of the CPU."""
    home = Home(folder)
    engine = open_store(folder / "fsrun.db")
    prepare(engine, home, time.time())
    planned = plan(Sweep("synthetic", seeds_per_run=seeds, settings={"steps": [tasks]}))
    enqueue(engine, requests(planned), now=time.time(), provenance={})
    claim = queue.claim(engine, "benchmark", now=time.time(), lease_seconds=3600.0)
    assert claim is not None
    began, used = time.perf_counter(), time.process_time()
    execute(engine, home, claim.run_id, claim.attempt, "cpu", lambda: False)
    taken = time.perf_counter() - began, time.process_time() - used
    assert get_run(engine, claim.run_id).status is JobStatus.DONE
    engine.dispose()
    return taken


def show(found: dict[str, float]) -> None:
    """Print microseconds and ratios, and the goals."""
    plain = min(value for name, value in found.items() if name.startswith("a"))
    rows = []
    for name, value in found.items():
        limit = found[f"d  limit,{name.partition(',')[2]}"] if name[0] in "bcd" else None
        rows.append((name, f"{value:.2f}", f"{plain / value:.1f}x", f"{value / limit:.1f}x" if limit else ""))
    table(("microseconds per task and seed", "", "faster than a", "of the limit"), rows)
    print("  goals: c at least 15x a with one seed, 40x with 32, at most 4x of d")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="counted rounds of the comparison")
    parser.add_argument("--jobs", type=int, default=3, help="real jobs timed for each number of seeds")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    describe("A task of the linear case study, d = 10, k = 100")
    for threads in (1, 2):
        print(f"\n{threads} thread{'s' * (threads > 1)} (PyTorch and the direct sampler always one)")
        show(microseconds(contestants(threads), chosen.repeats))
    print("\n100,000 tasks as a real job: training, logging to the store, 1,000 test tasks a seed")
    rows = []
    for seeds, goal in JOB_GOALS.items():
        times = []
        for _ in range(chosen.jobs):
            with scratch() as folder:
                times.append(job_seconds(folder, seeds, 100_000))
        walls, used = zip(*times, strict=True)
        rows.append((f"{seeds} seeds", f"{median(walls):.2f} s", f"{median(used):.2f} s", f"{goal:.0f} s"))
    table(("", "median", "of the CPU", "goal"), rows)
    print("\nGrowth: one seed, one thread, each size in a process of its own")
    rows = []
    for (d, k), tasks in zip(SIZES, (20_000, 2000, 200), strict=True):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            taken, before, peak = pool.submit(growth, d, k, tasks).result()
        rows.append((f"d = {d}, k = {k}", f"{taken:,.1f} us a task", f"{before:,.0f}", f"{peak:,.0f}"))
    table(("", "", "MiB with libraries loaded", "MiB at most"), rows)


if __name__ == "__main__":
    main()
