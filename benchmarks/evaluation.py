"""Episodes measured a second: ours, the same the plain way, and the loops of easyfsl and learn2learn.

Not here: accuracy, which the network's weights decide. Peers are measured where this Python has them.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import describe, scratch, table
from experiments.config import EpisodeEvaluation, GlyphsData, OmniglotData
from experiments.data.images import ImageTable
from experiments.datasets import evaluation_sampler, open_table
from experiments.evaluate import (
    accuracy_per_episode,
    backbone_embedding,
    class_means,
    episode_accuracy,
    evaluating,
)
from experiments.methods.protonet import mean_logits, prototype_logits
from experiments.models.conv4 import Conv4
from experiments.rng import generator

OURS, PLAIN = "fsrun", "one by one"
SPLIT = "test"


@dataclass(frozen=True)
class Bench:
    """What every candidate is given: images, the same network, and the shape of the episodes."""

    images: ImageTable
    backbone: Conv4
    shape: EpisodeEvaluation

    def embed(self, images: Tensor) -> Tensor:
        """Return features, as a Recogniser does."""
        return backbone_embedding(self.backbone, torch.device("cpu"))(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Compare with class means, as a Recogniser does."""
        return mean_logits(class_means(support, labels), query)


def ours(bench: Bench, episodes: int) -> float:
    """Measure numbered episodes, each image embedded once."""
    sampler = evaluation_sampler(bench.images, bench.shape)
    return float(accuracy_per_episode(bench, bench.images, sampler, SPLIT, range(episodes)).mean())


def one_by_one(bench: Bench, episodes: int) -> float:
    """Measure the same episodes as a loop would: images of an episode through the network, then the next."""
    sampler = evaluation_sampler(bench.images, bench.shape)
    accuracies = []
    with evaluating(bench.backbone), torch.no_grad():
        for index in range(episodes):
            episode = sampler.sample(SPLIT, range(index, index + 1))
            chosen = torch.cat([episode.support[0], episode.query[0]], dim=1)  # (n_way, k_shot + n_query)
            features = bench.backbone(bench.images.pixels(SPLIT, chosen.flatten()))
            support, query = features.view(*chosen.shape, -1).split(
                [bench.shape.k_shot, bench.shape.n_query], 1
            )
            accuracies.append(episode_accuracy(prototype_logits(support, query)[None]))
    return float(torch.cat(accuracies).mean())


