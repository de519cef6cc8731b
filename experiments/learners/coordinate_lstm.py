"""The coordinate-wise LSTM g, the learned optimiser of the fast module.

Not here: its own training, which belongs to the method that uses it.
"""

import math

import torch
from torch import Tensor, nn

State = list[tuple[Tensor, Tensor]]

CHUNK = 8192  # coordinates advanced at once where no gradient is needed


def preprocess(gradient: Tensor, p: float = 10.0) -> Tensor:
    """Return two inputs per coordinate, (coordinates,) -> (coordinates, 2), that show scale and sign.

    (log|g| / p, sign g) where |g| >= e^-p, else (-1, e^p g). Source: Andrychowicz et al. 2016, appendix A.
    """
    magnitude = gradient.abs()
    large = magnitude >= math.exp(-p)
    log = magnitude.clamp_min(math.exp(-p)).log() / p
    first = torch.where(large, log, -torch.ones_like(log))
    second = torch.where(large, gradient.sign(), gradient * math.exp(p))
    return torch.stack((first, second), dim=-1)


def detached(state: State | None) -> State | None:
    """Return a state that is no function of phi or of earlier gradients."""
    return None if state is None else [(hidden.detach(), memory.detach()) for hidden, memory in state]


class CoordinateLstm(nn.Module):
    """One small LSTM shared by all coordinates, each with a state of its own (paper section 4.2).

    The last linear layer starts at zero, so an untrained g makes no step of its own: the first updates
    are those of plain SGD with rate skip_lr, or none.
    """

    def __init__(
        self, hidden_size: int, layers: int, output_scale: float, skip_lr: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.output_scale = output_scale
        self.skip_lr = skip_lr
        sizes = [2] + [hidden_size] * (layers - 1)
        self.cells = nn.ModuleList(nn.LSTMCell(size, hidden_size) for size in sizes)
        self.output = nn.Linear(hidden_size, 1)
        bound = 1 / math.sqrt(hidden_size)
        for parameter in self.cells.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, gradient: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the update, shaped like the gradient, and the next state of every coordinate.

        Without gradients, and of many coordinates, the next state takes the place of the one that came in: at
        ten thousand classes each of them is gigabytes.
        """
        flat = gradient.flatten()
        if torch.is_grad_enabled() or len(flat) <= CHUNK:
            output, following = self._advance(preprocess(flat), state)
        else:
            output, following = self._advance_in_chunks(flat, state)
        update = self.output_scale * output.reshape(gradient.shape)
        return update - self.skip_lr * gradient, following

    def _advance(self, signal: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return the output (coordinates, 1) and next state of coordinates with this signal."""
        following: State = []
        for index, cell in enumerate(self.cells):
            hidden, memory = cell(signal, None if state is None else state[index])
            following.append((hidden, memory))
            signal = hidden
        return self.output(signal), following

    def _advance_in_chunks(self, flat: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Do the same some coordinates at a time, so that what lies between stays in the cache.

        The state that came in is overwritten.
        """
        output = flat.new_empty(len(flat), 1)
        size = (len(flat), self.output.in_features)
        following = state or [(flat.new_empty(size), flat.new_empty(size)) for _ in self.cells]
        for start in range(0, len(flat), CHUNK):
            chunk = slice(start, start + CHUNK)
            before = None if state is None else [(hidden[chunk], memory[chunk]) for hidden, memory in state]
            output[chunk], after = self._advance(preprocess(flat[chunk]), before)
            for (hidden, memory), (new_hidden, new_memory) in zip(following, after, strict=True):
                hidden[chunk], memory[chunk] = new_hidden, new_memory
        return output, following
