"""Intervals over classes: what the mean of numbered episodes would be on other characters, or other things.

Not here: intervals over episodes and over seeds (measured.py), and which classes an episode has
(experiments.data.episode_classes).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from experiments.config import ImageRun, config_from_json
from experiments.data.episode_classes import Classes, Drawing, drawing_of
from experiments.errors import ConfigError
from fsrun.intervals import over_runs, student_t
from fsrun.report.paired import Difference, Values, shared_values, values_of
from store.results import FinishedResult


@dataclass(frozen=True)
class Components:
    """What the values of episodes vary by: `of_class` is the variance between classes, `rest` all other.

    `interval` is half of the 95 % interval of their mean for classes drawn anew, over `classes` of them.
    """

    of_class: float
    rest: float
    interval: float
    classes: int


class Design:
    """Which classes the episodes have in common, worked out once for all values measured on them."""

    def __init__(self, members: Classes) -> None:
        """Take in the classes, or what stands for them, of each episode (episodes, n_way), as numbers."""
        episodes, n_way = members.shape
        names, place = np.unique(members, return_inverse=True)
        share = np.zeros((episodes, len(names)))  # of an episode that is of each class
        np.add.at(share, (np.repeat(np.arange(episodes), n_way), place.ravel()), 1 / n_way)
        weight = share.mean(axis=0)  # of each class in the mean of all episodes
        self.episodes, self.classes = episodes, len(names)
        self.centred = share - weight
        gram = self.centred.T @ self.centred
        self.own, self.between = float((gram**2).sum()), float(np.trace(gram))
        self.concentration = float((weight**2).sum())
        self.determinant = self.own * (episodes - 1) - self.between**2
        # Whether episodes share some of their classes and not others: else nothing is told of classes.
        unlike = self.between > 1e-9 * float((share**2).sum())
        self.tells = unlike and self.determinant > 1e-9 * self.own * (episodes - 1)

    def components(self, values: Values) -> Components:
        """Return the components of variance of the values (episodes,).

        The value of an episode is mean + the mean of its classes' effects + rest. Both variances are those
        for which two sums are as expected: of the squares of the values about their mean, and of their
        products between episodes that share classes (method of moments, as Haseman and Elston 1972 for
        relatives). One below zero counts as zero.
        """
        apart = values - values.mean()
        products, squares = float(((apart @ self.centred) ** 2).sum()), float((apart**2).sum())
        # products = of_class * own + rest * between; squares = of_class * between + rest * (episodes - 1)
        of_class = 0.0
        if self.tells:
            of_class = products * (self.episodes - 1) - squares * self.between
            of_class = max(of_class / self.determinant, 0.0)
        rest = max((squares - of_class * self.between) / (self.episodes - 1), 0.0)
        variance = of_class * self.concentration + rest / self.episodes
        half = student_t(max(self.classes - 1, 1)) * math.sqrt(variance)
        return Components(of_class, rest, half, self.classes)


def class_interval(runs: Sequence[FinishedResult], *, scale: float = 1.0) -> float | None:
    """Return half of the 95 % interval over classes of the mean of a group of seeds; None where not known.

    Of seeds that kept no values of their episodes the mean alone counts. The spread over the seeds is added
    in quadrature, as in the interval over episodes.
    """
    values = [values_of(run.result) for run in runs if run.result.episode_values]
    kept = min(map(len, values), default=0)
    design = design_of(runs[0].config, kept) if kept >= 2 else None
    if design is None:
        return None
    mean = np.stack([each[:kept] for each in values]).mean(axis=0)
    spread = over_runs([run.result.value for run in runs])
    return scale * math.hypot(design.components(mean).interval, spread)


def class_difference(
    ahead: Sequence[FinishedResult], behind: Sequence[FinishedResult], *, scale: float = 1.0
) -> Difference | None:
    """Return how far the first group is ahead, with the interval of that over classes.

    Episode by episode, and so class by class: how hard a class is for both counts for neither. None where
    they met other episodes or kept none.
    """
    shared = shared_values(ahead, behind)
    design = design_of(ahead[0].config, shared[0].shape[1]) if shared else None
    if shared is None or design is None:
        return None
    apart = shared[0].mean(axis=0) - shared[1].mean(axis=0)
    spreads = [over_runs(each.mean(axis=1).tolist()) for each in shared]
    half = math.hypot(design.components(apart).interval, *spreads)
    return Difference(scale * float(apart.mean()), scale * half, len(apart))


def design_of(config: str, episodes: int) -> Design | None:
    """Return what a stored run's first test episodes have in common: characters, whichever way they turn.

    None where the episodes cannot be found again without the data, or where each has all classes.
    """
    try:
        known = config_from_json(config)
    except ConfigError:  # stored by another version of the program
        return None
    if not isinstance(known, ImageRun):
        return None
    drawing = drawing_of(known.data, known.evaluation)
    design = _design(drawing, episodes) if drawing else None
    return design if design and design.tells else None


@lru_cache(maxsize=16)
def _design(drawing: Drawing, episodes: int) -> Design:
    return Design(drawing.characters(drawing.classes(episodes)))
