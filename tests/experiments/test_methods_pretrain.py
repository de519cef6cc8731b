"""Pre-training's parts against numbers worked out another way."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from experiments.config import GlyphsData, ImageRun, Jitter, PretrainConfig, parse_config
from experiments.data.images import ImageTable, split_classes
from experiments.data.training import TrainingClasses
from experiments.methods.cnn_nn import CnnNeighbour
from experiments.methods.pretrain import LeaveOneOut, Pretrain, Softmax
from experiments.models.average import follow
from experiments.models.conv4 import Conv4
from experiments.rng import generator

CPU = torch.device("cpu")


def numbered_table(characters: int = 6) -> ImageTable:
    """Images whose left column tells the character and whose second column tells the drawer."""
    images = torch.zeros(characters, 20, 28, 28, dtype=torch.uint8)
    images[..., 0] = torch.arange(1, characters + 1)[:, None, None]
    images[..., 1] = torch.arange(1, 21)[None, :, None]
    return ImageTable(
        images, {split: split_classes(range(characters), rotations=False) for split in ("base", "meta")}
    )


def base_classes(count: int) -> TrainingClasses:
    return TrainingClasses(numbered_table(count), ("base",), False, Jitter())


def test_leave_one_out_lets_each_image_classify_the_others_by_its_cosine() -> None:
    config = PretrainConfig(train_n_way=4, train_images=3)
    features = torch.randn(12, 5, generator=generator("features"))
    logits, truth = LeaveOneOut(config, base_classes(10))(features, torch.arange(12) // 3)
    assert logits.shape == (24, 4)
    classes = torch.arange(12) // 3
    expected: list[tuple[float, ...]] = []
    for chosen in range(3):
        for query in (image for image in range(12) if image % 3 != chosen):
            cosines = (
                cosine_similarity(features[query], features[3 * way + chosen], dim=0) for way in range(4)
            )
            expected.append((*(20 * float(cosine) for cosine in cosines), float(classes[query])))
    found = torch.cat((logits, truth[:, None]), dim=1).detach()
    torch.testing.assert_close(found, torch.tensor(expected))


def test_leave_one_out_draws_different_classes_and_different_images_of_each() -> None:
    config = PretrainConfig(train_n_way=5, train_images=3)
    classes, drawers = LeaveOneOut(config, base_classes(6)).draw(generator("draw"))
    assert classes.view(5, 3).eq(classes.view(5, 3)[:, :1]).all()
    assert len(set(classes.tolist())) == 5
    assert all(len(set(row)) == 3 for row in drawers.view(5, 3).tolist())
    assert {int(drawers.min()) >= 0, int(drawers.max()) < 20} == {True}


@pytest.mark.parametrize(("classifier", "expected"), [("linear", 6.0), ("cosine", 20.0)])
def test_softmax_compares_an_image_with_every_class(classifier: str, expected: float) -> None:
    config = PretrainConfig.model_validate({"classifier": classifier, "filters": 3})
    objective = Softmax(config, base_classes(4), 3, generator("weights"))
    objective.weight.data.zero_()[2] = torch.tensor([0.0, 0.0, 2.0])
    logits, truth = objective(torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([2]))
    assert logits.tolist() == [[0.0, 0.0, pytest.approx(expected), 0.0]]
    assert truth.tolist() == [2]


def test_mirror_images_are_further_classes_behind_the_others() -> None:
    table = numbered_table()
    plain, doubled = (TrainingClasses(table, ("base",), mirrored, Jitter()) for mirrored in (False, True))
    assert (plain.count, doubled.count) == (6, 12)
    classes, drawers = torch.tensor([2, 8]), torch.tensor([5, 7])
    images = doubled.images(classes, drawers, generator("source")) * 255
    assert images[0, 0, 0, :2].tolist() == [3, 6]  # character 2, drawer 5
    assert images[1, 0, 0, -2:].tolist() == [8, 3]  # the mirror image of character 2, drawer 7
    torch.testing.assert_close(plain.images(classes[:1], drawers[:1], generator("s")) * 255, images[:1])


def test_classes_of_two_splits_come_one_after_the_other_and_then_their_mirror_images() -> None:
    table = replace(
        numbered_table(), splits={"base": torch.tensor([[0, 0], [1, 0]]), "meta": torch.tensor([[4, 0]])}
    )
    both = TrainingClasses(table, ("base", "meta"), True, Jitter())
    images = both.images(torch.arange(6), torch.arange(6), generator("source")) * 255
    assert both.count == 6
    assert images[:3, 0, 0, :2].tolist() == [[1, 1], [2, 2], [5, 3]]  # character and drawer, from 1
    assert images[3:, 0, 0, -2:].tolist() == [[4, 1], [5, 2], [6, 5]]


def first(module: Conv4) -> torch.Tensor:
    """Return the first convolution's weights."""
    return module.get_parameter("blocks.0.0.weight").detach()


