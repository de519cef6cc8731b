"""Small folders of classes, and a small backbone: what tests of features begin with.

Not here: any test.
"""

import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from experiments.data.class_folders import find_classes
from experiments.features.backbone_weights import digest_of
from experiments.features.backbones import Backbone
from experiments.features.preprocessing import Preprocessing
from experiments.features.seen import Seen
from experiments.features.shards import Embedding

DIMENSION = 6


def jpeg(number: int, size: tuple[int, int] = (20, 16), mode: str = "RGB") -> bytes:
    """An image that no other number has."""
    noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = BytesIO()
    Image.fromarray(noise).convert(mode).save(stream, "JPEG")
    return stream.getvalue()


def write_classes(root: Path, sizes: Mapping[str, int]) -> Path:
    """A folder of class folders, with so many images in each."""
    for number, (name, images) in enumerate(sizes.items()):
        folder = root / name
        folder.mkdir(parents=True)
        for image in range(images):
            (folder / f"{name}_{image:03}.JPEG").write_bytes(jpeg(1000 * number + image))
    return root


def write_tars(root: Path, folders: Path, ending: str = ".tar") -> Path:
    """The same classes as tar files, as ImageNet is given out."""
    root.mkdir(parents=True)
    for folder in sorted(folders.iterdir()):
        packed = ending.lower().endswith("gz")
        with tarfile.open(root / f"{folder.name}{ending}", "w:gz" if packed else "w") as archive:
            for image in sorted(folder.iterdir()):
                archive.add(image, image.name)
    return root


def leave_litter(folder: Path) -> int:
    """What desktops and file servers leave in a folder of images; how many entries there are."""
    (folder / "__MACOSX").mkdir(parents=True)
    (folder / "@eaDir").mkdir()
    (folder / "@eaDir" / "thumbnail.jpg").write_bytes(jpeg(1))
    for name in (".DS_Store", "._picture.jpg", "Thumbs.db", "desktop.ini", "Desktop.ini"):
        (folder / name).write_bytes(b"\0")
    return 7


def small_backbone(seen: frozenset[str] = frozenset(), seed: int = 0) -> Backbone:
    """One convolution, pooled."""
    convolution = nn.Conv2d(3, DIMENSION, 3)
    with torch.no_grad():
        source = torch.Generator().manual_seed(seed)
        for parameter in convolution.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=source))
    module = nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    shown = Preprocessing(8, 10, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return Backbone(
        "small", module, DIMENSION, shown, Seen(seen, "a list"), "the tests", digest_of(module), "none"
    )


def embedding_of(
    root: Path,
    data_dir: Path,
    splits: Mapping[str, str],
    backbone: Backbone | None = None,
    name: str = "small",
) -> Embedding:
    """An embedding that nobody has begun."""
    return Embedding(data_dir, name, find_classes(root), splits, backbone or small_backbone())
