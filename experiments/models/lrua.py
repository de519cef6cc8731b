"""An LSTM with an external memory that overwrites what was used least (LRUA, Santoro et al. 2016).

Not here: images, labels and the order they come in (methods/mann.py).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from experiments.models.weights import draw_weights

BLANK = 1e-6  # of an unwritten memory: a zero vector has no direction to compare


@dataclass(frozen=True)
class MemoryState:
    """All that one element of a sequence hands to the next."""

    hidden: Tensor  # (batch, hidden_size)
    cell: Tensor  # (batch, hidden_size)
    memory: Tensor  # (batch, slots, slot_size)
    read: Tensor  # (batch, heads * slot_size)
    read_weights: Tensor  # (batch, heads, slots)
    usage: Tensor  # (batch, slots)

    def repeated(self, times: int) -> "MemoryState":
        """Return the state with each sequence so many times in a row."""
        return MemoryState(*(part.repeat_interleave(times, dim=0) for part in vars(self).values()))


def least_used(usage: Tensor, heads: int) -> Tensor:
    """Return one slot per head, the least used first: (batch, slots) -> one-hot (batch, heads, slots)."""
    slots = usage.argsort(dim=-1, stable=True)[:, :heads]
    return torch.zeros(*slots.shape, usage.shape[-1], device=usage.device).scatter_(-1, slots[..., None], 1.0)


def write(memory: Tensor, weights: Tensor, content: Tensor, least: Tensor) -> Tensor:
    """Return the memory (batch, slots, slot_size) with its least used slot wiped and the content added.

    weights and least (batch, heads, slots), content (batch, heads, slot_size). Source: equation 7 and the
    paragraph before it.
    """
    return memory * (1 - least[:, 0, :, None]) + weights.mT @ content


def address(keys: Tensor, memory: Tensor) -> Tensor:
    """Return the softmax over slots of the cosine with each key: (batch, heads, slots). Equations 2 and 3."""
    return (normalize(keys, dim=-1) @ normalize(memory, dim=-1).mT).softmax(-1)


class MemoryNetwork(nn.Module):
    """Controller and memory as one recurrent network (Santoro et al. 2016, section 3)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden_size: int,
        slots: int,
        slot_size: int,
        heads: int,
        decay: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.slots, self.slot_size, self.heads, self.decay = slots, slot_size, heads, decay
        self.input = nn.Linear(inputs, 4 * hidden_size)
        self.recurrent = nn.Linear(hidden_size + heads * slot_size, 4 * hidden_size, bias=False)
        self.head = nn.Linear(hidden_size, heads * (2 * slot_size + 1))  # key, content and gate of each
        self.output = nn.Linear(hidden_size + heads * slot_size, outputs)
        draw_weights(self, generator)
        nn.init.zeros_(self.output.bias)  # no class is likelier than another

    def start(self, batch: int) -> MemoryState:
        """Return the state before a task: a blank memory, its first slot the one in use."""
        hidden = self.output.weight.new_zeros(batch, self.recurrent.weight.shape[0] // 4)
        memory = hidden.new_full((batch, self.slots, self.slot_size), BLANK)
        usage = hidden.new_zeros(batch, self.slots)
        usage[:, 0] = 1
        return MemoryState(
            hidden=hidden,
            cell=hidden,
            memory=memory,
            read=hidden.new_zeros(batch, self.heads * self.slot_size),
            read_weights=usage[:, None].expand(-1, self.heads, -1),
            usage=usage,
        )

    def forward(self, inputs: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """Return logits (batch, length, outputs) of inputs (batch, length, size), and the state after."""
        answers = []
        for element in self.input(inputs).unbind(1):
            state = self._next(element, state)
            answers.append(torch.cat((state.hidden, state.read), dim=-1))
        logits: Tensor = self.output(torch.stack(answers, dim=1))
        return logits, state

    def _next(self, element: Tensor, state: MemoryState) -> MemoryState:
        """Take in one element (batch, 4 * hidden_size), already mapped: first write, then read."""
        gates = element + self.recurrent(torch.cat((state.hidden, state.read), dim=-1))
        enter, keep, leave, content = gates.chunk(4, dim=-1)
        cell = keep.sigmoid() * state.cell + enter.sigmoid() * content.tanh()
        hidden = leave.sigmoid() * cell.tanh()
        orders = self.head(hidden).view(len(hidden), self.heads, -1)
        key, added, gate = orders.split([self.slot_size, self.slot_size, 1], dim=-1)
        gate = gate.sigmoid()
        least = least_used(state.usage, self.heads)
        write_weights = gate * state.read_weights + (1 - gate) * least  # equation 6
        memory = write(state.memory, write_weights, added.tanh(), least)
        read_weights = address(key.tanh(), memory)
        return MemoryState(
            hidden=hidden,
            cell=cell,
            memory=memory,
            read=(read_weights @ memory).flatten(1),
            read_weights=read_weights,
            usage=self._used(state.usage, read_weights, write_weights),
        )

    def _used(self, usage: Tensor, read_weights: Tensor, write_weights: Tensor) -> Tensor:
        """Return the usage after an element, equation 4; it only selects, so it has no gradient."""
        return self.decay * usage + (read_weights + write_weights).detach().sum(1)