class Listed(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """The test images as peers want them: one by one with their labels, all in memory, turned already."""

    def __init__(self, images: ImageTable) -> None:
        count = images.class_count(SPLIT) * images.drawers
        self.pixels = images.pixels(SPLIT, torch.arange(count))
        self.labels = [index // images.drawers for index in range(count)]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.pixels[index], self.labels[index]

    def get_labels(self) -> list[int]:
        """Return the label of each image, as easyfsl asks for them."""
        return self.labels


def easyfsl(dataset: Listed, bench: Bench, episodes: int) -> float:
    """Measure as easyfsl does: its sampler and loader, its prototypical network, its evaluate."""
    shape = bench.shape
    # Version 1.5 hands an argument to Sampler, which torch dropped since: let it be taken once more.
    torch.utils.data.Sampler.__init__ = _takes_a_data_source  # type: ignore[method-assign]
    sampler = import_module("easyfsl.samplers").TaskSampler(
        dataset, shape.n_way, shape.k_shot, shape.n_query, episodes
    )
    loader = torch.utils.data.DataLoader(
        dataset, batch_sampler=sampler, collate_fn=sampler.episodic_collate_fn
    )
    model = import_module("easyfsl.methods").PrototypicalNetworks(bench.backbone)
    evaluate = import_module("easyfsl.utils").evaluate
    return float(evaluate(model, loader, device="cpu", use_tqdm=False))


def _takes_a_data_source(self: object, data_source: object = None) -> None:
    """Do what Sampler did with its argument when there was one: nothing."""


def learn2learn(dataset: Any, bench: Bench, episodes: int) -> float:
    """Measure as learn2learn does: its task set over its meta data set, one task after the other."""
    shape, data = bench.shape, import_module("learn2learn.data")
    steps = import_module("learn2learn.data.transforms")
    tasks = data.Taskset(
        dataset,
        task_transforms=[
            steps.NWays(dataset, shape.n_way),
            steps.KShots(dataset, shape.k_shot + shape.n_query),
            steps.LoadData(dataset),
            steps.RemapLabels(dataset),
        ],
        num_tasks=episodes,
    )
    accuracies = []
    with evaluating(bench.backbone), torch.no_grad():
        for index in range(episodes):
            images, labels = tasks[index]
            order = labels.argsort(stable=True)
            features = bench.backbone(images[order]).view(shape.n_way, shape.k_shot + shape.n_query, -1)
            support, query = features.split([shape.k_shot, shape.n_query], 1)
            accuracies.append(episode_accuracy(prototype_logits(support, query)[None]))
    return float(torch.cat(accuracies).mean())


def candidates(bench: Bench) -> tuple[dict[str, Callable[[int], float]], dict[str, str]]:
    """Return what can be measured here by name, and why each of the others cannot."""
    able: dict[str, Callable[[int], float]] = {OURS: partial(ours, bench), PLAIN: partial(one_by_one, bench)}
    missing: dict[str, str] = {}
    listed = Listed(bench.images)
    try:
        import_module("easyfsl.utils")
        able["easyfsl"] = partial(easyfsl, listed, bench)
    except ImportError as error:
        missing["easyfsl"] = str(error)
    try:
        meta = import_module("learn2learn.data").MetaDataset(listed)
        able["learn2learn"] = partial(learn2learn, meta, bench)
    except ImportError as error:
        missing["learn2learn"] = str(error)
    return able, missing


def compare(
    able: dict[str, Callable[[int], float]], episodes: int, trials: int
) -> dict[str, tuple[list[float], float]]:
    """Return each candidate's episodes a second in each trial, all in turn, and its mean accuracy."""
    rates: dict[str, list[float]] = {name: [] for name in able}
    accuracies: dict[str, list[float]] = {name: [] for name in able}
    for trial in range(trials + 1):
        for name, act in able.items():
            count = episodes if trial else 2  # the first is for warming up
            started = time.perf_counter()
            accuracy = act(count)
            if trial:
                rates[name].append(count / (time.perf_counter() - started))
                accuracies[name].append(accuracy)
    return {name: (rates[name], sum(accuracies[name]) / trials) for name in able}


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder with an imported Omniglot; else glyphs are drawn")
    parser.add_argument("--n-way", type=int, default=20)
    parser.add_argument("--k-shot", type=int, default=1)
    parser.add_argument("--n-query", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=300, help="in each trial")
    parser.add_argument("--trials", type=int, default=5, help="of which medians are taken")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    chosen = parser.parse_args(words)
    torch.set_num_threads(chosen.threads)
    warnings.simplefilter("ignore")  # what peers have to say of each other
    logging.disable(logging.WARNING)
    describe(
        f"{chosen.n_way}-way {chosen.k_shot}-shot, {chosen.n_query} queries: prototypical net with conv4-64, "
        f"{chosen.episodes} test episodes in each of {chosen.trials} trials, {chosen.threads} thread(s)"
    )
    shape = EpisodeEvaluation(n_way=chosen.n_way, k_shot=chosen.k_shot, n_query=chosen.n_query)
    with scratch() as folder:
        images = open_table(OmniglotData() if chosen.data else GlyphsData(), chosen.data or folder)
        able, missing = candidates(Bench(images, Conv4(64, generator("benchmark")), shape))
        found = compare(able, chosen.episodes, chosen.trials)
    plain = median(found[PLAIN][0])
    rows = [
        [
            name,
            f"{median(rates):.1f}",
            f"{median(rates) / plain:.2f}",
            f"{min(rates):.1f}",
            f"{max(rates):.1f}",
            f"{accuracy:.1%}",
        ]
        for name, (rates, accuracy) in found.items()
    ]
    table(["", "episodes/s", "of one by one", "least", "most", "accuracy"], rows)
    for name, why in missing.items():
        print(f"  {name}: skipped, {why}")


if __name__ == "__main__":
    main()
