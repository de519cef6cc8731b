"""What every method of the registry promises; a new one is held to it by being listed there."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.classify import probabilities
from experiments.errors import DataError
from experiments.registry import METHODS, methods_of
from fsrun.testing import OF_EVERY_METHOD, OF_TRAINING, Laboratory, same, trains

# What lets thirty steps on one task show that something is learned.
QUICK_TO_LEARN: dict[str, Any] = {
    "cnn": {"method.lr": 0.01},
    "siamese": {"method.lr": 0.01},
    "shrinking": {"method.lr": 0.01},
    "matching": {"method.lr": 0.01},
    "maml": {"method.lr": 0.01},
    "meta-lstm": {"method.lr": 0.01},
    "linear": {"method.slow_lr": 0.3},
    "fastslow": {"method.slow_lr": 0.1, "method.meta_lr": 0.01},
    "pretrain": {"method.steps": 8},
    "snail": {"method.schedule": "constant", "method.lr": 0.01},
    "mann": {"method.lr": 0.01},
    "rare-events": {"method.episodes_per_step": 8, "method.slots": 256, "method.lr": 0.003},
    "metanet": {"method.lr": 0.003},
    "coordinate-lstm": {"method.lr": 0.01},
}

TRAINED = sorted(name for name in METHODS if trains(name))


@pytest.fixture(scope="module")
def laboratory(glyphs_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(glyphs_data_dir, tmp_path_factory.mktemp("contract"))


@pytest.mark.parametrize("name", sorted(METHODS))
@pytest.mark.parametrize("promise", OF_EVERY_METHOD)
def test_every_method_keeps_its_promises(
    laboratory: Laboratory, promise: Callable[[Laboratory, str], None], name: str
) -> None:
    promise(laboratory, name)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("promise", OF_TRAINING)
def test_every_method_that_trains_keeps_its_promises(
    laboratory: Laboratory, promise: Callable[[Laboratory, str], None], name: str
) -> None:
    promise(replace(laboratory, learns=QUICK_TO_LEARN.get(name, {})), name)


def test_pre_training_has_a_seed_of_its_own(laboratory: Laboratory) -> None:
    metrics = [laboratory.method("pretrain", options={"method.seed": seed}).train(0, 2) for seed in (0, 1)]
    assert not same(*metrics)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"linear"}))
def test_validation_and_test_are_other_episodes_and_accuracies_are_shares(
    laboratory: Laboratory, name: str
) -> None:
    method = laboratory.trained(name)
    measured = {split: method.evaluate(split, range(20))["accuracy"] for split in ("val", "test")}
    assert not torch.equal(measured["val"], measured["test"])
    for accuracy in measured.values():
        shares = accuracy * 15  # of 5 classes with 3 queries each
        torch.testing.assert_close(shares, shares.round())
        assert 0 <= float(accuracy.mean()) <= 1


# Methods that meet a task in more than one way, by the option that says how.
WAYS_TO_MEET_A_TASK: list[tuple[str, Mapping[str, Any]]] = [
    *((name, {}) for name in methods_of("glyphs")),
    ("cnn", {"method.test": "linear"}),
    ("cnn", {"method.test": "fine-tune"}),
    ("shrinking", {"method.hallucinate": 3, "method.generator_steps": 1, "method.steps": 2}),
    ("matching", {"method.fce": True}),
    ("snail", {"method.train_images": 6, "method.train_n_way": 8, "method.label_slots": 8}),
]


@pytest.mark.parametrize(("name", "options"), WAYS_TO_MEET_A_TASK)
def test_classifying_an_episodes_images_is_as_right_as_evaluation_says(
    laboratory: Laboratory, name: str, options: Mapping[str, Any]
) -> None:
    config, model = laboratory.classifier(name, options)
    support, query = laboratory.episode(config)
    found = probabilities(model, support.flatten(0, 1), torch.arange(5), query.flatten(0, 1))
    right = found.argmax(1) == torch.arange(5).repeat_interleave(query.shape[1])
    measured = laboratory.build(config).evaluate("test", range(1))["accuracy"]
    assert float(right.double().mean()) == pytest.approx(float(measured))


@pytest.mark.parametrize(("name", "options"), WAYS_TO_MEET_A_TASK)
def test_fewer_classes_share_all_probability_and_more_are_refused_where_outputs_are_fixed(
    laboratory: Laboratory, name: str, options: Mapping[str, Any]
) -> None:
    config, model = laboratory.classifier(name, options)
    support, query = (images.flatten(0, 1) for images in laboratory.episode(config))
    few = probabilities(model, support[:3], torch.arange(3), query)
    assert few.shape == (len(query), 3)
    torch.testing.assert_close(few.sum(1), torch.ones(len(query)))
    seven = support.repeat(2, 1, 1, 1)[:7]
    if config.method.most_ways(5) == 5:
        with pytest.raises(DataError, match=r"tell 5 classes apart and there are 7: use 5 classes or fewer"):
            probabilities(model, seven, torch.arange(7), query)
    else:
        assert probabilities(model, seven, torch.arange(7), query).shape == (len(query), 7)
