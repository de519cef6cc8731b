"""Fast/slow learning step by step, against the same computed another way."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from experiments.config import FastSlowConfig, GlyphsData, ImageRun
from experiments.data.images import ImageTable, split_classes
from experiments.methods.fastslow import FastSlow, Start, TaskSource
from experiments.models.linear_head import head_gradient, head_input
from experiments.rng import generator

CPU = torch.device("cpu")
# As Table 1 prints it, but for unit features; what a test is about it adds.
PLAIN = {
    "fast_learner": "sgd",
    "fast_lr": 0.5,
    "features": "unit",
    "inner_steps": 1,
    "train_n_way": 5,
    "initial": "zeros",
    "slow_lr": 0.01,
    "slow_schedule": "constant",
    "averaging": 0.0,
    "base_share": 0.0,
    "mirrored": False,
    "jitter": {},
    "views": 1,
    "pretrain": {"filters": 8},
    "steps": 10,
}


def table(characters: int = 14) -> ImageTable:
    """Noise of one sort per character, half of them C_base."""
    source = generator("images")
    prototypes = torch.rand(characters, 1, 28, 28, generator=source)
    noise = torch.rand(characters, 20, 28, 28, generator=source)
    half = characters // 2
    splits = {"base": range(half), "meta": range(half, characters), "val": range(half, characters)}
    return ImageTable(
        (255 * (0.7 * prototypes + 0.3 * noise)).to(torch.uint8),
        {name: split_classes(rows, rotations=False) for name, rows in splits.items()},
    )


def learning(**options: object) -> FastSlow:
    method = FastSlowConfig.model_validate(PLAIN | options)
    config = ImageRun(experiment="glyphs", data=GlyphsData(), method=method)
    return FastSlow(config, table(), CPU)


def weights(method: FastSlow) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in method.network.parameters()])


def test_unit_features_have_length_one_and_centred_ones_mean_zero_directions() -> None:
    support = torch.rand(6, 4, generator=generator("support"))
    torch.testing.assert_close(head_input(support, support, "unit").norm(dim=1), torch.ones(6))
    centred = head_input(support, support, "centred")
    expected = support - support.mean(0)
    torch.testing.assert_close(centred, expected / expected.norm(dim=1, keepdim=True))
    assert head_input(support, support, "raw") is support


def test_theta_starts_at_zero_or_at_the_class_means_times_a_scale() -> None:
    support, labels = torch.tensor([[1.0, 1.0], [3.0, 1.0], [5.0, 1.0]]), torch.tensor([0, 0, 1])
    assert Start("zeros", 0.5)(support, labels).tolist() == [[0, 0], [0, 0]]
    assert Start("means", 0.5)(support, labels).tolist() == [[1.0, 0.5], [2.5, 0.5]]
    assert [len(list(Start(how, 0.5).parameters())) for how in ("zeros", "means")] == [0, 1]


@pytest.mark.parametrize("order", ["first", "second"])
def test_slow_step_goes_down_the_loss_at_the_next_theta(order: str) -> None:
    """first: theta_1 is a constant; second: theta_1 depends on theta' as autograd sees it."""
    method = learning(slow_gradient=order, slow_lr=0.1)
    ((adapt, judge),) = method.tasks.batches(0)
    network = method.network.eval()
    features = method._head_input(network(torch.cat((adapt, judge))), network(adapt))
    seen, judged, labels = features[:5], features[5:], torch.arange(5)
    start = torch.zeros(5, 9)
    theta = start - 0.5 * head_gradient(seen, labels, start)
    loss = cross_entropy(judged @ (theta.detach() if order == "first" else theta).T, labels)
    gradient = torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(network.parameters()))])
    expected = weights(method) - 0.1 * gradient
    method.train(0, 1)
    torch.testing.assert_close(weights(method), expected)


def test_second_order_slow_steps_leave_phi_its_own_gradient() -> None:
    """With theta' at rest the two orders differ in nothing that phi sees."""
    steps = {"fast_learner": "lstm", "inner_steps": 3, "slow_lr": 0.0}
    first, second = (learning(**steps, slow_gradient=order) for order in ("first", "second"))
    for method in (first, second):
        before = [parameter.detach().clone() for parameter in method.phi]
        method.train(0, 2)
        assert not all(torch.equal(*pair) for pair in zip(before, method.phi, strict=True))
    for one, other in zip(first.phi, second.phi, strict=True):
        torch.testing.assert_close(one, other)


