"""Small random changes to images: of place, shape and stroke of drawings, of part and colour of photographs.

Not here: the quarter turns that make new classes, see images.py.
"""

import math
from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from experiments.config import Affine, Jitter, Looks
from experiments.rng import generator

WARP_KNOTS = 4  # along each side of the image; a warp is smooth between them


def shift(images: Tensor, source: torch.Generator, pixels: int) -> Tensor:
    """Move each image by up to so many whole pixels each way, filling with paper (0).

    images: float (n, channels, height, width). The same generator state gives the same shifts.
    """
    count, _, height, width = images.shape
    device = images.device
    moves = torch.randint(0, 2 * pixels + 1, (2, count, 1), generator=source, device=source.device)
    rows, columns = moves.to(device)  # (n, 1): where the window lies in the padded image
    rows = rows + torch.arange(height, device=device)  # (n, height)
    columns = columns + torch.arange(width, device=device)  # (n, width)
    padded = functional.pad(images, (pixels,) * 4)
    image = torch.arange(count, device=device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]  # (n, height, width, ch)
    return moved.permute(0, 3, 1, 2).contiguous()


def affine(images: Tensor, source: torch.Generator, amounts: Jitter) -> Tensor:
    """Turn, scale, shear, move and warp each image at random, bilinearly, filling with paper (0).

    images: float (n, channels, height, width). Each image gets a turn up to ±degrees, a factor up to
    1 ± scale for each axis, a horizontal shear up to ±shear degrees, a move up to ±shift pixels each way,
    and a smooth warp with a standard deviation of `warp` pixels. The same generator state gives the same.
    """
    draws = torch.rand(6, len(images), generator=source, device=source.device) * 2 - 1
    grid = functional.affine_grid(
        _inverse(draws.to(images), amounts, images.shape), list(images.shape), align_corners=False
    )
    if amounts.warp:
        grid = grid + _warp(images, source, amounts.warp)
    return functional.grid_sample(images, grid, align_corners=False)


def _inverse(draws: Tensor, amounts: Affine, shape: torch.Size) -> Tensor:
    """Return matrices (n, 2, 3) for draws (6, n) in [-1, 1): from target to source, as grid_sample asks."""
    angle, wide, high, slant, right, down = draws
    angle, slope = angle * math.radians(amounts.degrees), torch.tan(slant * math.radians(amounts.shear))
    wide, high = 1 / (1 + amounts.scale * wide), 1 / (1 + amounts.scale * high)
    right, down = right * amounts.shift * 2 / shape[3], down * amounts.shift * 2 / shape[2]
    cos, sin = torch.cos(angle), torch.sin(angle)
    top = torch.stack([wide * cos, wide * (slope * cos - sin), right], dim=1)
    bottom = torch.stack([high * sin, high * (slope * sin + cos), down], dim=1)
    return torch.stack([top, bottom], dim=1)


def _warp(images: Tensor, source: torch.Generator, pixels: float) -> Tensor:
    """Return smooth displacements (n, height, width, 2) in grid_sample's units, half a side each."""
    count, _, height, width = images.shape
    size = (count, 2, WARP_KNOTS, WARP_KNOTS)
    knots = torch.randn(size, generator=source, device=source.device).to(images) * (2 * pixels / width)
    smooth = knots.flatten(2) @ _shares_of_knots(height, width).to(images)  # (n, 2, height * width)
    return smooth.view(count, 2, height, width).permute(0, 2, 3, 1)


@cache
def _shares_of_knots(height: int, width: int) -> Tensor:
    """Return what each knot adds to each pixel (WARP_KNOTS ** 2, height * width), bicubic.

    Interpolation is linear in the knots, so that one product serves all images: several times as fast. In
    float32 whatever torch's default is, lest the numbers depend on who asked first.
    """
    alone = torch.eye(WARP_KNOTS**2, dtype=torch.float32).view(-1, 1, WARP_KNOTS, WARP_KNOTS)
    shares = functional.interpolate(alone, size=(height, width), mode="bicubic", align_corners=True)
    return shares.flatten(1)


