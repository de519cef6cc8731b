"""Intervals over classes, on simulated episodes whose classes have effects that are known."""

from pathlib import Path

import numpy as np
import pytest

from experiments.config import ImageRun, config_to_json
from experiments.data.episode_classes import drawing_of
from experiments.datasets import evaluation_sampler, open_table, split_names
from fsrun.report.class_intervals import Design, class_difference, class_interval, design_of
from fsrun.report.paired import Values
from fsrun.report.rows import rows
from fsrun.report.table2 import over_classes, table2
from store.queue import finish
from store.results import ResultRow, finished_results
from tests.report.report_cases import Filled, Settings, config_of, fill


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def image_run(experiment: str, settings: Settings | None = None) -> ImageRun:
    config = config_of(experiment, "protonet", settings=settings)
    assert isinstance(config, ImageRun)
    return config


def drawn(source: np.random.Generator, episodes: int, n_way: int, classes: int) -> Design:
    return Design(np.stack([source.permutation(classes)[:n_way] for _ in range(episodes)]))


def shares(design: Design) -> Values:
    """Return of each episode (episodes, classes) the share that is of each class."""
    there: Values = (design.centred > 0).astype(np.float64)
    of_each: Values = there / there.sum(axis=1, keepdims=True)
    return of_each


# ------------------------------------------------------------ which classes an episode has


