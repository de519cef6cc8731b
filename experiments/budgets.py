"""What trainings cost: the images they embed, and how long runs of the presets take on a common processor.

The times were measured and are for planning. Not here: what a run really took, which is stored with it.
"""

from collections.abc import Iterable, Mapping

from experiments.config import ImageRun, RunConfig, config_hash, prerequisites, training_run
from experiments.sweeps import PlannedRun

Costs = tuple[float, float]  # milliseconds of a training step; of a test episode

_CHARACTERS = ("omniglot", "glyphs")  # other images are larger, and features are none

_CPU: Mapping[str, Mapping[tuple[int, int], Costs]] = {
    "pixel-knn": {(5, 1): (0, 3.5), (5, 5): (0, 4.0), (20, 1): (0, 4.3), (20, 5): (0, 5.6)},
    "cnn": {(5, 1): (76, 11), (5, 5): (78, 19), (20, 1): (78, 43), (20, 5): (75, 71)},
    # Beside the nearest neighbour on another processor, in proportion.
    "cnn-linear": {(5, 1): (76, 13), (5, 5): (78, 19), (20, 1): (78, 54), (20, 5): (75, 87)},
    "cnn-fine-tune": {(5, 1): (76, 131), (5, 5): (78, 409), (20, 1): (78, 322)},
    "siamese": {(5, 1): (263, 13), (5, 5): (276, 20), (20, 1): (267, 44), (20, 5): (279, 76)},
    "shrinking": {(5, 1): (73, 10), (5, 5): (73, 17), (20, 1): (80, 45), (20, 5): (81, 65)},
    "matching": {(5, 1): (125, 11), (5, 5): (209, 18), (20, 1): (133, 44), (20, 5): (175, 71)},
    "protonet": {(5, 1): (367, 9), (5, 5): (618, 18), (20, 1): (356, 41), (20, 5): (627, 74)},
    "mann-episodes": {(5, 1): (100, 7), (5, 5): (306, 13), (20, 1): (313, 29), (20, 5): (1020, 54)},
    "mann-sequences": {(5, 1): (246, 13)},
    "rare-events": {(5, 1): (1010, 20), (5, 5): (3190, 31), (20, 1): (1010, 51), (20, 5): (3190, 94)},
    "metanet": {(5, 1): (401, 225), (5, 5): (672, 334), (20, 1): (611, 362), (20, 5): (1780, 921)},
    "snail": {(5, 1): (91, 17), (5, 5): (264, 31), (20, 1): (308, 62), (20, 5): (831, 113)},
    "maml": {(5, 1): (236, 25), (5, 5): (711, 59), (20, 1): (623, 66), (20, 5): (2840, 230)},
    "meta-lstm": {(5, 1): (278, 151), (5, 5): (340, 237), (20, 1): (383, 248), (20, 5): (723, 564)},
    "coordinate-lstm": {(5, 1): (1056, 506), (5, 5): (1389, 574), (20, 1): (1470, 651)},
    "pretrain": {(20, 1): (224, 49)},
    "fastslow": {(5, 1): (516, 124), (5, 5): (1300, 226), (20, 1): (516, 607), (20, 5): (1300, 961)},
}
_QUICK: Mapping[str, Mapping[tuple[int, int], Costs]] = {  # where its options make a step another one
    "mann-episodes": {(5, 1): (88, 10), (5, 5): (256, 14), (20, 1): (197, 25), (20, 5): (726, 63)},
    "metanet": {(5, 1): (159, 90), (5, 5): (256, 143), (20, 1): (254, 175), (20, 5): (662, 348)},
    "coordinate-lstm": {(5, 1): (410, 174), (5, 5): (634, 278), (20, 1): (622, 261), (20, 5): (1200, 563)},
    "protonet": {(5, 1): (198, 14), (5, 5): (425, 23), (20, 1): (201, 52), (20, 5): (427, 84)},
    "fastslow": {(5, 1): (516, 74), (5, 5): (1378, 110), (20, 1): (578, 304), (20, 5): (1404, 430)},
}
_FAIR: Mapping[str, Mapping[tuple[int, int], Costs]] = {  # where a batch serves all comparisons
    name: {shape: (step, episode) for shape, (_, episode) in _CPU[name].items()}
    for name, step in (
        *(("siamese", 136), ("matching", 135), ("protonet", 116), ("rare-events", 123)),
        *(("snail", 530), ("metanet", 530)),
    )
}
MEASURED: Mapping[str, Mapping[str, Mapping[tuple[int, int], Costs]]] = {
    "cpu": _CPU,
    "quick": {**_CPU, **_QUICK},
    "fair": {
        **_CPU,
        **_FAIR,
        # In bfloat16.
        "cnn": {shape: (45, episode) for shape, (_, episode) in _CPU["cnn"].items()},
        "shrinking": {shape: (39, episode) for shape, (_, episode) in _CPU["shrinking"].items()},
        "pretrain": {(20, 1): (120, 39)},
    },
}
"""Preset -> row -> (n_way, k_shot) -> costs: processor time of one thread, by benchmarks/budgets.py."""


