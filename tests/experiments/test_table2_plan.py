"""The whole of Table 2 as one sweep: its runs, what they share, and about how long they take."""

import pytest

from experiments.budgets import planned_seconds, run_seconds, trainings
from experiments.config import ImageRun, config_hash
from experiments.errors import ConfigError
from experiments.registry import EXPERIMENTS, METHODS, methods_of
from experiments.sweeps import PlannedRun, Sweep, plan
from experiments.table2 import ROWS, SHAPES, plan_table2

PRESETS = ("quick", "cpu", "fair", "paper")


def cells(planned: list[PlannedRun]) -> set[tuple[str, int, int]]:
    found = set()
    for each in planned:
        assert isinstance(each.config, ImageRun)
        raw = each.config.model_dump()
        (row,) = (row for row in ROWS if row.holds(raw))
        found.add((row.name, each.config.evaluation.n_way, each.config.evaluation.k_shot))
    return found


@pytest.mark.parametrize("preset", PRESETS)
def test_every_row_is_measured_in_every_column(preset: str) -> None:
    planned = plan_table2(preset=preset)
    assert cells(planned) == {(row.name, *shape) for row in ROWS for shape in row.shapes}
    assert len(planned) == (len(ROWS) - 1) * len(SHAPES) + 1
    assert len({config_hash(each.config) for each in planned}) == len(planned)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_method_of_every_data_set_has_every_preset(experiment: str, preset: str) -> None:
    methods = methods_of(experiment)
    planned = plan(Sweep(experiment, methods, preset))
    assert {each.config.method.name for each in planned} == set(methods)


def test_rows_that_share_their_batches_serve_all_columns_by_one_training() -> None:
    planned = plan_table2(preset="fair")
    for name in ("protonet", "matching", "siamese", "rare-events"):
        trained = {config_hash(each) for each in trainings(planned) if each.method.name == name}
        assert len(trained) == 1


def test_every_row_of_the_paper_and_both_learned_optimisers_are_there() -> None:
    methods = {row.method for row in ROWS}
    assert methods == {name for name, entry in METHODS.items() if entry.row_of_table2} | {
        "coordinate-lstm", "meta-lstm", "cnn-nn"
    }  # fmt: skip


def test_the_columns_share_what_one_training_can_serve() -> None:
    planned = plan_table2(preset="cpu")
    of = {
        name: len({config_hash(each) for each in trainings(planned) if each.method.name == name})
        for name in METHODS
    }
    assert (of["pixel-knn"], of["cnn"], of["siamese"], of["shrinking"]) == (0, 1, 1, 1)
    assert (of["protonet"], of["matching"], of["rare-events"], of["fastslow"]) == (2, 2, 2, 4)
    assert (of["maml"], of["mann"], of["pretrain"]) == (8, 5, 1)


def test_seeds_repeat_what_is_trained_and_nothing_else() -> None:
    once, thrice = plan_table2(preset="quick"), plan_table2(preset="quick", seeds=3)
    untrained = 16  # of Pixel-KNN, and of nearest mean, whose pre-training all seeds share
    assert len(thrice) - untrained == 3 * (len(once) - untrained)
    assert {each.config.seed for each in thrice} == {0, 1, 2}


def test_a_setting_changes_every_run_and_the_columns_are_not_to_be_changed() -> None:
    planned = plan_table2(preset="quick", settings=["episodes=200"])
    assert {each.config.evaluation.episodes for each in planned} == {200}
    with pytest.raises(ConfigError, match=r"the table has columns of its own.*leave evaluation.n_way out"):
        plan_table2(settings=["evaluation.n_way=7"])
    with pytest.raises(ConfigError, match="unknown preset 'fast'"):
        plan_table2(preset="fast")


@pytest.mark.parametrize("preset", ["quick", "cpu"])
def test_cheap_rows_come_first(preset: str) -> None:
    planned = plan_table2(preset=preset)
    assert {each.config.method.name for each in planned[:8]} == {"pixel-knn"}
    places = {each.config.method.name: place for place, each in enumerate(planned)}
    assert places["cnn"] < places["maml"]
    assert places["protonet"] < places["coordinate-lstm"]


def test_what_was_never_measured_is_not_guessed() -> None:
    planned = plan_table2(preset="paper")
    seconds, unknown = planned_seconds(planned)
    assert seconds == 0
    assert unknown > len(planned)
    assert planned_seconds(plan(Sweep("synthetic"))) == (0, 1)


def test_a_shared_training_counts_once() -> None:
    shared = plan(Sweep("omniglot", ("cnn",), "cpu", n_way=(5, 20)))
    (training,) = trainings(shared)
    parts = [run_seconds(config, "cpu") for config in (training, *(each.config for each in shared))]
    assert None not in parts
    seconds, unknown = planned_seconds(shared)
    assert seconds == pytest.approx(sum(part or 0.0 for part in parts))
    assert unknown == 0


def test_most_trainings_for_20_way_1_shot_take_at_most_an_hour_of_one_thread() -> None:
    for preset, limit in (("cpu", 3600.0), ("quick", 600.0)):
        for each in trainings(plan_table2(preset=preset)):
            assert isinstance(each, ImageRun)
            if (each.evaluation.n_way, each.evaluation.k_shot) == (20, 1):
                assert (run_seconds(each, preset) or 0.0) <= limit, each.method.name