@pytest.mark.parametrize(
    ("experiment", "settings"),
    [
        ("omniglot", {"n_way": [20]}),
        ("omniglot", {"n_way": [5], "k_shot": [5], "rotations": [False], "evaluation.seed": [7]}),
        ("omniglot", {"protocol": ["P-B"], "split": ["val"]}),
        ("miniimagenet", {}),
    ],
)
def test_the_classes_of_an_episode_are_those_the_sampler_draws(experiment: str, settings: Settings) -> None:
    config = image_run(experiment, settings)
    table, split = open_table(config.data, None), config.evaluation.split
    episodes = evaluation_sampler(table, config.evaluation).sample(split, range(40))
    wanted = (episodes.support[:, :, 0] // table.per_class(split)).sort(1).values.numpy()
    drawing = drawing_of(config.data, config.evaluation)
    assert drawing is not None
    np.testing.assert_array_equal(np.sort(drawing.classes(40), axis=1), wanted)


def test_the_turns_of_a_character_count_as_one() -> None:
    config = image_run("omniglot")
    names = split_names(config)["test"]
    drawing = drawing_of(config.data, config.evaluation)
    assert drawing is not None
    characters = drawing.characters(np.arange(len(names)))
    assert len(set(characters.tolist())) == 423
    by_number = {int(number): name.rpartition("/")[0] for number, name in zip(characters, names, strict=True)}
    assert all(
        by_number[int(number)] == name.rpartition("/")[0]
        for number, name in zip(characters, names, strict=True)
    )


def test_episodes_within_an_alphabet_are_not_found_again() -> None:
    config = image_run("omniglot", {"sampling": ["within-alphabet"], "n_way": [5]})
    assert design_of(config_to_json(config), 10) is None


# ------------------------------------------------------------ the interval


@pytest.mark.parametrize(("episodes", "n_way", "classes"), [(400, 20, 200), (600, 5, 20)])
def test_the_interval_holds_the_mean_of_all_classes_in_95_of_100_tests(
    episodes: int, n_way: int, classes: int
) -> None:
    source = np.random.default_rng(0)
    design = drawn(source, episodes, n_way, classes)
    of_class, rest, held, too_narrow, estimates = 0.08, 0.03, 0, 0, []
    tests = 400
    for _ in range(tests):  # each on other classes, of a population with mean 0.9
        effects = source.normal(0, of_class, classes)
        values = 0.9 + shares(design) @ effects + source.normal(0, rest, episodes)
        found = design.components(values)
        estimates.append(found.of_class)
        held += abs(values.mean() - 0.9) <= found.interval
        too_narrow += abs(values.mean() - 0.9) <= 1.96 * values.std(ddof=1) / episodes**0.5
    assert 0.92 < held / tests < 0.98
    assert too_narrow / tests < 0.7  # what the interval over episodes would have held
    assert np.mean(estimates) == pytest.approx(of_class**2, rel=0.1)


def test_it_holds_where_values_are_shares_of_right_answers() -> None:
    source = np.random.default_rng(1)
    design = drawn(source, 500, 20, 150)
    members, tests, held = shares(design), 300, 0
    for _ in range(tests):
        chances = source.beta(9, 1, 150)  # of a right answer in each class; 0.9 in the population
        right = source.binomial(5, np.broadcast_to(chances, members.shape)) / 5
        values = (members * right).sum(axis=1)
        held += abs(values.mean() - 0.9) <= design.components(values).interval
    assert 0.92 < held / tests < 0.98


def test_without_an_effect_of_classes_it_is_about_that_over_episodes() -> None:
    source = np.random.default_rng(2)
    design = drawn(source, 1000, 20, 400)
    halves = [design.components(source.normal(0.9, 0.03, 1000)).interval for _ in range(20)]
    assert np.mean(halves) == pytest.approx(1.96 * 0.03 / 1000**0.5, rel=0.25)


def test_where_every_episode_has_all_classes_nothing_is_told_of_them() -> None:
    design = Design(np.tile(np.arange(5), (50, 1)))
    assert not design.tells
    assert design.components(np.random.default_rng(3).normal(0.5, 0.1, 50)).of_class == 0
    assert design_of(config_to_json(image_run("omniglot", {"n_way": [1692]})), 10) is None
    assert design_of(config_to_json(image_run("omniglot", {"n_way": [20]})), 10) is not None


# ------------------------------------------------------------ from stored runs


def measure(filled: Filled, method: str, effects: Values, lead: float = 0.0) -> int:
    """End a run whose episodes are as good as the effects of their characters, and a lead for all."""
    config = config_of("omniglot", method)
    assert isinstance(config, ImageRun)
    job = filled.start(config)
    design = design_of(config_to_json(config), 1000)
    assert design is not None
    values = (0.9 + lead + shares(design) @ effects).astype("<f4")
    half = 1.96 * float(values.std(ddof=1)) / 1000**0.5
    row = ResultRow("test/accuracy", float(values.mean()), half, 1000, values.tobytes())
    finish(filled.engine, job.run_id, job.attempt, [row], now=filled.tick())
    return job.run_id


def test_a_lead_for_all_classes_is_told_apart_however_much_the_classes_differ(filled: Filled) -> None:
    source = np.random.default_rng(4)
    effects = source.normal(0, 0.07, 423)
    measure(filled, "fastslow", effects)
    measure(filled, "protonet", effects, lead=-0.01)
    measure(filled, "matching", source.normal(0, 0.07, 423), lead=-0.002)
    found = {each.method: each for each in finished_results(filled.engine)}
    runs = [[found[name]] for name in ("protonet", "matching", "fastslow")]
    halves = [class_interval(each, scale=100) for each in runs]
    expected = 1.97 * 7 / 423**0.5
    assert halves[0] == pytest.approx(expected, rel=0.15)
    paired = class_difference(runs[0], runs[2], scale=100)
    assert paired is not None
    assert paired.mean == pytest.approx(-1, abs=0.01)
    assert paired.shown
    unlike = class_difference(runs[1], runs[2], scale=100)
    assert unlike is not None
    assert not unlike.shown
    lines = rows(filled.engine)
    (note,) = over_classes(lines)
    assert "Matching Network (20w1s)" in note
    assert "Prototypical Net (20w1s)" not in note
    record = next(each for each in table2(filled.engine).records if each["row"] == "protonet")
    assert record["20w1s_interval_over_classes"] == pytest.approx(halves[0])
    assert record["20w1s_to_fastslow_interval_over_classes"] == pytest.approx(paired.interval)


def test_a_run_that_kept_no_values_has_no_interval_over_classes_and_is_named(filled: Filled) -> None:
    filled.measure("protonet", 0.9)
    table = table2(filled.engine)
    assert [each["main_interval_over_classes"] for each in table.records if each["row"] == "protonet"] == [
        None
    ]
    assert any("No values of the episodes" in note and "Prototypical Net" in note for note in table.details)
