"""From the words of `data embed` to an embedding, the same in every process that shares it.

Not here: the command itself (embedding.py), and who starts several processes (embedding_processes.py).
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.machine import expanded
from fsrun.errors import UsageError

if TYPE_CHECKING:
    from experiments.data.class_folders import ImageListing
    from experiments.features.backbones import Backbone
    from experiments.features.embedding import Report
    from experiments.features.index import FeatureIndex
    from experiments.features.shards import Embedding

FOLDER, RUN = "folder:", "run:"


@dataclass(frozen=True)
class Asked:
    """The words of the command, plain values that another process can be given."""

    source: str
    backbone: str
    weights: str | None
    tail: str | None
    name: str | None
    seen: str | None
    splits: str | None
    split_seed: int
    per_class: int | None
    batch: int
    threads: int | None
    mixed: bool
    device: str

    def text(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> "Asked":
        """Return what a text says."""
        return cls(**json.loads(text))


def planned(asked: Asked) -> "Embedding":
    """Return the embedding that is asked for. Raises UsageError, DataError, ConfigError."""
    from experiments.features.backbones import cut_backbone
    from experiments.features.novelty import novel_splits
    from experiments.features.shards import Embedding
    from fsrun.paths import find_home

    data_dir = find_home().data
    name = _checked_name(asked.name or _default_name(asked.source))
    listing = _listing(asked.source, data_dir)
    _refuse_taken(name, data_dir)
    weights = Path(asked.weights) if asked.weights else None
    network = _backbone(asked.backbone, weights, asked.seen)
    if asked.tail is not None:
        network = cut_backbone(network, asked.tail)
    splits = Path(asked.splits) if asked.splits else None
    parts = novel_splits(listing.names, network.seen, splits=splits, seed=asked.split_seed)
    precision = "mixed" if asked.mixed else "float32"
    return Embedding(data_dir, name, listing, parts, network, asked.per_class, precision)


def embed_here(
    asked: Asked, embedding: "Embedding", report: "Report", rank: int = 0, processes: int = 1
) -> "FeatureIndex":
    """Compute what is missing, in this process, which may be one of several: a GPU each, or some cores."""
    from experiments.features.embedding import Embedder, embed_images
    from fsrun.worker.devices import device_of, resolve_device, share_cores

    device, threads = resolve_device(asked.device), asked.threads
    if processes > 1:
        cores = share_cores(processes)
        device, threads = device_of(rank, device), threads or cores
    embedder = Embedder(
        embedding.backbone,
        device,
        batch=asked.batch,
        precision="mixed" if asked.mixed else "float32",
        threads=threads,
    )
    return embed_images(embedding, embedder, report)


def _checked_name(name: str) -> str:
    """Return a name that a run can be asked for with; UsageError where it is none."""
    from experiments.config.features import FEATURE_NAME

    if not re.match(FEATURE_NAME, name):
        raise UsageError(f"--name {name!r} is not a name for features: use letters, digits, dots, - and _")
    return name


def _refuse_taken(name: str, data_dir: Path) -> None:
    """Raise DataError or UsageError for a name that other data have; features are queued by their name."""
    from experiments.data.own_images import check_name, own_names

    if name != "imagenet":
        check_name(name)
    if name in own_names(data_dir):
        raise UsageError(f"--name {name}: images are imported under this name: choose another")


def _default_name(source: str) -> str:
    return Path(source.removeprefix(FOLDER)).resolve().name if source.startswith(FOLDER) else source


def _listing(source: str, data_dir: Path) -> "ImageListing":
    from experiments.data.class_folders import find_classes
    from experiments.features.imagenet import read_listing

    if source.startswith(FOLDER):
        return find_classes(expanded(source.removeprefix(FOLDER)))
    if source != "imagenet":
        raise UsageError(f"{source!r} is not a source of images: use imagenet, or folder:PATH")
    return read_listing(data_dir)


def _backbone(name: str, weights: Path | None, seen: str | None) -> "Backbone":
    from experiments.features.backbones import backbone_of_run, open_backbone

    if not name.startswith(RUN):
        return open_backbone(name, weights, seen)
    from fsrun.cli.options import open_database
    from fsrun.models import model_of_run

    number = name.removeprefix(RUN)
    if not number.isdecimal() or weights or seen:
        raise UsageError(
            f"--backbone {name}: write run:N, and leave out --weights and --seen: the run has them"
        )
    model = model_of_run(open_database(), int(number))
    return backbone_of_run(model.config, model.weights, model.name)
