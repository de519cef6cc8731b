"""Characters of made-up alphabets, drawn by the program: data for machines without a download.

Their splits are in splits/omniglot.py. Results on glyphs are not results on Omniglot, and are never shown as
such.

An alphabet is a style and a small pool of pen movements; a character joins one to four of them; each of the
20 drawers repeats it with their own slant, size, pen and care.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from experiments.data.images import ImageTable, open_images, split_classes
from experiments.data.storage import IMAGES, is_stored, read_summary, write_dataset
from experiments.rng import generator
from experiments.splits.omniglot import DRAWERS, glyph_splits

SIZE = 28
_VERSION = 1  # part of the folder's name: raise it when the drawing changes
_STROKES = 4
_POINTS = 40  # along a stroke, about a pixel apart at most
_POOL = 7  # pen movements an alphabet is made of
_PEN_GAIN = 1.25  # ink saturates in the middle of a line, as a pen's does


@dataclass(frozen=True)
class Movements:
    """Pen movements, tensors of one shape; angles in radians, lengths relative to each other.

    The pen starts at heading, turns evenly by turn, sways by wave, and turns sharply by corner at place.
    """

    length: Tensor
    heading: Tensor
    turn: Tensor
    wave: Tensor
    corner: Tensor
    place: Tensor

    def pick(self, index: Tensor) -> "Movements":
        """Return the movements at an index into the first dimension."""
        return Movements(*(values[index] for values in self._values()))

    def perturbed(self, source: torch.Generator, amount: Tensor, shape: tuple[int, ...]) -> "Movements":
        """Return the movements repeated to a shape, each slightly different; amount broadcasts to it."""
        spread = (0.12, 0.10, 0.16, 0.10, 0.14, 0.05)
        noise = [amount * width * torch.randn(shape, generator=source) for width in spread]
        length = self.length * torch.exp(noise[0])
        return Movements(length, *(v + n for v, n in zip(self._values()[1:], noise[1:], strict=True)))

    def path(self) -> Tensor:
        """Return the points of the strokes, from the origin: (*batch, points, 2)."""
        length, heading, turn, wave, corner, place = (values[..., None] for values in self._values())
        t = torch.linspace(0, 1, _POINTS)
        angle = heading + turn * t + wave * torch.sin(2 * math.pi * t)
        angle = angle + corner * torch.sigmoid((t - place) * 40)
        steps = torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1) * (length / _POINTS)[..., None]
        return steps.cumsum(dim=-2)

    def _values(self) -> tuple[Tensor, ...]:
        return (self.length, self.heading, self.turn, self.wave, self.corner, self.place)


@dataclass(frozen=True)
class Characters:
    """The characters of an alphabet; every tensor is (characters, strokes).

    present: whether the stroke is drawn. The point at own_share of a stroke lies on the point at share of
    the stroke number onto, which is an earlier one.
    """

    movements: Movements
    present: Tensor
    onto: Tensor
    share: Tensor
    own_share: Tensor

    def pick(self, index: Tensor) -> "Characters":
        """Return the characters at an index."""
        parts = (self.present, self.onto, self.share, self.own_share)
        return Characters(self.movements.pick(index), *(values[index] for values in parts))


def draw_glyphs(alphabets: int, characters: int, seed: int) -> Tensor:
    """Draw uint8 images (alphabets * characters, 20 drawers, 28, 28), ink = 255.

    An alphabet's images depend on its number, characters and seed alone; on another kind of processor a
    pixel may differ by a grey level.
    """
    return torch.cat([_draw_alphabet(number, characters, seed) for number in range(alphabets)])


def open_glyphs(
    data_dir: Path, alphabets: int, characters: int, *, seed: int = 0, rotations: bool = False
) -> ImageTable:
    """Open the memory-mapped glyphs, drawn at the first call, with the splits of glyph_splits.

    Raises ConfigError when there are too few alphabets to divide, DataError when the disk refuses.
    """
    splits = glyph_splits(alphabets, characters)
    folder = data_dir / f"glyphs-v{_VERSION}-{alphabets}x{characters}-seed{seed}"
    if not is_stored(folder):
        names = [f"{a + 1}/{c + 1}" for a in range(alphabets) for c in range(characters)]
        write_dataset(folder, draw_glyphs(alphabets, characters, seed).numpy(), names)
    read_summary(folder)  # refuses another format
    rows = {name: split_classes(classes, rotations=rotations) for name, classes in splits.items()}
    alphabet_of = torch.arange(alphabets).repeat_interleave(characters)
    return ImageTable(open_images(folder / IMAGES), rows, alphabet_of=alphabet_of)


def _draw_alphabet(number: int, characters: int, seed: int) -> Tensor:
    """Draw one alphabet: uint8 (characters, drawers, 28, 28)."""
    key = ("glyphs", _VERSION, seed, number)
    invented = _characters(generator(*key, "style"), 2 * characters)
    sketches = _draw(invented, 1, generator(*key, "sketches")).squeeze(1)
    alphabet = invented.pick(_most_different(sketches, characters))
    return _draw(alphabet, DRAWERS, generator(*key, "drawers"))


def _most_different(sketches: Tensor, count: int) -> Tensor:
    """Return the indices of count sketches (n, 28, 28), each the farthest from those before it."""
    # Blurred, so that moving a stroke a little does not make another character.
    blurred = functional.avg_pool2d(sketches[:, None] / 255, 4).flatten(1)
    distances = torch.cdist(blurred, blurred)
    chosen, nearest = [0], distances[0]
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, distances[chosen[-1]])
    return torch.tensor(chosen)


def _draw(alphabet: Characters, drawers: int, source: torch.Generator) -> Tensor:
    """Let so many drawers draw every character: uint8 (characters, drawers, 28, 28)."""
    points = _drawings(alphabet, drawers, source)
    present = alphabet.present[:, None, :].expand(points.shape[:3])
    images = _render(points.flatten(0, 1), present.flatten(0, 1), source)
    return images.view(-1, drawers, SIZE, SIZE)


def _characters(source: torch.Generator, count: int) -> Characters:
    """Invent an alphabet: its pool of movements, and characters that join some of them."""
    pool = _pool(source)
    shape = (count, _STROKES)
    movements = pool.pick(torch.randint(_POOL, shape, generator=source))
    own = torch.full((1, 1), 1.5)  # characters vary the pool more than drawers vary a character
    movements = movements.perturbed(source, own, shape)
    weights = torch.tensor([0.1, 0.9, 1.0, 0.6]) * torch.rand(_STROKES, generator=source).exp().square()
    strokes = torch.multinomial(weights, count, replacement=True, generator=source) + 1
    places = torch.arange(_STROKES)
    onto = (torch.rand(shape, generator=source) * places).long()  # an earlier stroke; the first has none
    return Characters(
        movements=movements,
        present=places < strokes[:, None],
        onto=onto,
        share=torch.randint(0, 5, shape, generator=source) / 4,
        own_share=torch.randint(0, 3, shape, generator=source)
        / 2
        * (torch.rand(shape, generator=source) < 0.7),
    )


def _pool(source: torch.Generator) -> Movements:
    """Draw an alphabet's pen movements: angular or round, swaying or plain, upright or slanted."""
    roundness, sway, edges, slant = torch.rand(4, generator=source)
    directions = 4 * int(torch.randint(1, 4, (1,), generator=source))
    heading = torch.randint(directions, (_POOL,), generator=source) * (2 * math.pi / directions)
    sign = torch.randint(0, 2, (3, _POOL), generator=source) * 2 - 1
    often = torch.stack([0.2 + 0.7 * edges, 0.2 + 0.7 * roundness])[:, None]
    bent, turned = torch.rand(2, _POOL, generator=source) < often
    return Movements(
        length=0.6 + 0.8 * torch.rand(_POOL, generator=source),
        heading=heading + 0.3 * (slant - 0.5),
        turn=turned * sign[0] * (1.2 + 4.2 * torch.rand(_POOL, generator=source)),
        wave=sign[1] * 0.9 * sway * torch.rand(_POOL, generator=source),
        corner=bent * sign[2] * (1.2 + 1.2 * torch.rand(_POOL, generator=source)),
        place=0.25 + 0.5 * torch.rand(_POOL, generator=source),
    )


