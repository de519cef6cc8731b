"""What a backbone wants to be shown: an image's size, how it gets there, and the numbers of its pixels.

Not here: decoding (data/decoding.py), and the backbones (backbones.py).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

_FILTERS = {"bilinear": "BILINEAR", "bicubic": "BICUBIC", "lanczos": "LANCZOS", "nearest": "NEAREST"}


@dataclass(frozen=True)
class Preprocessing:
    """Scale the shorter side to `resize`, cut `size` x `size` from the middle, then (x / 255 - mean) / std.

    squash: scale both sides to `size` instead, whatever the proportions.
    """

    size: int
    resize: int
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    squash: bool = False

    def pixels(self, image: "Image") -> "np.ndarray[Any, Any]":
        """Return a colour image as uint8 (size, size, 3), as torchvision's Resize and CenterCrop would."""
        import numpy as np
        from PIL import Image as Pillow

        chosen = Pillow.Resampling[_FILTERS.get(self.interpolation, "BILINEAR")]
        if self.squash:
            shown = image if image.size == (self.size,) * 2 else image.resize((self.size,) * 2, chosen)
            return np.asarray(shown)
        wide, high = self._scaled(*image.size)
        if (wide, high) != image.size:
            image = image.resize((wide, high), chosen)
        left, top = round((wide - self.size) / 2), round((high - self.size) / 2)
        return np.asarray(image.crop((left, top, left + self.size, top + self.size)))

    def _scaled(self, wide: int, high: int) -> tuple[int, int]:
        if wide <= high:
            return self.resize, int(self.resize * high / wide)
        return int(self.resize * wide / high), self.resize

    def normalised(self, pixels: Tensor, device: torch.device) -> Tensor:
        """Return uint8 pixels (batch, size, size, 3) as float32 (batch, 3, size, size)."""
        mean = torch.tensor(self.mean, device=device)
        std = torch.tensor(self.std, device=device)
        shown = (pixels.to(device, non_blocking=True) / 255 - mean) / std
        return shown.permute(0, 3, 1, 2)  # channels last in memory
