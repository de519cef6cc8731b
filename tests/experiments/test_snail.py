"""Temporal convolutions against torch's own, and what the network may and may not see."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from experiments.methods.snail import sequence
from experiments.models.snail import AttentionBlock, DenseBlock, Snail, Tcml, TemporalBlock, dilation_series
from experiments.models.weights import draw_weights
from experiments.rng import generator


def normal(*shape: int, key: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(key))


@pytest.mark.parametrize("dilation", [1, 2, 8])
def test_dense_block_is_a_gated_causal_convolution_of_kernel_two(dilation: int) -> None:
    block = DenseBlock(5, 3, dilation)
    draw_weights(block, generator("block"))
    x = normal(2, 6, 5)
    kernel = torch.stack((block.before.weight, block.now.weight), dim=-1)  # (6, 5, 2): earlier tap first
    both = conv1d(pad(x.mT, (dilation, 0)), kernel, block.now.bias, dilation=dilation).mT
    expected = torch.cat((x, both[..., :3].tanh() * both[..., 3:].sigmoid()), dim=-1)
    support, query = block(x[:, :5], x[:, 5:])
    torch.testing.assert_close(support, expected[:, :5])
    torch.testing.assert_close(query, expected[:, 5:])


def test_attention_is_a_softmax_over_the_keys_up_to_the_element_itself() -> None:
    block = AttentionBlock(4, 3, 2)
    draw_weights(block, generator("block"))
    x = normal(1, 5, 4)
    scores = block.query(x) @ block.key(x).mT / math.sqrt(3)
    later = torch.ones(5, 5).triu(1).bool()
    weights = scores.masked_fill(later, -math.inf).softmax(-1)  # each row sums to 1
    expected = torch.cat((x, weights @ block.value(x)), dim=-1)
    support, query = block(x[:, :4], x[:, 4:])
    torch.testing.assert_close(support, expected[:, :4])
    torch.testing.assert_close(query, expected[:, 4:])
    torch.testing.assert_close(block.answer(x[:, :4], x[:, 4:]), expected[:, 4:])


@pytest.mark.parametrize("kind", [Snail, Tcml])
def test_many_queries_at_once_answer_as_each_one_alone(kind: type[Snail | Tcml]) -> None:
    network = kind(7, 3, [1, 2, 4], 4, generator("weights"))
    support, query = normal(2, 6, 7), normal(2, 5, 7, key="q")
    together = network(support, query)
    alone = torch.cat([network(support, query[:, [each]]) for each in range(5)], dim=1)
    torch.testing.assert_close(together, alone)
    assert not torch.allclose(together[:, 0], together[:, 1])


def seen(network: torch.nn.Module, length: int) -> list[bool]:
    """Return which support elements the answer to a query depends on."""
    support = normal(1, length, 7).requires_grad_()
    (gradient,) = torch.autograd.grad(network(support, normal(1, 1, 7, key="q"))[1].sum(), support)
    return [bool(row.abs().max() > 0) for row in gradient[0]]


def test_complete_dilations_let_one_block_see_the_whole_support_and_the_printed_ones_half() -> None:
    """Kernel 2 with dilations 2, 4, 8, ... adds up to even distances alone."""
    assert dilation_series(21, printed=False) == [1, 2, 4, 8, 16]
    assert dilation_series(21, printed=True) == [2, 4, 8, 16, 32]
    complete, printed = (
        TemporalBlock(7, 4, dilation_series(21, printed=printed)) for printed in (False, True)
    )
    assert seen(complete, 20) == [True] * 20
    assert seen(printed, 20) == [True, False] * 10  # distances 20, 19, ..., 1


def test_full_snail_has_the_channels_of_the_source() -> None:
    network = Snail(84, 20, dilation_series(21, printed=False), 128, generator("weights"))
    blocks = (network.first, network.second, network.third, network.fourth, network.fifth)
    assert [block.channels for block in blocks] == [116, 756, 884, 1524, 1780]


def test_sequence_keeps_each_image_with_its_label_in_any_order() -> None:
    support = torch.arange(6.0).view(1, 6, 1)
    shown = sequence(support, torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([[5, 0, 3, 1, 4, 2]]), 3)
    assert shown[0, :, 0].tolist() == [5, 0, 3, 1, 4, 2]
    assert shown[0, :, 1:].argmax(-1).tolist() == [2, 0, 1, 0, 2, 1]
    assert shown[0, :, 1:].sum(-1).tolist() == [1] * 6
