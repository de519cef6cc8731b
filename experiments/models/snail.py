"""Causal networks over a support sequence and queries that each come right after it: SNAIL and TCML.

Not here: the image encoder, and how a task becomes a sequence (methods/snail.py).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from experiments.models.weights import draw_weights

# Every block maps (support, query) to (support, query): support (batch, length, channels) is the sequence
# so far, query (batch, n, channels) are n alternatives for its next element. As all is causal, support does
# not depend on a query, nor one query on another: the sequence is computed once for all of them.
Pair = tuple[Tensor, Tensor]


class DenseBlock(nn.Module):
    """A gated causal convolution of kernel 2, its output appended to its input."""

    def __init__(self, channels: int, filters: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.now = nn.Linear(channels, 2 * filters)  # tanh half, sigmoid half
        self.before = nn.Linear(channels, 2 * filters, bias=False)  # what was `dilation` elements earlier

    def forward(self, support: Tensor, query: Tensor) -> Pair:
        """Return both with `filters` more channels; before the first element lie zeros."""
        length = support.shape[1]
        before = pad(self.before(support), (0, 0, self.dilation, 0))  # (batch, dilation + length, 2 filters)
        return (
            torch.cat((support, _gated(self.now(support) + before[:, :length])), dim=-1),
            torch.cat((query, _gated(self.now(query) + before[:, length : length + 1])), dim=-1),
        )


def _gated(activations: Tensor) -> Tensor:
    content, gate = activations.chunk(2, dim=-1)
    return content.tanh() * gate.sigmoid()


class TemporalBlock(nn.Module):
    """Dense blocks of several dilations, one after the other."""

    def __init__(self, channels: int, filters: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            DenseBlock(channels + index * filters, filters, dilation)
            for index, dilation in enumerate(dilations)
        )
        self.channels = channels + len(dilations) * filters

    def forward(self, support: Tensor, query: Tensor) -> Pair:
        """Return both with the outputs of all blocks appended."""
        for block in self.blocks:
            support, query = block(support, query)
        return support, query


class AttentionBlock(nn.Module):
    """One head of causal attention, softmax(q k / sqrt(key size)) over the keys, its read appended."""

    def __init__(self, channels: int, key_size: int, value_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, key_size)
        self.key = nn.Linear(channels, key_size)
        self.value = nn.Linear(channels, value_size)
        self.channels = channels + value_size

    def forward(self, support: Tensor, query: Tensor) -> Pair:
        """Return both with `value_size` more channels."""
        keys, values = self.key(support), self.value(support)
        read = scaled_dot_product_attention(self.query(support), keys, values, is_causal=True)
        return torch.cat((support, read), dim=-1), self._answer(query, keys, values)

    def answer(self, support: Tensor, query: Tensor) -> Tensor:
        """Return the query half alone, for the last block of a network."""
        return self._answer(query, self.key(support), self.value(support))

    def _answer(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        asked = self.query(query) / math.sqrt(keys.shape[-1])
        own = (asked * self.key(query)).sum(-1, keepdim=True)  # an element sees itself too
        weights = torch.cat((asked @ keys.mT, own), dim=-1).softmax(-1)  # (batch, n, length + 1)
        read = weights[..., :-1] @ values + weights[..., -1:] * self.value(query)
        return torch.cat((query, read), dim=-1)


class Snail(nn.Module):
    """Attention and temporal convolutions in turn (Mishra et al. 2018, section 3)."""

    def __init__(
        self, channels: int, outputs: int, dilations: Sequence[int], filters: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.first = AttentionBlock(channels, 64, 32)
        self.second = TemporalBlock(self.first.channels, filters, dilations)
        self.third = AttentionBlock(self.second.channels, 256, 128)
        self.fourth = TemporalBlock(self.third.channels, filters, dilations)
        self.fifth = AttentionBlock(self.fourth.channels, 512, 256)
        self.output = nn.Linear(self.fifth.channels, outputs)
        draw_weights(self, generator)

    def forward(self, support: Tensor, query: Tensor) -> Tensor:
        """Return logits (batch, n, outputs) of the queries."""
        for block in (self.first, self.second, self.third, self.fourth):
            support, query = block(support, query)
        logits: Tensor = self.output(self.fifth.answer(support, query))
        return logits


class Tcml(nn.Module):
    """Temporal convolutions alone: all dilations twice, then a hidden layer (Mishra et al. 2017)."""

    def __init__(
        self, channels: int, outputs: int, dilations: Sequence[int], filters: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.body = TemporalBlock(channels, filters, [*dilations, *dilations])
        self.hidden = nn.Linear(self.body.channels, filters)
        self.output = nn.Linear(filters, outputs)
        draw_weights(self, generator)

    def forward(self, support: Tensor, query: Tensor) -> Tensor:
        """Return logits (batch, n, outputs) of the queries."""
        _, query = self.body(support, query)
        logits: Tensor = self.output(self.hidden(query).relu())
        return logits


def dilation_series(length: int, *, printed: bool) -> list[int]:
    """Return ceil(log2 length) dilations: 1, 2, 4, ..., with which one block sees a whole sequence.

    The paper's pseudo-code prints 2, 4, 8, ...; with kernel 2 these reach even distances only.
    """
    blocks = max(1, math.ceil(math.log2(length)))
    return [2 ** (index + printed) for index in range(blocks)]
