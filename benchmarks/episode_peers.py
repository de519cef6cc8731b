"""How learn2learn, higher and easyfsl draw and learn episodes, as in their own examples.

Not here: our own way, and the measuring (episode_candidates.py). Needs no more than torch and the library.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

Act = Callable[[], int]  # does some episodes and returns how many
Make = Callable[
    [Tensor, Path], Act
]  # of the images uint8 (classes, drawers, 28, 28) and a folder of their files

N_QUERY = 5
META_BATCH = 16
INNER_STEPS, INNER_LR, OUTER_LR = 5, 0.1, 1e-3
PROTONET_WAYS, MAML_WAYS = 20, 5


class Listed(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """The images as libraries want them: one by one with their labels, all in memory."""

    def __init__(self, images: Tensor) -> None:
        self.pixels = images.flatten(0, 1)[:, None] / 255
        self.labels = [index // images.shape[1] for index in range(len(self.pixels))]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.pixels[index], self.labels[index]

    def get_labels(self) -> list[int]:
        """Return the label of each image, as easyfsl asks for them."""
        return self.labels


class Files(Listed):
    """The images as the libraries' Omniglot has them: files of 105x105, each time read and made small."""

    def __init__(self, images: Tensor, folder: Path) -> None:
        super().__init__(images)
        self.folder = folder

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image
        from torchvision.transforms.functional import resize, to_tensor

        with Image.open(self.folder / f"{index}.png") as image:
            return 1.0 - to_tensor(resize(image.convert("L"), [28, 28])), self.labels[index]


# ------------------------------------------------------------ the networks


def conv4(*, stride: bool, filters: int = 64) -> nn.Sequential:
    """Return the four blocks as everybody writes them."""
    layers: list[nn.Module] = []
    for block in range(4):
        layers.append(nn.Conv2d(filters if block else 1, filters, 3, stride=2 if stride else 1, padding=1))
        layers.append(nn.BatchNorm2d(filters, track_running_stats=not stride))
        layers += [nn.ReLU()] if stride else [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, *([nn.AdaptiveAvgPool2d(1)] if stride else []), nn.Flatten())


def classifier() -> nn.Module:
    """Return the network of MAML's source for Omniglot."""
    return nn.Sequential(conv4(stride=True), nn.Linear(64, MAML_WAYS))


# ------------------------------------------------------------ easyfsl


def _easyfsl_batches(dataset: Listed, workers: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    # Version 1.5 hands an argument to Sampler, which torch dropped since: let it be taken once more.
    torch.utils.data.Sampler.__init__ = _takes_a_data_source  # type: ignore[method-assign]
    sampler = import_module("easyfsl.samplers").TaskSampler(dataset, PROTONET_WAYS, 1, N_QUERY, 1_000_000)
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=sampler.episodic_collate_fn,
    )
    for support, labels, query, truth, _ in loader:
        yield support, labels, query, truth


def _takes_a_data_source(self: object, data_source: object = None) -> None:
    """Do what Sampler did with its argument when there was one: nothing."""


def easyfsl_protonet(images: Tensor, _: Path) -> Act:
    """Return the training step of its tutorial on episodic training."""
    backbone = conv4(stride=False)
    model = import_module("easyfsl.methods").PrototypicalNetworks(backbone)
    optimizer = torch.optim.Adam(model.parameters(), lr=OUTER_LR)
    batches = _easyfsl_batches(Listed(images), 0)

    def act() -> int:
        support, labels, query, truth = next(batches)
        optimizer.zero_grad()
        model.process_support_set(support, labels)
        cross_entropy(model(query), truth).backward()
        optimizer.step()
        return 1

    return act


def easyfsl_loading(workers: int, *, files: bool = False) -> Make:
    """Return what loads an episode from memory, or from files, with so many workers."""

    def make(images: Tensor, folder: Path) -> Act:
        batches = _easyfsl_batches(Files(images, folder) if files else Listed(images), workers)
        return lambda: len(next(batches)[:1])

    return make


# ------------------------------------------------------------ learn2learn


