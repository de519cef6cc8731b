"""What the evaluation of every method shares: intervals, embeddings and accuracy per episode.

Not here: how a method classifies (methods/), and which episodes there are (data/episodes.py).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from experiments.data.episodes import Episodes
from experiments.data.images import ImageTable
from experiments.events import Measurement

EMBED_BATCH = 512  # images


def measure(name: str, values: Tensor) -> Measurement:
    """Return mean and 95 % interval (1.96 s / sqrt(n)) of one value per episode."""
    numbers = values.double()
    half = 1.96 * float(numbers.std(correction=1)) / math.sqrt(numbers.numel())
    return Measurement(name, float(numbers.mean()), half, tuple(numbers.tolist()))


def embed_episodes(
    table: ImageTable, split: str, episodes: Episodes, embed: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return support (episodes, n_way, k_shot, d) and query (episodes, n_way, n_query, d) features.

    Each image is embedded once however many episodes use it: only right where features do not depend
    on the episode.
    """
    parts = (episodes.support, episodes.query)
    used, position = torch.unique(torch.cat([part.flatten() for part in parts]), return_inverse=True)
    batches = [embed(table.pixels(split, batch)) for batch in used.split(EMBED_BATCH)]
    features = torch.cat(batches)
    support, query = position.to(features.device).split([part.numel() for part in parts])
    return features[support.view(parts[0].shape)], features[query.view(parts[1].shape)]


def backbone_embedding(backbone: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return images (batch, 1, 28, 28) -> features with running statistics and no gradient.

    The backbone must be in evaluation mode already (see `evaluating`).
    """

    def embed(images: Tensor) -> Tensor:
        with torch.no_grad():
            features: Tensor = backbone(images.to(device))
        return features

    return embed


class evaluating:  # noqa: N801 (reads as a statement: with evaluating(backbone))
    """Put modules in evaluation mode and give each its mode back afterwards."""

    def __init__(self, *modules: nn.Module) -> None:
        self.modules = [module for root in modules for module in root.modules()]

    def __enter__(self) -> None:
        self.modes = [module.training for module in self.modules]
        for module in self.modules:
            module.training = False

    def __exit__(self, *_: object) -> None:
        for module, mode in zip(self.modules, self.modes, strict=True):
            module.training = mode


def episode_accuracy(logits: Tensor) -> Tensor:
    """Return accuracy (episodes,) of logits (episodes, n_way, n_query, n_way), true class = position."""
    truth = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1)
    return (logits.argmax(-1) == truth).double().mean((1, 2)).cpu()
