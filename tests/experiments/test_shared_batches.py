"""Batches whose images are compared in every way a method knows: the losses against plain loops."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, pad, softplus

from experiments.config import ImageRun, parse_config
from experiments.data.training import episodes_in_batch
from experiments.datasets import open_table
from experiments.methods.base import each_in_turn, truth_in_turn
from experiments.methods.mann import Mann
from experiments.methods.matching import MatchingNet
from experiments.methods.protonet import ProtoNet
from experiments.methods.rare_events import RareEvents
from experiments.methods.siamese import Siamese
from experiments.methods.snail import Snail, sequence
from experiments.rng import generator
from tests.conftest import GLYPH_ALPHABETS, GLYPH_CHARACTERS

WAYS, IMAGES = 6, 3


def run(name: str, *, evaluation: dict[str, Any] | None = None, **options: Any) -> ImageRun:
    method = {"name": name, "filters": 4, "train_images": IMAGES, "train_n_way": WAYS, **options}
    data = {"kind": "glyphs", "alphabets": GLYPH_ALPHABETS, "characters": GLYPH_CHARACTERS}
    raw = {"experiment": "glyphs", "data": data, "method": method}
    config = parse_config(raw | ({"evaluation": evaluation} if evaluation else {}))
    assert isinstance(config, ImageRun)
    return config


def features_of(method: Any, step: int) -> Tensor:
    """Return what the network in training makes of the batch of a step: (WAYS, IMAGES, d)."""
    images = method.class_images(method.classes, WAYS, IMAGES, step)
    features: Tensor = method.forward(images).unflatten(0, (WAYS, IMAGES))
    return features


def test_every_image_of_a_class_is_once_the_support_and_all_others_are_its_queries() -> None:
    features = torch.randn(WAYS, IMAGES, 5, generator=generator("features"))
    turns = list(each_in_turn(features))
    assert len(turns) == IMAGES
    truth = truth_in_turn(features).unflatten(0, (IMAGES, -1))
    for chosen, (support, queries) in enumerate(turns):
        assert torch.equal(support, features[:, chosen])
        for query, label in zip(queries, truth[chosen], strict=True):
            others = [features[label, other] for other in range(IMAGES) if other != chosen]
            assert any(torch.equal(query, other) for other in others)


@pytest.mark.parametrize("learned_scale", [False, True])
def test_prototypes_of_one_image_classify_by_squared_distance(
    glyphs_data_dir: Path, learned_scale: bool
) -> None:
    config = run("protonet", learned_scale=learned_scale)
    method = ProtoNet(config, open_table(config.data, glyphs_data_dir), torch.device("cpu"))
    loss, _ = method.loss(0)
    features = features_of(method, 0)
    scale = 10 / features.shape[-1] if learned_scale else 1.0
    terms = [
        cross_entropy(
            -scale * (features[label, query] - features[:, chosen]).square().sum(-1), torch.tensor(label)
        )
        for chosen in range(IMAGES)
        for label in range(WAYS)
        for query in range(IMAGES)
        if query != chosen
    ]
    torch.testing.assert_close(loss, torch.stack(terms).mean(), rtol=1e-4, atol=1e-5)


def test_matching_attends_to_one_image_of_each_class_by_its_cosine(glyphs_data_dir: Path) -> None:
    config = run("matching", scale=7.0)
    method = MatchingNet(config, open_table(config.data, glyphs_data_dir), torch.device("cpu"))
    loss, _ = method.loss(0)
    features = features_of(method, 0)
    terms = [
        cross_entropy(
            7 * cosine_similarity(features[label, query][None], features[:, chosen]), torch.tensor(label)
        )
        for chosen in range(IMAGES)
        for label in range(WAYS)
        for query in range(IMAGES)
        if query != chosen
    ]
    torch.testing.assert_close(loss, torch.stack(terms).mean(), rtol=1e-4, atol=1e-5)


def test_a_key_is_to_be_nearer_than_every_other_class_by_the_margin(glyphs_data_dir: Path) -> None:
    config = run("rare-events", encoder="conv4", keep=1.0, margin=0.3)
    method = RareEvents(config, open_table(config.data, glyphs_data_dir), torch.device("cpu"))
    loss, _ = method.loss(0)
    keys = method.key_map(features_of(method, 0)).detach()
    terms = []
    for chosen in range(IMAGES):
        for label in range(WAYS):
            for query in range(IMAGES):
                if query != chosen:
                    cosines = cosine_similarity(keys[label, query][None], keys[:, chosen])
                    rival = max(float(cosines[other]) for other in range(WAYS) if other != label)
                    terms.append(max(rival - float(cosines[label]) + 0.3, 0.0))
    assert float(loss.detach()) == pytest.approx(sum(terms) / len(terms), rel=1e-4)
    loss.backward()  # keys carry no gradient, queries do
    assert method.key_map.weight.grad is not None
    assert float(method.key_map.weight.grad.norm()) > 0


def test_all_pairs_weigh_likeness_and_its_absence_the_same(glyphs_data_dir: Path) -> None:
    config = run("siamese", train_n_way=WAYS, hard_negatives=0.0)
    method = Siamese(config, open_table(config.data, glyphs_data_dir), torch.device("cpu"))
    batch, labels = method.batch(generator(0, "pairs", 0))
    loss, _ = method.loss(0)
    features = method.forward(batch)
    alike, unlike = [], []
    for one in range(len(features)):
        for other in range(len(features)):
            logit = method.comparison((features[one] - features[other]).abs())
            if labels[one] != labels[other]:
                unlike.append(softplus(logit))
            elif one != other:
                alike.append(softplus(-logit))
    expected = (torch.cat(alike).mean() + torch.cat(unlike).mean()) / 2
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_hard_pairs_raise_the_loss_of_unlike_ones(glyphs_data_dir: Path) -> None:
    def loss(hard_negatives: float) -> float:
        config = run("siamese", train_n_way=WAYS, hard_negatives=hard_negatives)
        method = Siamese(config, open_table(config.data, glyphs_data_dir), torch.device("cpu"))
        return float(method.loss(0)[0].detach())

    assert loss(0.0) < loss(0.5) < loss(1.0)


def test_half_of_a_batch_of_pairs_comes_from_few_alphabets(glyphs_data_dir: Path) -> None:
    config = run("siamese", train_n_way=16, train_images=2)
    method = Siamese(config, open_table(config.data, glyphs_data_dir), torch.device("cpu"))
    _, labels = method.batch(generator("draw"))
    classes = labels[::2]
    assert len(classes.unique()) == 16
    kinds = method.kinds[classes[:8]]
    assert len(kinds.unique()) <= 4


def test_tests_use_the_average_of_the_weights_and_training_goes_on_with_the_weights(
    glyphs_data_dir: Path,
) -> None:
    config = run("protonet", averaging=0.99)
    method = ProtoNet(config, open_table(config.data, glyphs_data_dir), torch.device("cpu"))
    method.train(0, 12)
    trained, measured = (next(network.parameters()) for network in (method.network, method.backbone))
    assert not torch.equal(trained, measured)
    assert {"backbone", "network", "optimizer"} <= set(method.state_dict())
    plain = run("protonet")
    alone = ProtoNet(plain, open_table(plain.data, glyphs_data_dir), torch.device("cpu"))
    assert set(alone.state_dict()) == {"backbone", "optimizer"}


def test_an_episode_of_a_batch_has_each_class_and_each_image_of_it_once() -> None:
    drawn = episodes_in_batch(WAYS, 4, 3, 1, 50, generator("episodes"))
    assert (drawn.support.shape, drawn.query.shape) == ((50, 3, 1), (50, 3, 3))
    met = set()
    for images in torch.cat((drawn.support, drawn.query), dim=-1):  # (3, 4)
        classes = images // 4
        assert bool((classes == classes[:, :1]).all())
        assert len(classes[:, 0].unique()) == 3
        assert all(sorted((row % 4).tolist()) == [0, 1, 2, 3] for row in images)
        met |= set(classes[:, 0].tolist())
    assert met == set(range(WAYS))
    assert len({int(each) for each in drawn.support.flatten()}) == WAYS * 4  # any image can be the support


@pytest.mark.parametrize("train_queries", ["one", "each-class"])
def test_episodes_of_a_batch_cost_what_they_cost_embedded_by_themselves(
    glyphs_data_dir: Path, train_queries: str
) -> None:
    config = run(
        "snail",
        **{"train_images": 6, "label_slots": WAYS, "train_queries": train_queries, "dense_filters": 4},
        **{"train_shots": "1-or-5", "embedding": "unit", "episodes_per_step": 2},
        evaluation={"n_way": 5},
    )
    method = Snail(config, open_table(config.data, glyphs_data_dir), torch.device("cpu"))
    method.train(0, 2)
    method.encoder.eval()  # so that no image's features depend on the others of its batch
    for step in range(6):  # with five and with six classes, with one and with five shots
        loss, _ = method.loss(step)
        images = method.class_images(method.classes, WAYS, 6, step)
        drawn, names, order = method.episodes_of_batch(step)
        terms = []
        for support, query, name, shown in zip(drawn.support, drawn.query, names, order, strict=True):
            asked = query[:1, 0] if train_queries == "one" else query[:, 0]
            examples, questions = (method.encoder(images[each]) for each in (support.flatten(), asked))
            labels = name.repeat_interleave(support.shape[1])
            logits = method.body(
                sequence(examples[None], labels, shown[None], WAYS), pad(questions[None], (0, WAYS))
            )[0]
            unused = [label for label in range(WAYS) if label not in name.tolist()]
            logits[:, unused] = -torch.inf
            assert torch.equal(logits.softmax(-1)[:, unused], torch.zeros(len(asked), len(unused)))
            terms.append(cross_entropy(logits, name[: len(asked)]))
        torch.testing.assert_close(loss, torch.stack(terms).mean(), rtol=1e-4, atol=1e-5)


def test_all_steps_show_about_as_many_images_to_temporal_convolutions(glyphs_data_dir: Path) -> None:
    config = run("snail", train_images=6, train_n_way=20, label_slots=20, train_shots="1-or-5")
    method = Snail(config, open_table(config.data, glyphs_data_dir), torch.device("cpu"))
    sizes = {}
    for step in range(20):
        support = method.episodes_of_batch(step)[0].support
        count, ways, shots = support.shape
        sizes[ways, shots] = count * ways * (shots + 1)
    assert sizes == dict.fromkeys([(5, 1), (5, 5), (20, 1), (20, 5)], 32 * 20 * 6)


def test_sequences_of_a_batch_are_made_of_its_images_alone(glyphs_data_dir: Path) -> None:
    config = run("mann", encoder="conv4", instances=3, episodes_per_step=40, evaluation={"n_way": 5})
    method = Mann(config, open_table(config.data, glyphs_data_dir), torch.device("cpu"))
    seen: list[int] = []
    method.encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    method.loss(0)
    assert seen == [WAYS * IMAGES]
