"""The rows of Table 2 as runs to be made: which options tell a row, in which ways and shots it is measured.

Not here: the paper's numbers and ours (fsrun/report), and what a run costs (budgets.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from experiments.budgets import planned_seconds
from experiments.config import ImageRun, PretrainConfig, RunConfig, config_hash, parse_config, training_run
from experiments.errors import ConfigError, unknown_name
from experiments.presets import DEFAULT_PRESET
from experiments.registry import METHODS, methods_of
from experiments.sweeps import PlannedRun, Sweep, parse_settings, plan, written
from experiments.titles import TITLES

Shape = tuple[int, int]  # n_way, k_shot

DATA = ("omniglot", "glyphs", "miniimagenet")

SHAPES: tuple[Shape, ...] = ((5, 1), (5, 5), (20, 1), (20, 5))
PRESENTATIONS: Shape = (5, 1)  # where MANN's source counts by presentation


def looks_of(config: Mapping[str, Any]) -> int:
    """Return how often a test looks at each image, of a config as stored."""
    looks = config["evaluation"].get("looks") or {}
    method = config["method"]
    mirrored = looks.get("mirrored", False) or method.get("mirrored_views", False)
    views = looks.get("views", 1) * method.get("views", 1)
    turns = looks.get("turns", 1) * method.get("quarter_turns", 1)
    return int(views * turns * (2 if mirrored else 1))


@dataclass(frozen=True)
class Row:
    """A row: its method, and the options by which it is told from other rows of the same method.

    `also` is what a preset needs besides to make such a run; `presets` names another that makes it.
    """

    name: str
    method: str
    sets: Mapping[str, Any] = field(default_factory=dict)  # dotted option -> value
    shapes: tuple[Shape, ...] = SHAPES
    also: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # preset -> option -> value
    presets: Mapping[str, str] = field(default_factory=dict)  # preset -> the one that makes such a run
    kind: str = ""  # what the title says of it besides the method's
    called: str = ""  # instead of the method
    several_looks: bool = False  # a test looks several times at each image; else once

    @property
    def title(self) -> str:
        """The row as a person reads it."""
        return ", ".join(filter(None, (self.called or TITLES.get(self.method, self.method), self.kind)))

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Return whether a run with this config, as stored, belongs in the row.

        It may have been stored before there was an option: `later` says what it then did.
        """
        if config["method"]["name"] != self.method or (looks_of(config) > 1) != self.several_looks:
            return False
        later = METHODS[self.method].config.later if self.method in METHODS else {}
        method = {**later, **config["method"]}
        if method.get("start") == "pretrain" and "method.start" not in self.sets:  # a row of equal features
            return False
        return all(method.get(option.removeprefix("method.")) == value for option, value in self.sets.items())

    def options(self, experiment: str, preset: str) -> dict[str, Any]:
        """Return what makes a run of a preset one of the row's, by dotted options: its looks too."""
        views, turns, mirrored = 1, 1, False
        if self.several_looks:
            views, turns, mirrored = (1, 1, True) if experiment == "miniimagenet" else (3, 4, False)
        looks = {"method.views": views, "method.quarter_turns": turns, "method.mirrored_views": mirrored}
        if self.method != "fastslow":  # it has looks of its own
            names = ("evaluation.looks.views", "evaluation.looks.turns", "evaluation.looks.mirrored")
            looks = dict(zip(names, looks.values(), strict=True)) if self.several_looks else {}
        return {**looks, **self.also.get(preset, {}), **self.sets}

    def command(self, experiment: str, shape: Shape, preset: str = DEFAULT_PRESET) -> str:
        """Return what to type so that one cell of the row is measured."""
        preset = self.presets.get(preset, preset)
        sets = self.options(experiment, preset)
        words = [f"--set {name.removeprefix('method.')}={written(value)}" for name, value in sets.items()]
        start = f"fsrun queue {experiment} --method {self.method} --preset {preset}"
        return " ".join([start, f"--n-way {shape[0]} --k-shot {shape[1]}", *words])


