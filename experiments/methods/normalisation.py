"""Batch normalisation by an episode's own statistics, instead of those of training.

Not here: running statistics, with which an image's features depend on no episode (experiments/evaluate.py).
"""

from copy import deepcopy
from typing import Any, Literal

import torch
from torch import Tensor, nn


class OwnStatistics:
    """Embeds the images of one episode with statistics of its support, or of its queries.

    support: those of the support for all images, so that each query is still classified alone. queries:
    those of all queries together for the queries, which so help each other (transductive), and those of the
    support for the support; so did Finn et al. 2017. The backbone itself is left as it is.
    """

    def __init__(self, backbone: nn.Module, source: Literal["support", "queries"]) -> None:
        self.backbone = deepcopy(backbone).eval()
        self.source = source
        self._gathering = False
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.register_forward_pre_hook(self._gather)

    @torch.no_grad()
    def __call__(self, support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features (batch, d) of both batches of images (batch, *image)."""
        self._gathering = True
        of_support: Tensor = self.backbone(support)
        self._gathering = self.source == "queries"
        of_query: Tensor = self.backbone(query)
        return of_support, of_query

    def _gather(self, norm: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Have a layer normalise by its input of now, and remember these statistics."""
        if self._gathering:
            batch = inputs[0]  # (batch, channels, height, width)
            norm.get_buffer("running_mean").copy_(batch.mean((0, 2, 3)))
            norm.get_buffer("running_var").copy_(batch.var((0, 2, 3), correction=0))