def stroke(images: Tensor, source: torch.Generator, amount: float) -> Tensor:
    """Make each image's strokes thicker or thinner by up to `amount` pixels on either side, at most 1.

    images: float (n, channels, height, width). A part of a pixel is a blend with the whole pixel.
    """
    draws = torch.rand(len(images), 1, 1, 1, generator=source, device=source.device).to(images) * 2 - 1
    thick = functional.max_pool2d(images, 3, stride=1, padding=1)
    thin = -functional.max_pool2d(-images, 3, stride=1, padding=1)
    return torch.where(draws > 0, images.lerp(thick, amount * draws), images.lerp(thin, -amount * draws))


def crop(images: Tensor, source: torch.Generator, amount: float) -> Tensor:
    """Keep a square part of each image, at random, and enlarge it to the whole; bilinearly.

    images: float (n, channels, height, width). The part's side is between 1 - amount and 1 of the image's.
    """
    size, right, down = torch.rand(3, len(images), generator=source, device=source.device).to(images)
    size = 1 - amount * size
    nothing = torch.zeros_like(size)
    top = torch.stack([size, nothing, (1 - size) * (2 * right - 1)], dim=1)
    bottom = torch.stack([nothing, size, (1 - size) * (2 * down - 1)], dim=1)
    matrices = torch.stack([top, bottom], dim=1)  # (n, 2, 3)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def flip(images: Tensor, source: torch.Generator) -> Tensor:
    """Turn every other image over at random, left for right."""
    over = torch.rand(len(images), 1, 1, 1, generator=source, device=source.device) < 0.5
    return torch.where(over.to(images.device), images.flip(-1), images)


def colour(images: Tensor, source: torch.Generator, amount: float) -> Tensor:
    """Change brightness, contrast and saturation of each image, each by a factor of 1 ± amount.

    images: float (n, channels, height, width) in [0, 1], and so is what is returned.
    """
    draws = torch.rand(3, len(images), 1, 1, 1, generator=source, device=source.device).to(images)
    bright, contrast, saturation = 1 + amount * (2 * draws - 1)
    images = images * bright
    images = images.mean((1, 2, 3), keepdim=True).lerp(images, contrast)
    images = images.mean(1, keepdim=True).expand_as(images).lerp(images, saturation)
    return images.clamp(0, 1)


def jitter(images: Tensor, source: torch.Generator, amounts: Jitter) -> Tensor:
    """Change training images as the config says; where it asks for nothing they stay as they are."""
    if amounts.stroke:
        images = stroke(images, source, amounts.stroke)
    if amounts.degrees or amounts.scale or amounts.shear or amounts.warp:
        images = affine(images, source, amounts)
    elif amounts.shift:
        images = shift(images, source, amounts.shift)
    if amounts.crop:
        images = crop(images, source, amounts.crop)
    if amounts.flip:
        images = flip(images, source)
    return colour(images, source, amounts.colour) if amounts.colour else images


def views(images: Tensor, count: int, amounts: Affine) -> Iterator[Tensor]:
    """Yield the images as they are, then changed in count - 1 ways, each the same for all images.

    Fixed once and for all, so that what a view shows of an image depends on nothing else.
    """
    for number in range(count):
        yield view(images, number, amounts)


def view(images: Tensor, number: int, amounts: Affine) -> Tensor:
    """Return one of these views; number 0 is the images as they are."""
    if not number:
        return images
    draws = torch.rand(6, 1, generator=generator("view", number)) * 2 - 1
    matrix = _inverse(draws.to(images), amounts, images.shape).expand(len(images), 2, 3)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def look(images: Tensor, number: int, looks: Looks) -> Tensor:
    """Return what a test sees of images (batch, channels, height, width) at look 0 .. looks.count - 1.

    Look 0 is the images as they are. The turns come first, then the mirror image, then the next view.
    """
    number, turn = divmod(number, looks.turns)
    number, mirrored = divmod(number, 2) if looks.mirrored else (number, 0)
    seen = view(images, number, looks.change)
    return (seen.flip(-1) if mirrored else seen).rot90(turn, (-2, -1))