ROWS: tuple[Row, ...] = (
    Row("pixel-knn", "pixel-knn", {"method.distance": "l2"}),
    Row("pixel-knn-cosine", "pixel-knn", {"method.distance": "cosine"}, kind="cosine"),
    Row(
        "mann",
        "mann",
        {"method.training": "episodes"},
        also={"paper": {"method.encoder": "conv4", "method.curriculum": 50_000}},
    ),
    Row(
        "mann-sequences",
        "mann",
        {"method.training": "sequences"},
        (PRESENTATIONS,),
        # All five classes from the first step on; conv4 as in the other training, pixels learn too slowly.
        {
            "cpu": {"method.curriculum": 0, "method.steps": 4000},
            "quick": {"method.curriculum": 0, "method.steps": 600},
        },
        kind="sequences",
    ),
    Row("cnn", "cnn", {"method.test": "nearest"}),
    Row("cnn-linear", "cnn", {"method.test": "linear"}, kind="linear"),
    Row("cnn-fine-tuned", "cnn", {"method.test": "fine-tune"}, kind="fine-tuned"),
    *(
        Row(name, name)
        for name in (
            "siamese",
            "shrinking",
            "matching",
            "rare-events",
        )
    ),
    # The preset fair trains the head's row; with all layers no image can serve two tasks.
    Row("maml", "maml", {"method.adapts": "all"}, presets={"fair": "cpu"}),
    Row("maml-head", "maml", {"method.adapts": "head"}, kind="head only"),
    *(
        Row(name, name)
        for name in (
            "protonet",
            "metanet",
            "snail",
            "fastslow",
        )
    ),
    Row("fastslow-looks", "fastslow", kind="looks", several_looks=True),
    Row("nearest-mean", "cnn-nn", {"method.test": "mean"}, called="Nearest mean"),
    Row(
        "nearest-mean-looks",
        "cnn-nn",
        {"method.test": "mean"},
        called="Nearest mean",
        kind="looks",
        several_looks=True,
    ),
    *(
        Row(name, name)
        for name in (
            "coordinate-lstm",
            "meta-lstm",
        )
    ),
)


def plan_table2(
    experiment: str = "omniglot",
    *,
    preset: str = DEFAULT_PRESET,
    seeds: int = 1,
    settings: Sequence[str] = (),
) -> list[PlannedRun]:
    """Return the runs that fill the whole table, cheap rows first; rows that train nothing have one seed.

    `settings`, such as "episodes=200", change every run. Raises ConfigError.
    """
    return plan_rows(rows_of(experiment), experiment, preset, seeds, settings)


def plan_rows(
    rows: Sequence[Row], experiment: str, preset: str, seeds: int, settings: Sequence[str]
) -> list[PlannedRun]:
    """Return the runs that fill some rows in all columns, cheap rows first. Raises ConfigError."""
    chosen = _chosen(settings, experiment)
    planned = [_plan_row(row, experiment, preset, seeds, chosen) for row in rows]
    return [run for runs in sorted(planned, key=_cost) for run in runs]


LOOKS = 20
"""How often a training of `curves` is looked at."""

LOOKED_AT = 50
"""Validation episodes of each look."""


def plan_curves(
    experiment: str = "omniglot",
    *,
    preset: str = DEFAULT_PRESET,
    seeds: int = 1,
    settings: Sequence[str] = (),
) -> list[PlannedRun]:
    """Return the trainings behind the main column once more, with looks at classes they do not learn from.

    A recipe that learns from its validation classes has no honest validation curve: these runs hold the
    classes out, and are the same otherwise. They are measured on validation classes and enter no table.
    """
    chosen = _chosen(settings, experiment)
    main = main_shape(experiment)
    rows = [_plan_row(row, experiment, preset, seeds, chosen) for row in rows_of(experiment)]
    found: dict[str, PlannedRun] = {}
    for runs in sorted(rows, key=_cost):
        of_shape = [run for run in runs if _shape(run) == main] or runs
        for run in of_shape:
            if run.config.method.steps and _shape(run) == _shape(of_shape[0]):
                assert isinstance(run.config, ImageRun)
                looked_at = replace(run, config=with_curve(run.config))
                found.setdefault(config_hash(looked_at.config), looked_at)
    return list(found.values())


