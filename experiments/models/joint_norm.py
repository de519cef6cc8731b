"""Batch normalisation by the statistics of a batch that several processes share.

Not here: how they add up (experiments.team). torch.nn.SyncBatchNorm does the same on GPUs alone.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from experiments.team import total


class JointBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d whose mean and variance, while training, are those over all processes.

    Its weights and running statistics are called, and are, the same: a checkpoint of one is one of the other.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps (images, channels, h, w), normalised by all images of all processes."""
        if self.training:
            maps, mean, variance = _normalised(maps, self.weight, self.bias, self.eps)
            self._follow(mean, variance)
            return maps
        alone: Tensor = super().forward(maps)
        return alone

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as nn.BatchNorm2d does."""
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked.add_(1)


class _Normalise(torch.autograd.Function):
    """Normalisation and its gradient, each by torch's kernels for statistics that are given.

    With z the normalised maps and g what comes back, the gradient of maps is
    factor * (g - mean(g) - z mean(g z)), where means are over all processes. The kernel gives factor * g and
    the sums of g and g z; the rest is an affine function of maps, so another normalisation.
    """

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance, count = _statistics(maps, weight.dtype)
        ctx.save_for_backward(maps, weight, mean, variance)
        ctx.eps, ctx.count = eps, count
        unbiased = variance * count / (count - 1)
        ctx.mark_non_differentiable(mean, unbiased)
        return batch_norm(maps, mean, variance, weight, bias, eps=eps), mean, unbiased

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        maps, weight, mean, variance = ctx.saved_tensors
        scaled, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0], maps, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        with_z, alone = (total(torch.cat((of_weight, of_bias))) / ctx.count).chunk(2)
        factor = -weight * (variance + ctx.eps).rsqrt()
        scaled += batch_norm(maps, mean, variance, factor * with_z, factor * alone, eps=ctx.eps)
        return scaled, of_weight, of_bias, None


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _normalised(maps: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    answer: tuple[Tensor, Tensor, Tensor] = _Normalise.apply(maps, weight, bias, eps)
    return answer


def _statistics(maps: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and variance (channels,) over all processes, and of how many numbers they are.

    Each process's own are put together in float64, so that no digit is lost to a mean far from 0.
    """
    mean, variance = (each.double() for each in _own_statistics(maps, dtype))
    count = mean.new_full((1,), maps.numel() / maps.shape[1])
    sums = total(torch.cat((mean * count, (variance + mean.square()) * count, count)))
    mean, square = (sums[:-1] / sums[-1]).chunk(2)
    return mean.to(dtype), (square - mean.square()).to(dtype), sums[-1].to(dtype)


def _own_statistics(maps: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return mean and variance (channels,) over this process; torch.var_mean takes four times as long."""
    real = maps.to(dtype)  # bfloat16 has too few digits
    mean = real.mean((0, 2, 3))
    return mean, (real - mean[:, None, None]).square_().mean((0, 2, 3))


def normalise_jointly(network: nn.Module) -> None:
    """Put joint normalisation in the place of every nn.BatchNorm2d inside, with the same weights."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                joint = JointBatchNorm2d(child.num_features, child.eps, child.momentum)
                joint.weight, joint.bias = child.weight, child.bias
                joint.running_mean, joint.running_var = child.running_mean, child.running_var
                joint.num_batches_tracked = child.num_batches_tracked
                setattr(module, name, joint)
