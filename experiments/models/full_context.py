"""Full context embeddings: features that have seen the whole support.

Not here: the attention that classifies with them (methods/matching.py).
"""

import math

import torch
from torch import Tensor, nn


class FullContext(nn.Module):
    """g reads the support with an LSTM both ways, f by attention (Vinyals et al. 2016, section 2.1.2).

    The order of the support matters, so it must be drawn without regard to the classes.
    """

    def __init__(self, size: int, steps: int, generator: torch.Generator) -> None:
        super().__init__()
        self.steps = steps
        self.reader = nn.LSTM(size, size, batch_first=True, bidirectional=True)
        self.attender = nn.LSTMCell(2 * size, size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(size), 1 / math.sqrt(size), generator=generator)

    def forward(self, support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return g of support (episodes, images, d) and f of query (episodes, queries, d), as large."""
        read, _ = self.reader(support)
        forwards, backwards = read.chunk(2, dim=-1)
        embedded = forwards + backwards + support
        return embedded, self._attended(embedded, query)

    def _attended(self, support: Tensor, query: Tensor) -> Tensor:
        """Return f: each step reads the support by attention, r = sum_i softmax_i(h . g_i) g_i."""
        plain = query.flatten(0, 1)  # (episodes * queries, d)
        hidden, cell, read = (torch.zeros_like(plain) for _ in range(3))
        for _ in range(self.steps):
            hidden, cell = self.attender(torch.cat((plain, read), dim=-1), (hidden, cell))
            hidden = hidden + plain
            asking = hidden.view_as(query)
            read = ((asking @ support.mT).softmax(-1) @ support).flatten(0, 1)
        return hidden.view_as(query)
