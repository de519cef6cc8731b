"""The learned optimiser of Ravi & Larochelle 2017: an LSTM cell whose state is the network's weights.

Not here: its own training (methods/meta_lstm.py).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from experiments.learners.coordinate_lstm import preprocess

SMALL = 0.01  # first weights are drawn from U(-SMALL, SMALL)


@dataclass(frozen=True)
class CellState:
    """What each coordinate remembers: hidden, memory (coordinates, hidden_size); gates (coordinates, 1)."""

    hidden: Tensor
    memory: Tensor
    forget: Tensor  # before the sigmoid, as is `take`
    take: Tensor


class MetaLstmCell(nn.Module):
    """c_t = f_t c_{t-1} - i_t gradient: decay and rate of each coordinate, as an LSTM sees fit.

    It starts near plain gradient descent at rate 0.01: f is close to 1, i to 0.01. Source: section 3.1;
    f and i are fed back before their sigmoid, as in the authors' program.
    """

    def __init__(self, hidden_size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.reader = nn.LSTMCell(4, hidden_size)
        self.forget = nn.Linear(hidden_size + 2, 1)
        self.take = nn.Linear(hidden_size + 2, 1)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -SMALL, SMALL, generator=generator)
        nn.init.uniform_(self.forget.bias, 4, 5, generator=generator)
        nn.init.uniform_(self.take.bias, -5, -4, generator=generator)

    def forward(
        self, weights: Tensor, gradient: Tensor, loss: Tensor, state: CellState | None
    ) -> tuple[Tensor, CellState]:
        """Return the next weights and state.

        weights, gradient (tasks, coordinates), loss (tasks,). All coordinates share the LSTM's parameters.
        """
        losses = preprocess(loss)[:, None].expand(*gradient.shape, 2)
        signal = torch.cat((losses, preprocess(gradient)), dim=-1).flatten(0, 1)  # (all coordinates, 4)
        inner = None if state is None else (state.hidden, state.memory)
        hidden, memory = self.reader(signal, inner)
        plain = weights.reshape(-1, 1)
        zero = torch.zeros_like(plain)
        forget, take = (zero, zero) if state is None else (state.forget, state.take)
        forget = self.forget(torch.cat((hidden, plain, forget), dim=1))
        take = self.take(torch.cat((hidden, plain, take), dim=1))
        following = forget.sigmoid() * plain - take.sigmoid() * gradient.reshape(-1, 1)
        return following.view_as(weights), CellState(hidden, memory, forget, take)
