"""Validation curves behind a measurement: accuracy against images embedded, and whether it was still rising.

Not here: drawing them (budget.py), and what was measured on test classes (measured.py).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from json import dumps
from statistics import fmean, variance
from typing import Any

from sqlalchemy import Engine

from experiments.budgets import images_embedded
from experiments.config import ImageRun, config_from_json, prerequisites, training_run
from experiments.errors import ConfigError
from experiments.table2 import Shape
from fsrun.intervals import student_t
from store.curves import read_curve
from store.engine import reading
from store.results import FinishedResult, Lineage, finished_results

METRIC = "val/accuracy"
MOST_POINTS = 400
SHORTEST = 8  # points of a curve whose quarters can be compared

_LOOKING = ("validate_every", "validate_episodes", "log_every")  # how training looks up, not what it does


@dataclass(frozen=True)
class Validation:
    """Accuracy on validation classes, percent, after so many images, a mean over the seeds.

    `run_ids` trained; `own` says that they are the runs measured, not others of the same recipe which keep
    their validation classes out of training. `shape` is the ways and shots it was looked at in.
    """

    images: tuple[int, ...]
    accuracy: tuple[float, ...]
    run_ids: tuple[int, ...]
    shape: Shape
    own: bool

    @property
    def rising(self) -> bool | None:
        """Whether it was still rising at its end, None where it is too short to tell."""
        return still_rising(self.accuracy)


def still_rising(curve: Sequence[float]) -> bool | None:
    """Say whether the mean of the last quarter of points is above that of the quarter before.

    By more than Student's t at 95 % times the standard error of the difference, each quarter with the
    variance of its own points. None for fewer than 8 points.
    """
    if len(curve) < SHORTEST:
        return None
    size = len(curve) // 4
    last, before = curve[-size:], curve[-2 * size : -size]
    error = math.sqrt((variance(last) + variance(before)) / size)
    return fmean(last) - fmean(before) > student_t(2 * size - 2) * error


class Validations:
    """The validation curves of a database, each read when it is asked for."""

    def __init__(self, engine: Engine, known: Lineage) -> None:
        self.engine = engine
        self.known = known
        self._read: dict[int, Mapping[int, float]] = {}

    def of(self, runs: Sequence[FinishedResult], trained_by: Sequence[int]) -> Validation | None:
        """Return the curve of the training of some seeds, else of the same recipe; None where there is none.

        Such other runs may learn from fewer classes: they keep those of validation out of training.
        """
        config = _image_run(runs[0].config)
        if config is None:
            return None
        trained = training_run(config) or config
        own = self._mean(dict.fromkeys(trained_by, trained), own=True)
        return own or self._mean(self._of_recipe.get(recipe(trained), {}), own=False)

    def _mean(self, trained: Mapping[int, ImageRun], *, own: bool) -> Validation | None:
        curves = {
            run_id: curve for run_id, config in trained.items() if (curve := self._curve(run_id, config))
        }
        if not curves:
            return None
        images = sorted(set.intersection(*(set(curve) for curve in curves.values())))
        accuracy = [100 * fmean(curve[place] for curve in curves.values()) for place in images]
        return Validation(
            tuple(images), tuple(accuracy), tuple(curves), _shape(next(iter(trained.values()))), own
        )

    def _curve(self, run_id: int, config: ImageRun) -> dict[int, float]:
        """Return a run's curve by images embedded, that of its pre-training before it."""
        points: dict[int, float] = {}
        parents = self.known.parents.get(run_id, ())
        for parent, need in zip(parents, prerequisites(config), strict=False):
            if isinstance(need, ImageRun) and _shape(need) == _shape(config):
                points |= self._curve(parent, need)
        own = self._points(run_id)
        return points | {images_embedded(config, step): value for step, value in own.items()}

    def _points(self, run_id: int) -> Mapping[int, float]:
        if run_id not in self._read:
            with reading(self.engine) as connection:
                curve = read_curve(connection, run_id, METRIC, max_points=MOST_POINTS)
            self._read[run_id] = dict(zip(curve.steps, curve.mean, strict=True))
        return self._read[run_id]

    @cached_property
    def _of_recipe(self) -> Mapping[str, Mapping[int, ImageRun]]:
        """Recipe -> the runs with a curve that trained by it, of different ones the newest."""
        found: dict[str, dict[int, ImageRun]] = {}
        newest: dict[str, str] = {}
        for each in finished_results(self.engine):  # newest first
            config = _image_run(each.config)
            if config is None or config.trained_by is not None or not self._points(each.run_id):
                continue
            name = recipe(config)
            if newest.setdefault(name, each.group_hash) == each.group_hash:
                found.setdefault(name, {})[each.run_id] = config
        return found


def _shape(config: ImageRun) -> Shape:
    return config.evaluation.n_way, config.evaluation.k_shot


@lru_cache(maxsize=1024)
def _image_run(stored: str) -> ImageRun | None:
    try:
        config = config_from_json(stored)
    except ConfigError:  # stored by another version of the program
        return None
    return config if isinstance(config, ImageRun) else None


def recipe(config: ImageRun) -> str:
    """Return what tells trainings apart, but for seed, held-out classes and looks at them."""
    raw: dict[str, Any] = config.model_dump(mode="json")
    raw["data"].pop("holdout", None)
    method = config.method.as_trained().model_dump(mode="json")
    for part in (method, method.get("pretrain") or {}):
        for name in (*_LOOKING, *(["seed"] if part is not method else [])):
            part.pop(name, None)
    shape = {name: raw["evaluation"][name] for name in config.method.shaped_by()}
    return dumps([raw["data"], method, shape], sort_keys=True)