def _learn2learn_tasks(dataset: Listed, ways: int, images: int) -> Any:
    data, steps = import_module("learn2learn.data"), import_module("learn2learn.data.transforms")
    meta = data.MetaDataset(dataset)
    transforms = [
        steps.NWays(meta, ways),
        steps.KShots(meta, images),
        steps.LoadData(meta),
        steps.RemapLabels(meta),
        steps.ConsecutiveLabels(meta),
    ]
    return data.Taskset(meta, task_transforms=transforms, num_tasks=-1)


def learn2learn_protonet(images: Tensor, _: Path) -> Act:
    """Return the training step of its example of prototypical networks."""
    backbone = conv4(stride=False)
    optimizer = torch.optim.Adam(backbone.parameters(), lr=OUTER_LR)
    tasks = _learn2learn_tasks(Listed(images), PROTONET_WAYS, 1 + N_QUERY)

    def act() -> int:
        pixels, labels = tasks.sample()
        features = backbone(pixels)
        support = torch.zeros(len(labels), dtype=torch.bool)
        support[torch.arange(PROTONET_WAYS) * (1 + N_QUERY)] = True
        means = features[support].view(PROTONET_WAYS, 1, -1).mean(1)
        logits = -(features[~support][:, None] - means).square().sum(2)
        optimizer.zero_grad()
        cross_entropy(logits, labels[~support]).backward()
        optimizer.step()
        return 1

    return act


def learn2learn_maml(images: Tensor, _: Path) -> Act:
    """Return the outer step of its example of MAML."""
    learner = import_module("learn2learn.algorithms").MAML(classifier(), lr=INNER_LR)
    optimizer = torch.optim.Adam(learner.parameters(), lr=OUTER_LR)
    tasks = _learn2learn_tasks(Listed(images), MAML_WAYS, 2)

    def act() -> int:
        optimizer.zero_grad()
        for _ in range(META_BATCH):
            pixels, labels = tasks.sample()
            clone = learner.clone()
            for _ in range(INNER_STEPS):
                clone.adapt(cross_entropy(clone(pixels[::2]), labels[::2]))
            (cross_entropy(clone(pixels[1::2]), labels[1::2]) / META_BATCH).backward()
        optimizer.step()
        return META_BATCH

    return act


def learn2learn_loading(*, files: bool = False) -> Make:
    """Return what loads an episode from memory, or from files."""

    def make(images: Tensor, folder: Path) -> Act:
        tasks = _learn2learn_tasks(
            Files(images, folder) if files else Listed(images), PROTONET_WAYS, 1 + N_QUERY
        )
        return lambda: len(tasks.sample()[:1])

    return make


def learn2learn_workers(images: Tensor, _: Path) -> Act:
    """Return what loads an episode from memory by two workers."""
    tasks = _learn2learn_tasks(Listed(images), PROTONET_WAYS, 1 + N_QUERY)
    loader = torch.utils.data.DataLoader(
        _Endless(tasks), batch_size=None, num_workers=2, persistent_workers=True
    )
    episodes = iter(loader)
    return lambda: len(next(episodes)[:1])


class _Endless(torch.utils.data.IterableDataset[tuple[Tensor, Tensor]]):
    def __init__(self, tasks: Any) -> None:
        self.tasks = tasks

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield self.tasks.sample()


# ------------------------------------------------------------ higher


def higher_maml(images: Tensor, _: Path) -> Act:
    """Return the outer step of its example of MAML, on episodes drawn by index from memory."""
    higher, network = import_module("higher"), classifier()
    inner = torch.optim.SGD(network.parameters(), lr=INNER_LR)
    optimizer = torch.optim.Adam(network.parameters(), lr=OUTER_LR)
    labels = torch.arange(MAML_WAYS)

    def act() -> int:
        optimizer.zero_grad()
        for _ in range(META_BATCH):
            classes = torch.randperm(len(images))[:MAML_WAYS]
            drawers = torch.rand(MAML_WAYS, images.shape[1]).argsort(1)[:, :2]
            support, query = (images[classes[:, None], drawers] / 255)[:, :, None].unbind(1)
            with higher.innerloop_ctx(network, inner, copy_initial_weights=False) as (fast, steps):
                for _ in range(INNER_STEPS):
                    steps.step(cross_entropy(fast(support), labels))
                (cross_entropy(fast(query), labels) / META_BATCH).backward()
        optimizer.step()
        return META_BATCH

    return act