def _drawings(alphabet: Characters, drawers: int, source: torch.Generator) -> Tensor:
    """Move the drawers' pens: points in pixels (characters, drawers, strokes, points, 2)."""
    shape = (len(alphabet.present), drawers, _STROKES)
    care = 0.5 + 0.9 * torch.rand(1, drawers, 1, generator=source)
    strokes = alphabet.movements.pick(torch.arange(shape[0])[:, None]).perturbed(source, care, shape).path()
    joined = _join(strokes, alphabet, 0.05 * care * torch.randn(shape, generator=source))
    return _place(_slant(joined, source), alphabet.present, source)


def _join(strokes: Tensor, alphabet: Characters, miss: Tensor) -> Tensor:
    """Move each stroke so that it touches the one it is joined to, missing by miss (same batch shape)."""
    joined = [strokes[:, :, 0]]  # each (characters, drawers, points, 2)
    last = _POINTS - 1
    drawing = torch.arange(len(strokes))
    for number in range(1, _STROKES):
        earlier = torch.stack(joined, dim=2)[drawing, :, alphabet.onto[:, number]]
        target = earlier[drawing, :, (alphabet.share[:, number] * last).long()]  # (characters, drawers, 2)
        own = strokes[drawing, :, number, (alphabet.own_share[:, number] * last).long()]
        offset = target - own + miss[:, :, number, None]
        joined.append(strokes[:, :, number] + offset[:, :, None])
    return torch.stack(joined, dim=2)


