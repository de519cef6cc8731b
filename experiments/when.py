"""Where fast and slow learners help: Fast/Slow against nearest mean on its pre-trained features.

Both look at each test image once and answer the same episodes. One thing changes at a time: the pre-training,
the shots, the ways, or what learns slowly. How the pairs are found and shown is in fsrun/report/when.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.ablations import DATA, METHOD, SHORT, Option, Question
from experiments.config import ImageRun, config_hash, parse_config, share_trainings
from experiments.errors import ConfigError, unknown_name
from experiments.presets import DEFAULT_PRESET
from experiments.sweeps import PlannedRun, Sweep, changed, parse_settings, plan

RIVAL = "cnn-nn"
SHORTER: Mapping[str, Any] = {**SHORT, "method.pretrain.precision": "bf16"}


def _numbers(name: str, values: Sequence[int]) -> tuple[Option, ...]:
    return tuple(Option(f"{value:,}", {name: value}) for value in values)


QUESTIONS = (
    Question("Steps of pre-training", _numbers("method.pretrain.steps", (100, 300, 1000, 3000, 24_000))),
    Question(
        "Objective of pre-training",
        tuple(Option(name, {"method.pretrain.objective": name}) for name in ("softmax", "episodes")),
    ),
    Question("Support images per class", _numbers("evaluation.k_shot", (1, 2, 5, 10))),
    Question("Classes per episode", _numbers("evaluation.n_way", (5, 10, 20, 100, 300))),
    Question(
        "Slow learner",
        (
            Option("none: theta' frozen", {"method.slow_lr": 0.0}),
            Option("SGD, first order", {"method.slow_gradient": "first"}),
            Option("SGD, second order", {"method.slow_gradient": "second"}),
        ),
    ),
)


def nearest_mean(config: ImageRun) -> ImageRun | None:
    """Return the run of nearest mean on the features that a run of Fast/Slow starts from.

    It answers the same episodes and looks at each image as often. None where there is no such run: without a
    pre-training, or with statistics in the test that only Fast/Slow can have.
    """
    method = config.method.model_dump(mode="json")
    if method["pretrain"] is None and not config.data.holds_features:
        return None
    looks = {
        "views": method["views"],
        "turns": method["quarter_turns"],
        "mirrored": method["mirrored_views"],
        "change": method["view_change"],
    }
    raw = config.model_dump(mode="json")
    raw["method"] = {"name": RIVAL, "test": "mean", "pretrain": method["pretrain"]}
    raw["evaluation"] = {**raw["evaluation"], "looks": looks}
    raw["trained_by"] = None
    try:
        rival = parse_config(raw)
    except ConfigError:
        return None
    assert isinstance(rival, ImageRun)
    return rival


def variants(base: ImageRun, question: Question) -> list[tuple[str, ImageRun]]:
    """Return title and config of the options that the data have enough classes and images for."""
    found = []
    for option in question.options:
        try:
            config = changed(base, {**_episodes(base, option.sets), **option.sets})
        except ConfigError:  # this data set has fewer classes, or fewer images of each
            continue
        assert isinstance(config, ImageRun)
        found.append((option.title, config))
    return found


def _episodes(base: ImageRun, sets: Mapping[str, Any]) -> dict[str, int]:
    """Return how many episodes there are at other ways, where they are more than the data set's own."""
    most = base.data.episodes_at(sets.get("evaluation.n_way", base.evaluation.n_way))
    return {"evaluation.episodes": min(base.evaluation.episodes, most)}


def plan_when(
    experiment: str, *, preset: str = DEFAULT_PRESET, seeds: int = 1, settings: Sequence[str] = ()
) -> list[PlannedRun]:
    """Return the pairs of runs: around a base, one option at a time, seed by seed. Raises ConfigError.

    They are measured on validation classes unless `settings`, such as "split=test", say otherwise.
    """
    if experiment not in DATA:
        raise unknown_name("data of when", experiment, DATA)
    recipe: dict[str, Any] = {"split": "val", "method.views": 1, "method.quarter_turns": 1}
    recipe |= {"method.mirrored_views": False, **(SHORTER if preset == "fair" else {})}
    chosen = {name: [value] for name, value in recipe.items()} | parse_settings(settings)
    for name, values in chosen.items():
        if len(values) != 1:
            raise ConfigError(f"{name} has {len(values)} values: this study changes one base, give one value")
    asked: list[tuple[str, ImageRun]] = []
    for planned in plan(Sweep(experiment, (METHOD,), preset, seeds=seeds, settings=chosen)):
        base = planned.config
        assert isinstance(base, ImageRun)
        asked.append(("Base", base))
        for question in QUESTIONS:
            asked += [(f"{question.title}: {title}", each) for title, each in variants(base, question)]
    runs: dict[str, PlannedRun] = {}
    trained = share_trainings(config for _, config in asked)
    for (purpose, config), ours in zip(asked, trained, strict=True):
        for each in (ours, nearest_mean(config)):
            if each is not None:
                runs.setdefault(config_hash(each), PlannedRun(each, preset, purpose))
    return list(runs.values())
