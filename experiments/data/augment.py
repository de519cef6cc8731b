"""Small random changes to images: shifts by whole pixels, and turns, scalings and shears.

Not here: the quarter turns that make new classes, see images.py.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from experiments.config import Jitter


def shift(images: Tensor, generator: torch.Generator, pixels: int) -> Tensor:
    """Move each image by up to so many whole pixels each way, filling with paper (0).

    images: float (n, channels, height, width). The same generator state gives the same shifts.
    """
    count, _, height, width = images.shape
    device = images.device
    moves = torch.randint(0, 2 * pixels + 1, (2, count, 1), generator=generator, device=generator.device)
    rows, columns = moves.to(device)  # (n, 1): where the window lies in the padded image
    rows = rows + torch.arange(height, device=device)  # (n, height)
    columns = columns + torch.arange(width, device=device)  # (n, width)
    padded = functional.pad(images, (pixels,) * 4)
    image = torch.arange(count, device=device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]  # (n, height, width, ch)
    return moved.permute(0, 3, 1, 2).contiguous()


def affine(
    images: Tensor, generator: torch.Generator, *, degrees: float, scale: float, shear: float, shift: float
) -> Tensor:
    """Turn, scale, shear and move each image at random, bilinearly, filling with paper (0).

    images: float (n, channels, height, width). Each image gets a turn up to ±degrees, a factor up to
    1 ± scale for each axis, a horizontal shear up to ±shear degrees, a move up to ±shift pixels each way.
    The same generator state gives the same changes.
    """
    draws = torch.rand(6, len(images), generator=generator, device=generator.device) * 2 - 1
    angle, wide, high, slant, right, down = draws.to(images)  # (n,) each, in [-1, 1)
    angle, slope = angle * math.radians(degrees), torch.tan(slant * math.radians(shear))
    # grid_sample asks where each target pixel comes from, so this is the inverse of the change.
    wide, high = 1 / (1 + scale * wide), 1 / (1 + scale * high)
    cos, sin = torch.cos(angle), torch.sin(angle)
    top = torch.stack([wide * cos, wide * (slope * cos - sin), right * shift * 2 / images.shape[3]], dim=1)
    bottom = torch.stack([high * sin, high * (slope * sin + cos), down * shift * 2 / images.shape[2]], dim=1)
    matrices = torch.stack([top, bottom], dim=1)  # (n, 2, 3)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def jitter(images: Tensor, generator: torch.Generator, amounts: Jitter) -> Tensor:
    """Change training images as the config says: not at all, by whole-pixel shifts, or affinely."""
    if not (amounts.degrees or amounts.scale or amounts.shear):
        return shift(images, generator, amounts.shift) if amounts.shift else images
    return affine(
        images,
        generator,
        degrees=amounts.degrees,
        scale=amounts.scale,
        shear=amounts.shear,
        shift=amounts.shift,
    )