def test_a_task_starts_as_the_nearest_class_mean_of_pre_training_classifies() -> None:
    log_scale = torch.tensor(1.5)
    for scale, expected in ((None, log_scale.exp()), (0.25, torch.tensor(16.0))):
        method = learning(initial="means", initial_scale=scale, fast_lr=1e-9)
        state = {"backbone": method.backbone.state_dict(), "objective": {"log_scale": log_scale}}
        method.start_from(state)
        support, query = (
            torch.rand(1, 5, 8, generator=generator("s")),
            torch.rand(1, 7, 8, generator=generator("q")),
        )
        cosines = torch.nn.functional.cosine_similarity(query[0][:, None], support[0][None], dim=2)
        found = method.logits(support, torch.arange(5), query)[0]
        torch.testing.assert_close(found.softmax(1), (expected * cosines).softmax(1), atol=1e-4, rtol=1e-3)


def test_delta_falls_along_a_cosine_over_the_tasks() -> None:
    start = weights(learning())
    moves = {}
    for schedule in ("constant", "cosine"):
        for task in (0, 5, 9):
            method = learning(slow_schedule=schedule)
            method.train(task, 1)
            moves[schedule, task] = float((weights(method) - start).norm())
    ratios = [moves["cosine", task] / moves["constant", task] for task in (0, 5, 9)]
    assert ratios == [pytest.approx(1, 1e-3), pytest.approx(0.5, 1e-3), pytest.approx(0.0245, 1e-2)]


def test_shared_learner_moves_the_backbone_by_the_fast_rule() -> None:
    by_sgd, shared = learning(slow_lr=0.5), learning(slow_learner="shared")  # both of rate 0.5
    for method in (by_sgd, shared):
        method.train(0, 2)
    torch.testing.assert_close(weights(by_sgd), weights(shared))


def test_averaging_hands_on_other_weights_and_leaves_training_as_it_is() -> None:
    plain, averaged = learning(), learning(averaging=0.9)
    assert torch.equal(plain.train(0, 3)["train/loss"], averaged.train(0, 3)["train/loss"])
    torch.testing.assert_close(weights(plain), weights(averaged))
    first = [method.backbone.get_parameter("blocks.0.0.weight") for method in (plain, averaged)]
    assert not torch.equal(*first)


def images_of(batches: list[tuple[Tensor, Tensor]]) -> set[bytes]:
    return {image.numpy().tobytes() for batch in batches for part in batch for image in part}


def test_tasks_come_from_base_classes_as_often_as_asked() -> None:
    images = table()
    known = {image.numpy().tobytes() for image in images.pixels("base", torch.arange(7 * 20))}
    for share, least, most in ((0.0, 0, 0), (0.5, 10, 30), (1.0, 40, 40)):
        config = FastSlowConfig.model_validate(PLAIN | {"base_share": share})
        source = TaskSource(config, images, k_shot=1, seed=0)
        from_base = [bool(images_of(source.batches(task)) & known) for task in range(40)]
        assert least <= sum(from_base) <= most


def test_support_is_seen_at_every_step_and_never_judged() -> None:
    config = FastSlowConfig.model_validate(PLAIN | {"inner_steps": 9, "batch_per_class": 2})
    batches = TaskSource(config, table(), k_shot=1, seed=0).batches(3)
    adapt, judge = ([batch[part] for batch in batches] for part in (0, 1))
    assert all(torch.equal(one, adapt[0]) for one in adapt)
    assert {len(one) for one in judge} == {10}
    assert not images_of([(one, one) for one in adapt]) & images_of([(one, one) for one in judge])


@pytest.mark.parametrize("seen", ["mean", "turns", "all"])
def test_one_view_of_an_image_makes_all_ways_to_see_views_the_same(seen: str) -> None:
    source = generator("features")
    support = torch.rand(3, 5, 8, generator=source)
    query = torch.rand(3, 10, 8, generator=source)
    known = learning(inner_steps=4).logits(support, torch.arange(5), query)
    found = learning(inner_steps=4, support_views=seen).logits(support, torch.arange(5), query)
    torch.testing.assert_close(found, known)


