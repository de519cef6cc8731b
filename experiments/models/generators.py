"""Networks that make fast weights from gradients, one coordinate like the other.

Not here: the network that the gradients and the weights belong to (augmented.py).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from experiments.models.augmented import CONVOLUTIONS
from experiments.models.weights import draw_weights

P = 7.0
CHUNK = 8192  # coordinates, or one image's, are worked on at once: what lies between stays in the cache
FIRST_SCALE = 0.01  # standard deviation of the last layer's first weights: fast weights start small


def shown(gradient: Tensor) -> Tensor:
    """Return two numbers for each, (...) -> (..., 2): max(log|g| / p, -1) and clamp(g e^p, -1, 1), p = 7.

    A smooth form of appendix A of Andrychowicz et al. 2016.
    """
    log = (gradient.abs() + torch.finfo(gradient.dtype).tiny).log() / P
    return torch.stack((log.clamp_min(-1), (gradient * math.exp(P)).clamp(-1, 1)), dim=-1)


class FromOne(nn.Module):
    """A perceptron with two hidden layers: each gradient becomes a weight (section 3.2, d)."""

    def __init__(self, hidden_size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = nn.Linear(2, hidden_size)
        self.second = nn.Linear(hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, 1)
        _draw(self, self.output, generator)

    def forward(self, gradients: Tensor) -> Tensor:
        """Return a weight for each gradient (images, coordinates), of the same shape."""
        return torch.stack([self._made(gradient) for gradient in gradients])

    def _made(self, gradient: Tensor) -> Tensor:
        signal = self.second(self.first(shown(gradient)).relu()).relu()
        weights: Tensor = self.output(signal)
        return weights.squeeze(-1)


class FromSequence(nn.Module):
    """An LSTM: each coordinate's gradients, one after the other, become one weight (section 3.2, m)."""

    def __init__(self, hidden_size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(2, hidden_size)
        self.output = nn.Linear(hidden_size, 1)
        bound = 1 / math.sqrt(hidden_size)
        for parameter in self.cell.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
        _draw(self, self.output, generator)

    def forward(self, gradients: Tensor) -> Tensor:
        """Return weights (coordinates,) from gradients (length, coordinates)."""
        return torch.cat([self._made(chunk) for chunk in gradients.split(CHUNK, dim=1)])

    def _made(self, gradients: Tensor) -> Tensor:
        state = None
        for element in shown(gradients):
            state = self.cell(element, state)
        assert state is not None, "no gradients"
        weights: Tensor = self.output(state[0])
        return weights.squeeze(-1)


def _draw(module: nn.Module, output: nn.Linear, generator: torch.Generator) -> None:
    draw_weights(module, generator)
    nn.init.normal_(output.weight, std=FIRST_SCALE, generator=generator)
    nn.init.zeros_(output.bias)


class WeightGenerator(nn.Module):
    """Makes all weights of a network: one maker for convolutions, another for the layers after them."""

    def __init__(
        self, maker: Callable[[int, torch.Generator], nn.Module], hidden_size: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.convolutions = maker(hidden_size, generator)
        self.connections = maker(hidden_size, generator)

    def forward(self, gradients: list[Tensor]) -> list[Tensor]:
        """Return weights from gradients (n, *shape), as (n, *shape) each, or (*shape) each of a sequence."""
        return [
            *_made(self.convolutions, gradients[:CONVOLUTIONS]),
            *_made(self.connections, gradients[CONVOLUTIONS:]),
        ]


def _made(maker: nn.Module, gradients: list[Tensor]) -> list[Tensor]:
    """Have one maker work on the coordinates of several layers at once."""
    weights = maker(torch.cat([gradient.flatten(1) for gradient in gradients], dim=1))
    sizes = [gradient[0].numel() for gradient in gradients]
    pieces = zip(weights.split(sizes, dim=-1), gradients, strict=True)
    return [piece.unflatten(-1, gradient.shape[1:]) for piece, gradient in pieces]
