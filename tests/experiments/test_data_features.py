"""Tables of features: which rows are whose, episodes of uneven classes, and what methods do with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.config import DrawnData, ImageRun, config_hash, prerequisites
from experiments.datasets import open_examples
from experiments.errors import ConfigError
from experiments.features.adapter import LENGTH, Adapter
from experiments.features.drawn import open_drawn
from experiments.features.table import FeatureTable, SplitRows, UnevenSampler, different
from experiments.learners.coordinate_lstm import CHUNK, CoordinateLstm
from experiments.method import Resources, build
from experiments.models import linear_head as head
from experiments.rng import generator
from experiments.sweeps import Sweep, plan

SMALL = {"classes": [200], "images": [6], "dimension": [8], "train_n_way": [5], "episodes": [4]}
CPU = torch.device("cpu")


def numbered_table(sizes: tuple[int, ...]) -> FeatureTable:
    """A table whose feature of row r is (r, r), in two shards, with classes of these sizes as `test`."""
    rows = sum(sizes) + 3
    every = np.repeat(np.arange(rows, dtype=np.float16)[:, None], 2, axis=1)
    images = torch.tensor(sizes)
    origin = 3 + torch.tensor([sum(sizes[:place]) for place in range(len(sizes))])
    return FeatureTable([every[:4], every[4:]], {"test": SplitRows(origin, images)})


def small_run(method: str, **options: list[Any]) -> ImageRun:
    settings: dict[str, list[Any]] = {**SMALL, **options}
    if method == "cnn-nn":
        settings.pop("train_n_way")
    (planned,) = plan(Sweep("drawn", (method,), "quick", settings=settings))
    assert isinstance(planned.config, ImageRun)
    return planned.config.model_copy(update={"trained_by": None})  # trains and measures by itself


def test_an_index_is_a_row_of_the_split_across_shards() -> None:
    table = numbered_table((2, 5, 3))
    index = torch.tensor([[0, 1], [2, 9]])
    assert table.pixels("test", index)[..., 0].tolist() == [[3, 4], [5, 12]]
    assert (table.class_count("test"), table.count("test"), table.per_class("test")) == (3, 10, 2)


def test_an_episode_holds_different_images_of_different_classes_whatever_their_sizes() -> None:
    sizes = (2, 50, 3, 2, 7)
    table = numbered_table(sizes)
    sampler = UnevenSampler(table, n_way=4, k_shot=1, n_query=1, key=("evaluation", 0))
    drawn = sampler.sample("test", range(50))
    first = table.rows("test").first
    classes = torch.searchsorted(first, torch.cat((drawn.support, drawn.query), -1), right=True) - 1
    assert (classes[..., 0] == classes[..., 1]).all()
    assert (classes[..., 0].sort(-1).values.diff(dim=-1) > 0).all()
    assert (drawn.support != drawn.query).all()


def test_an_episode_depends_on_its_number_alone() -> None:
    sampler = UnevenSampler(numbered_table((2, 50, 3, 2, 7)), 3, 1, 1, ("evaluation", 0))
    assert torch.equal(sampler.sample("test", range(5, 6)).query, sampler.sample("test", range(9)).query[5:6])


def test_every_order_of_images_is_equally_likely() -> None:
    drawn = different(torch.full((24_000,), 4), 2, generator("order"))
    counts = torch.bincount(drawn[:, 0] * 4 + drawn[:, 1], minlength=16).view(4, 4)
    assert (counts.diagonal() == 0).all()
    assert ((counts - 2000).abs() < 200).logical_or(torch.eye(4, dtype=torch.bool)).all()


def test_a_class_with_too_few_images_is_told() -> None:
    with pytest.raises(ConfigError, match="a class has 2 images, and an episode needs 3"):
        different(torch.tensor([5, 2]), 3, generator("few"))


def test_drawn_features_are_kept_and_the_same_wherever_they_are_drawn(tmp_path: Path) -> None:
    data = DrawnData(classes=100, images=3, dimension=4)
    tables = [open_drawn(tmp_path / place, data) for place in ("one", "other")]
    for split in ("meta", "val", "test"):
        every = torch.arange(tables[0].count(split))
        assert torch.equal(tables[0].pixels(split, every), tables[1].pixels(split, every))
        assert tables[0].class_count(split) == data.class_count(split)


def test_an_untrained_adapter_only_brings_features_to_one_length() -> None:
    features = torch.randn(5, 7, generator=generator("features"))
    adapted = Adapter(7)(features)
    assert torch.allclose(adapted.norm(dim=1), torch.full((5,), LENGTH))
    assert torch.allclose(adapted / LENGTH, features / features.norm(dim=1, keepdim=True))


def test_a_metric_trained_on_features_lowers_its_loss(tmp_path: Path) -> None:
    learner = build(small_run("protonet", steps=[60], lr=[0.01]), Resources(tmp_path, CPU))
    losses = learner.train(0, 60)["train/loss"]
    assert losses[-20:].mean() < losses[:20].mean()


def test_fast_slow_learns_the_adapter_and_g_from_features(tmp_path: Path) -> None:
    learner = build(small_run("fastslow", steps=[4]), Resources(tmp_path, CPU))
    before = {name: each.clone() for name, each in learner.state_dict()["learner"].items()}
    learner.train(0, 4)
    state = learner.state_dict()
    assert state["network"]["change.weight"].abs().max() > 0
    assert any((state["learner"][name] != each).any() for name, each in before.items())
    assert learner.evaluate("test", range(4))["accuracy"].mean() > 1 / 5


def test_nearest_neighbour_is_the_nearest_by_cosine(tmp_path: Path) -> None:
    config = small_run("cnn-nn", n_way=[20])
    accuracy = build(config, Resources(tmp_path, CPU)).evaluate("test", range(4))["accuracy"]
    table = open_examples(config.data, tmp_path)
    assert isinstance(table, FeatureTable)
    drawn = UnevenSampler(table, 20, 1, 1, ("evaluation", 0)).sample("test", range(4))
    unit = torch.nn.functional.normalize
    support, query = (
        unit(table.pixels("test", part[..., 0]), dim=-1) for part in (drawn.support, drawn.query)
    )
    nearest = (query @ support.mT).argmax(-1)
    assert torch.equal(accuracy, (nearest == torch.arange(20)).double().mean(1))
    assert accuracy.mean() > 2 / 20


def test_g_in_chunks_gives_what_it_gives_at_once_and_overwrites_its_state() -> None:
    g = CoordinateLstm(4, 2, 0.1, 0.5, generator("g"))
    torch.nn.init.normal_(g.output.weight, generator=generator("output"))
    gradients = torch.randn(3, CHUNK + 100, generator=generator("gradients"))
    once, state = [], None
    for gradient in gradients:
        update, state = g(gradient, state)  # with gradients: all coordinates at once
        once.append(update.detach())
    chunks, kept = [], None
    with torch.no_grad():
        for gradient in gradients:
            update, following = g(gradient, kept)
            assert kept is None or following[0][0].data_ptr() == kept[0][0].data_ptr()
            kept = following
            chunks.append(update)
    assert torch.allclose(torch.stack(chunks), torch.stack(once), atol=1e-6)


def test_the_gradient_of_the_head_is_autograds_however_many_images_are_classified_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head, "AT_ONCE", 4)
    features = torch.randn(6, 4, generator=generator("x"))
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    theta = torch.randn(3, 4, generator=generator("theta"), requires_grad=True)
    torch.nn.functional.cross_entropy(features @ theta.T, labels).backward()
    assert theta.grad is not None
    assert torch.allclose(head.head_gradient(features, labels, theta.detach()), theta.grad, atol=1e-6)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("views", 3, "views needs pixels, and these are features: use --set views=1"),
        ("mirrored", True, "mirrored needs pixels, and these are features: use --set mirrored=false"),
        ("warp", 0.5, "warp changes pixels, and these are features: use --set warp=0"),
    ],
)
def test_options_about_pixels_are_refused_where_there_are_none(option: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        small_run("fastslow", **{option: [value]})


def test_fewer_episodes_are_measured_at_more_ways() -> None:
    runs = plan(Sweep("drawn", ("cnn-nn",), "quick", n_way=(5, 100, 10_000)))
    assert [each.config.evaluation.episodes for each in runs] == [600, 100, 5]
    (asked,) = plan(Sweep("drawn", ("cnn-nn",), "quick", n_way=(10_000,), settings={"episodes": [7]}))
    assert asked.config.evaluation.episodes == 7


def test_a_training_on_features_serves_every_number_of_ways_asked_for_later() -> None:
    plans = [plan(Sweep("drawn", ("fastslow",), "quick", n_way=(ways,))) for ways in (100, 2000)]
    assert len({config_hash(need) for (each,) in plans for need in prerequisites(each.config)}) == 1
    (standard,) = plan(Sweep("drawn", ("fastslow",), "quick"))
    assert prerequisites(standard.config) == ()