def test_each_way_to_see_views_adapts_on_what_it_says() -> None:
    source = generator("features")
    support, query = torch.rand(1, 5, 2, 8, generator=source), torch.rand(1, 7, 2, 8, generator=source)
    rows = head_input(support[0], support[0].flatten(0, 1), "unit")  # (5, 2, 8)
    rows = torch.cat((8 * rows, torch.ones(5, 2, 1)), dim=2)
    labels = torch.arange(5)
    asked = torch.cat((8 * head_input(query.mean(2)[0], support[0, :, 0], "unit"), torch.ones(7, 1)), dim=1)
    for seen, steps in {
        "turns": [(rows[:, 0], labels), (rows[:, 1], labels)],
        "all": [(rows.flatten(0, 1), labels.repeat_interleave(2))] * 2,
    }.items():
        theta = torch.zeros(5, 9)
        for examples, classes in steps:
            theta = theta - 0.5 * head_gradient(examples, classes, theta)
        method = learning(views=2, inner_steps=2, support_views=seen)
        found = method.logits(support.flatten(2), labels, query.flatten(2))
        torch.testing.assert_close(found, (asked @ theta.T)[None])


def test_several_views_are_embedded_side_by_side_the_image_itself_first() -> None:
    images = torch.rand(4, 1, 28, 28, generator=generator("images"))
    one, three = learning().embed(images), learning(views=3).embed(images)
    assert three.shape == (4, 24)
    torch.testing.assert_close(three[:, :8], one)


def test_a_mirror_image_is_one_more_view_after_each() -> None:
    images = torch.rand(4, 1, 28, 28, generator=generator("images"))
    plain, mirrored = learning(views=2), learning(views=2, mirrored_views=True)
    found = mirrored.embed(images).unflatten(1, (2, 2, 8))  # (images, views, itself and mirrored, filters)
    torch.testing.assert_close(found[:, :, 0].flatten(1), plain.embed(images))
    torch.testing.assert_close(found[:, 0, 1], learning().embed(images.flip(-1)))


def test_mean_views_classify_by_the_mean_feature() -> None:
    source = generator("features")
    support, query = torch.rand(2, 5, 3, 8, generator=source), torch.rand(2, 7, 3, 8, generator=source)
    labels = torch.arange(5)
    found = learning(views=3).logits(support.flatten(2), labels, query.flatten(2))
    torch.testing.assert_close(found, learning().logits(support.mean(2), labels, query.mean(2)))


def test_an_image_and_its_mirror_image_are_answered_alike() -> None:
    images = torch.rand(10, 1, 28, 28, generator=generator("images"))
    method, labels = learning(mirrored_views=True), torch.arange(5)
    support, query, mirrored = (method.embed(part)[None] for part in (*images.split(5), images[5:].flip(-1)))
    found = method.logits(support, labels, query)
    torch.testing.assert_close(found, method.logits(support, labels, mirrored))
    assert not torch.allclose(query, mirrored)


def test_quarter_turns_stand_side_by_side_in_each_view_upright_first() -> None:
    images = torch.rand(4, 1, 28, 28, generator=generator("images"))
    upright, turned = learning(views=2), learning(views=2, quarter_turns=4)
    found = turned.embed(images).unflatten(1, (2, 4, 8))  # (images, views, turns, filters)
    torch.testing.assert_close(found[:, :, 0].flatten(1), upright.embed(images))
    torch.testing.assert_close(found[:, 0, 3], learning().embed(images.rot90(3, (-2, -1))))


def test_four_turns_classify_by_the_sum_of_what_each_turn_says() -> None:
    source = generator("features")
    support, query = torch.rand(2, 5, 4, 8, generator=source), torch.rand(2, 7, 4, 8, generator=source)
    labels = torch.arange(5)
    support, query = (part / part.norm(dim=-1, keepdim=True) for part in (support, query))
    found = learning(quarter_turns=4).logits(support.flatten(2), labels, query.flatten(2))
    # Four unit vectors side by side have length 2 and are brought to length 8; the 1 is the bias.
    products = (8 / 2) ** 2 * (query[:, :, None] * support[:, None]).sum((-1, -2)) + 1
    step = 0.5 / 5 * (products - products.mean(-1, keepdim=True))  # one step from zero, by hand
    torch.testing.assert_close(found, step)