def budget_key(config: ImageRun) -> str:
    """Return what tells costs apart besides preset, ways and shots: the method, and its kind."""
    kind = getattr(config.method, "training", "") or getattr(config.method, "test", "")
    return config.method.name if kind in ("", "nearest") else f"{config.method.name}-{kind}"


def planned_seconds(planned: Iterable[PlannedRun]) -> tuple[float, int]:
    """Return about how long these runs take with all they start from, and how many were never measured.

    A training that several share counts once.
    """
    needed: dict[str, tuple[RunConfig, str]] = {}
    for each in planned:
        for config in (each.config, *_all_needs(each.config)):
            needed[config_hash(config)] = (config, each.preset)
    seconds = [run_seconds(config, preset) for config, preset in needed.values()]
    known = [each for each in seconds if each is not None]
    return sum(known), len(seconds) - len(known)


def trainings(planned: Iterable[PlannedRun]) -> list[RunConfig]:
    """Return the different runs that train, pre-trainings included, in the order they are needed."""
    configs = [need for each in planned for need in (*_all_needs(each.config), each.config)]
    return list({config_hash(config): config for config in configs if _steps(config)}.values())


def run_seconds(config: RunConfig, preset: str) -> float | None:
    """Return about how long one run takes, what it starts from not included; None where never measured."""
    if not isinstance(config, ImageRun) or config.experiment not in _CHARACTERS:
        return None
    asked = config.evaluation
    costs = MEASURED.get(preset, {}).get(budget_key(config), {}).get((asked.n_way, asked.k_shot))
    if costs is None:
        return None
    step, episode = costs
    method, steps = config.method, _steps(config)
    validations = steps // method.validate_every if method.validate_every else 0
    episodes = asked.episodes + validations * method.validate_episodes
    return (steps * step + episodes * episode) / 1000


def images_embedded(config: RunConfig, steps: int | None = None) -> int:
    """Return how many images the training behind a run embeds, all of it or the first steps.

    What it starts from is counted in full, and of a run that only measures, what was trained for it.
    """
    if not isinstance(config, ImageRun):
        return 0
    trained = training_run(config) or config
    asked, method = trained.evaluation, trained.method
    own = method.images_embedded(asked.n_way, asked.k_shot, method.steps if steps is None else steps)
    if getattr(method, "frozen", False):  # each image is embedded once, when it is first drawn
        classes = sum(trained.data.class_count(split) for split in method.splits)
        own = min(own, classes * trained.data.images_per_class)
    return round(own) + sum(map(images_embedded, prerequisites(trained)))


def _steps(config: RunConfig) -> int:
    return config.method.steps if isinstance(config, ImageRun) and training_run(config) is None else 0


def _all_needs(config: RunConfig) -> list[RunConfig]:
    needs = list(prerequisites(config))
    return [each for need in needs for each in (*_all_needs(need), need)]