def with_curve(config: ImageRun) -> ImageRun:
    """Return the training behind a run with its validation classes held out, and looked at as it goes on."""
    trained = training_run(config) or config
    method = trained.method.as_trained()
    looks: dict[str, Any] = {"validate_every": max(method.steps // LOOKS, 1), "validate_episodes": LOOKED_AT}
    pretrain = method.starts_from
    if pretrain is not None:
        every = {"validate_every": max(pretrain.steps // LOOKS, 1), "validate_episodes": LOOKED_AT}
        looks["pretrain"] = pretrain.model_copy(update=every)
    raw = trained.model_copy(update={"method": method.model_copy(update=looks)}).model_dump()
    raw["evaluation"]["split"] = "val"
    raw["data"] |= {"holdout": True} if "holdout" in raw["data"] else {}
    checked = parse_config(raw | {"trained_by": None})
    assert isinstance(checked, ImageRun)
    return checked


def rows_of(experiment: str, rows: Sequence[Row] = ROWS) -> list[Row]:
    """Return the rows whose method can be run on the images of an experiment."""
    return [row for row in rows if row.method in methods_of(experiment)]


def shapes_of(experiment: str) -> tuple[Shape, ...]:
    """Return the columns of an experiment: mini-ImageNet is measured in 5 ways."""
    return tuple(shape for shape in SHAPES if experiment != "miniimagenet" or shape[0] == 5)


def main_shape(experiment: str) -> Shape:
    """Return the ways and shots of the paper's column."""
    return (5, 1) if experiment == "miniimagenet" else (20, 1)


def _shape(run: PlannedRun) -> Shape:
    assert isinstance(run.config, ImageRun)
    return run.config.evaluation.n_way, run.config.evaluation.k_shot


def _cost(runs: Sequence[PlannedRun]) -> tuple[bool, float]:
    """Return what puts a row that trains nothing before others, and those others by their seconds.

    Runs never measured count as much as the others of their row do.
    """
    seconds, unknown = planned_seconds(runs)
    trains = any(run.config.method.steps for run in runs)
    return trains, seconds * (1 + unknown / max(len(runs) - unknown, 1))


def _plan_row(
    row: Row, experiment: str, preset: str, seeds: int, chosen: Mapping[str, Sequence[Any]]
) -> list[PlannedRun]:
    preset = row.presets.get(preset, preset)
    fixed = {option: [value] for option, value in row.options(experiment, preset).items()}
    shapes = [shape for shape in row.shapes if shape in shapes_of(experiment)]
    ways, shots = (tuple(sorted({shape[place] for shape in shapes})) for place in (0, 1))
    settings = {**chosen, **fixed}
    asked = Sweep(
        experiment, (row.method,), preset, ways, shots, seeds, settings=settings, beside_others=True
    )
    planned = plan(asked)
    if not any(run.config.method.steps or _of_each_seed(run.config) for run in planned):
        planned = plan(replace(asked, seeds=1))
    kind = row.title if row.kind or row.called else ""
    return [replace(run, purpose=", ".join(filter(None, (kind, run.purpose)))) for run in planned]


def _of_each_seed(config: RunConfig) -> bool:
    """Return whether each seed starts from a pre-training of its own."""
    pretrain = config.method.starts_from if isinstance(config, ImageRun) else None
    return isinstance(pretrain, PretrainConfig) and pretrain.seed is None


def _chosen(settings: Sequence[str], experiment: str) -> Mapping[str, Sequence[Any]]:
    """Return the settings by option. Raises ConfigError for other data, and what the columns decide."""
    if experiment not in DATA:
        raise unknown_name("data of table2", experiment, DATA)
    chosen = parse_settings(settings)
    for name in chosen:
        if name.rpartition(".")[2] in ("n_way", "k_shot"):
            raise ConfigError(
                f"the table has columns of its own, {_shapes()}: leave {name} out, "
                f"or queue a method alone with fsrun queue {experiment} --method"
            )
    return chosen


def _shapes() -> str:
    return ", ".join(f"{n_way}-way {k_shot}-shot" for n_way, k_shot in SHAPES)
