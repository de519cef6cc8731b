"""Batch normalisation by the statistics of a batch that several processes share.

Not here: how they add up (experiments.parallel). torch.nn.SyncBatchNorm does the same on GPUs alone.
"""

import torch
from torch import Tensor, nn

from experiments.parallel import summed


class JointBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d whose mean and variance, while training, are those over all processes.

    Its weights and running statistics are called, and are, the same: a checkpoint of one is one of the other.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps (images, channels, h, w), normalised by all images of all processes."""
        if not self.training:
            return super().forward(maps)
        real = maps.to(torch.promote_types(maps.dtype, torch.float32))  # bfloat16 has too few digits
        mean, variance, count = self._statistics(real)
        self._follow(mean, variance * count / (count - 1))
        factor = self.weight * (variance + self.eps).rsqrt()
        normalised = real * factor[:, None, None] + (self.bias - mean * factor)[:, None, None]
        return normalised.to(maps.dtype)

    def _statistics(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean and variance (channels,), with gradient, and of how many numbers they are.

        Each process's own are put together in float64, so that no digit is lost to a mean far from 0.
        """
        variance, mean = torch.var_mean(maps, (0, 2, 3), correction=0)
        mean, variance = mean.double(), variance.double()
        count = mean.new_full((1,), maps.numel() / maps.shape[1])
        total = summed(torch.cat((mean * count, (variance + mean.square()) * count, count)))
        mean, square = (total[:-1] / total[-1].detach()).chunk(2)
        variance = square - mean.square()
        return mean.to(maps.dtype), variance.to(maps.dtype), total[-1].detach()

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as nn.BatchNorm2d does."""
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance.to(mean.dtype), self.momentum)
        self.num_batches_tracked.add_(1)


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