def _slant(points: Tensor, source: torch.Generator) -> Tensor:
    """Give each drawer a slant, a tilt and a proportion of their own."""
    slant, tilt, proportion = torch.randn(3, points.shape[1], generator=source) * torch.tensor(
        [[0.15], [0.07], [0.10]]
    )
    cos, sin, wide = torch.cos(tilt), torch.sin(tilt), torch.exp(proportion)
    top = torch.stack([wide * cos, slant * cos - sin / wide], dim=1)
    bottom = torch.stack([wide * sin, slant * sin + cos / wide], dim=1)
    matrices = torch.stack([top, bottom], dim=1)  # (drawers, 2, 2)
    return torch.einsum("dij,cdspj->cdspi", matrices, points)


def _place(points: Tensor, present: Tensor, source: torch.Generator) -> Tensor:
    """Fit each drawing into the image: 12 to 24 pixels large, near the middle."""
    shown = present[:, None, :, None, None]
    low = points.masked_fill(~shown, math.inf).amin(dim=(2, 3), keepdim=True)
    high = points.masked_fill(~shown, -math.inf).amax(dim=(2, 3), keepdim=True)
    count, drawers = points.shape[:2]
    size = 16 + 5 * torch.rand(count, 1, 1, 1, 1, generator=source)
    size = size + 1.5 * torch.randn(1, drawers, 1, 1, 1, generator=source)
    size = (size + torch.randn(count, drawers, 1, 1, 1, generator=source)).clamp(12, 24)
    extent = (high - low).amax(dim=4, keepdim=True)
    centre = SIZE / 2 - 0.5 + 1.2 * torch.randn(count, drawers, 1, 1, 2, generator=source).clamp(-2, 2)
    return (points - (low + high) / 2) * (size / extent) + centre


def _render(points: Tensor, present: Tensor, source: torch.Generator) -> Tensor:
    """Ink the present strokes of points (images, strokes, points, 2): uint8 (images, 28, 28).

    The pen is a Gaussian, so each point's ink is a column times a row, and a stroke one matrix product.
    """
    width = 0.52 + 0.12 * torch.rand(len(points), 1, 1, generator=source)  # pixels, standard deviation
    image = present.nonzero()[:, 0]  # (strokes,): the image each stroke belongs to
    strokes, width = points[present], width[image]  # (strokes, points, 2), (strokes, 1, 1)
    steps = strokes.diff(dim=1)
    dots = strokes[:, 1:] - steps / 2
    grid = torch.arange(SIZE)
    across = torch.exp(-(((grid - dots[..., :1]) / width) ** 2) / 2)  # (strokes, dots, 28)
    down = torch.exp(-(((grid - dots[..., 1:]) / width) ** 2) / 2) * steps.norm(dim=2, keepdim=True)
    ink = down.transpose(1, 2) @ across / (width * math.sqrt(2 * math.pi))
    images = torch.zeros(len(points), SIZE, SIZE).index_add_(0, image, ink)
    return (images * _PEN_GAIN).clamp(0, 1).mul(255).round().to(torch.uint8)
