"""Images a second through a backbone: as `data embed` does it, by a DataLoader, and the network alone.

Not here: what the features are worth (results/).
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.machine import describe, scratch, table
from experiments.data.class_folders import ImageFile, find_classes
from experiments.features.backbones import Backbone, open_backbone
from experiments.features.embedding import Embedder, keep_freed_memory

GOAL = 90  # percent of the network alone
CLASSES = 4


@dataclass(frozen=True)
class Speed:
    """Of one pass over the images, workers included: seconds on the clock, and seconds of processor time."""

    seconds: float
    processor: float


def photographs(root: Path, images: int, size: tuple[int, int]) -> Path:
    """Write JPEG files of ImageNet's usual size: smooth colours with some noise, about 50 KB each."""
    source = np.random.default_rng(0)
    for number in range(images):
        folder = root / f"class-{number % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(source.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
        noise = source.normal(0, 6, smooth.shape).astype(np.int16)
        Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8)).save(
            folder / f"{number:06}.JPEG", quality=90
        )
    return root


def files_of(root: Path) -> list[ImageFile]:
    """Return all image files of a folder of classes."""
    return [image for place in find_classes(root).places for image in place.images()]


def timed(act: Callable[[], object]) -> Speed:
    """Return what an act takes, child processes that have ended by then included."""
    before, began = _processor(), perf_counter()
    act()
    return Speed(perf_counter() - began, _processor() - before)


def _processor() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def network_alone(embedder: Embedder, images: int) -> None:
    """Run the network over random pixels that are in memory already."""
    size = embedder.backbone.preprocessing.size
    source = np.random.default_rng(0)
    pixels = source.integers(0, 256, (embedder.batch, size, size, 3), dtype=np.uint8)
    for start in range(0, images, embedder.batch):
        embedder.features(pixels[: images - start])


def pipeline(embedder: Embedder, files: list[ImageFile]) -> None:
    """Run fsrun's own pipeline."""
    for _ in embedder.embedded(files):
        pass


def loader_loop(backbone: Backbone, root: Path, batch: int, workers: int) -> None:
    """Run what everybody writes: ImageFolder, the usual transforms, a DataLoader, and the network."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    shown = backbone.preprocessing
    steps: list[Any] = [
        transforms.Resize(shown.resize, transforms.InterpolationMode(shown.interpolation)),
        transforms.CenterCrop(shown.size),
        transforms.ToTensor(),
        transforms.Normalize(shown.mean, shown.std),
    ]
    images = datasets.ImageFolder(str(root), transforms.Compose(steps))
    loader: DataLoader[Any] = DataLoader(images, batch, num_workers=workers)
    with torch.inference_mode():
        for pixels, _ in loader:
            backbone.module(pixels.contiguous(memory_format=torch.channels_last)).half().numpy()


def measure(root: Path, name: str, *, batch: int, threads: int, repeats: int) -> dict[str, list[Speed]]:
    """Return the speeds of each way, taken in turn so that what else the machine does falls on all."""
    import torch

    keep_freed_memory()
    backbone = open_backbone(name)
    embedder = Embedder(backbone, torch.device("cpu"), batch=batch, threads=threads)
    files = files_of(root)
    ways: dict[str, Callable[[], object]] = {
        "network alone, random pixels": lambda: network_alone(embedder, len(files)),
        "fsrun data embed": lambda: pipeline(embedder, files),
        "ImageFolder and DataLoader": lambda: loader_loop(backbone, root, batch, threads),
    }
    network_alone(embedder, batch)
    speeds: dict[str, list[Speed]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, act in ways.items():
            speeds[way].append(timed(act))
    return speeds


def report(speeds: dict[str, list[Speed]], images: int) -> None:
    """Print images a second, and their share of the network alone: by the clock, and by processor time."""
    limit = next(iter(speeds.values()))
    rows = []
    for way, taken in speeds.items():
        seconds, processor = (
            median(getattr(each, what) for each in taken) for what in ("seconds", "processor")
        )
        by_clock = median(one.seconds / each.seconds for one, each in zip(limit, taken, strict=True))
        by_work = median(one.processor / each.processor for one, each in zip(limit, taken, strict=True))
        rows.append(
            [
                way,
                f"{images / seconds:.1f}",
                f"{1e3 * processor / images:.1f}",
                f"{by_clock:.0%}",
                f"{by_work:.0%}",
            ]
        )
    table(["", "images/s", "processor ms/image", "of the limit", "by processor time"], rows)
    print(f"  goal for fsrun data embed: {GOAL} % of the network alone")


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=256, help="photographs of 500x375 to make")
    parser.add_argument("--folder", type=Path, help="class folders of images to use instead")
    parser.add_argument("--backbone", default="efficientnet-lite0", help="as for fsrun data embed")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="that decode")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    with scratch() as folder:
        root = asked.folder or photographs(folder / "images", asked.images, (500, 375))
        images = len(files_of(root))
        describe(f"Embedding {images:,} images by {asked.backbone}, batches of {asked.batch}")
        speeds = measure(
            root, asked.backbone, batch=asked.batch, threads=asked.threads, repeats=asked.repeats
        )
        report(speeds, images)


if __name__ == "__main__":
    main()