def test_averaged_weights_follow_with_the_configured_decay_once_training_has_begun() -> None:
    network, average = Conv4(4, generator("a")), Conv4(4, generator("b"))
    one, other = (first(module).clone() for module in (network, average))
    follow(average, network, decay=0.9, step=10_000)
    torch.testing.assert_close(first(average), 0.9 * other + 0.1 * one)
    follow(average, network, decay=0.9, step=0)  # 1/10 of the average is kept at first
    expected = 0.1 * (0.9 * other + 0.1 * one) + 0.9 * one
    torch.testing.assert_close(first(average), expected)
    network(torch.rand(5, 1, 28, 28))
    follow(average, network, decay=0.9, step=10_000)
    assert int(average.get_buffer("blocks.0.1.num_batches_tracked")) == 1
    means = [module.get_buffer("blocks.0.1.running_mean") for module in (average, network)]
    torch.testing.assert_close(means[0], 0.1 * means[1])


def pretraining(**options: object) -> Pretrain:
    small = {"filters": 8, "train_n_way": 4, "batch_size": 12, "steps": 10, "averaging": 0.0, "jitter": {}}
    method = PretrainConfig.model_validate(small | options)
    config = ImageRun(experiment="glyphs", data=GlyphsData(), method=method)
    table = numbered_table(12)
    return Pretrain(config, replace(table, splits={**table.splits, "val": table.splits["base"]}), CPU)


@pytest.mark.parametrize("objective", ["softmax", "episodes"])
def test_averaging_leaves_training_as_it_is_and_hands_on_other_weights(objective: str) -> None:
    plain, averaged = pretraining(objective=objective), pretraining(objective=objective, averaging=0.9)
    assert torch.equal(plain.train(0, 5)["train/loss"], averaged.train(0, 5)["train/loss"])
    weights = [method.state_dict()["backbone"]["blocks.0.0.weight"] for method in (plain, averaged)]
    assert not torch.equal(*weights)
    assert torch.equal(averaged.network.state_dict()["blocks.0.0.weight"], weights[0])


def test_a_learned_scale_belongs_to_episodes() -> None:
    method = pretraining(objective="episodes")
    before = float(method.objective.state_dict()["log_scale"])
    method.train(0, 3)
    assert before == pytest.approx(math.log(20))
    assert float(method.objective.state_dict()["log_scale"]) != before


def test_without_a_seed_of_its_own_pre_training_has_that_of_its_run() -> None:
    method = PretrainConfig.model_validate({"filters": 8, "train_n_way": 4, "steps": 10, "jitter": {}})

    def loss(seed: int | None, run_seed: int) -> float:
        config = ImageRun(
            experiment="glyphs",
            seed=run_seed,
            data=GlyphsData(),
            method=method.model_copy(update={"seed": seed}),
        )
        return float(Pretrain(config, numbered_table(12), CPU).train(0, 1)["train/loss"])

    assert loss(None, 3) == loss(3, 0) != loss(None, 4)


def test_nearest_mean_and_nearest_image_differ_where_a_class_is_spread() -> None:
    support = normalize(torch.tensor([[[1.0, 0.0], [-1.0, 0.1], [0.6, 0.8], [0.5, 0.9]]]), dim=-1)
    labels = torch.tensor([0, 0, 1, 1])
    query = normalize(torch.tensor([[[1.0, 0.2]]]), dim=-1)
    answers = {}
    for test in ("nearest", "mean"):
        raw = {"name": "cnn-nn", "test": test, "pretrain": {"name": "pretrain", "filters": 4}}
        run = parse_config(
            {"experiment": "glyphs", "data": {"kind": "glyphs", "alphabets": 10}, "method": raw}
        )
        assert isinstance(run, ImageRun)
        method = CnnNeighbour(run, numbered_table(), CPU)
        answers[test] = int(method.logits(support, labels, query).argmax())
    assert answers == {"nearest": 0, "mean": 1}
