"""Stores filled the way a worker fills them, for the tests of the reports."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from experiments.config import RunConfig, training_run
from experiments.sweeps import Sweep, plan
from fsrun.planning import run_spec
from store.curves import Point, write_points
from store.engine import open_store
from store.queue import Claim, claim, finish
from store.results import ResultRow
from store.runs import RunRequest, enqueue

Settings = Mapping[str, Sequence[Any]]

ONE_LOOK: dict[str, Sequence[Any]] = {"method.views": [1], "method.quarter_turns": [1]}
"""What makes a run of Fast/Slow one of Table 2's first row of it."""


def config_of(
    experiment: str, method: str, *, preset: str = "paper", seed: int = 0, settings: Settings | None = None
) -> RunConfig:
    settings = (ONE_LOOK if method == "fastslow" else {}) | dict(settings or {})
    planned = plan(Sweep(experiment, (method,), preset, seeds=seed + 1, settings=settings))
    return planned[seed].config


class Filled:
    """A store, and a clock that moves on by ten seconds with each thing that happens."""

    def __init__(self, folder: Path) -> None:
        self.engine: Engine = open_store(folder / "fsrun.db")
        self.now = 1000.0

    def tick(self) -> float:
        self.now += 10
        return self.now

    def queue(self, config: RunConfig, preset: str = "paper") -> int:
        trained = training_run(config)
        needs = () if trained is None else (RunRequest(run_spec(trained, preset)),)
        request = RunRequest(run_spec(config, preset), needs)
        asked = enqueue(self.engine, [request], now=self.tick(), provenance={"commit": "c0ffee"})
        return asked[0].run_id

    def start(self, config: RunConfig, preset: str = "paper") -> Claim:
        run_id = self.queue(config, preset)
        taken = claim(
            self.engine,
            "worker",
            now=self.tick(),
            lease_seconds=60,
            only=[run_id],
            device="cpu",
            provenance={"torch": "2.14.1"},
        )
        assert taken is not None
        return taken

    def report(self, job: Claim, steps: Sequence[int], values: Mapping[str, Sequence[float]]) -> None:
        now = self.tick()
        points = [
            Point(name, step, value, now)
            for name, numbers in values.items()
            for step, value in zip(steps, numbers, strict=True)
        ]
        write_points(self.engine, job.run_id, job.attempt, points, step=steps[-1], rate=None, now=now)

    def end(
        self, job: Claim, value: float, interval: float | None = 0.004, name: str = "test/accuracy"
    ) -> int:
        row = ResultRow(name, value, interval, 1000)
        finish(self.engine, job.run_id, job.attempt, [row], now=self.tick())
        return job.run_id

    def measure(
        self,
        method: str,
        value: float,
        *,
        interval: float | None = 0.004,
        experiment: str = "omniglot",
        preset: str = "paper",
        seed: int = 0,
        settings: Settings | None = None,
    ) -> int:
        config = config_of(experiment, method, preset=preset, seed=seed, settings=settings)
        return self.end(self.start(config, preset), value, interval)


def fill(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    filled = Filled(tmp_path)
    request.addfinalizer(filled.engine.dispose)
    return filled
