"""A trained method put to use: it meets a task of any images, and says what others show.

Not here: reading images from files (data/folder.py), and measuring accuracy (evaluate.py).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from experiments.config import ImageRun, ImageShape, RunConfig, config_hash, prerequisites
from experiments.errors import ConfigError, DataError
from experiments.evaluate import EMBED_BATCH, Recogniser
from experiments.method import Resources, build

_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class TrainedModel:
    """A trained method, and how many classes it can tell apart: None for any number."""

    method: Recogniser
    most_ways: int | None


def load_model(
    config: RunConfig, checkpoint: Path, device: torch.device, data_dir: Path | None = None
) -> TrainedModel:
    """Return the trained method whose final checkpoint this is; needs no other runs.

    data_dir is only read for a method that looks at its training images again. Raises ConfigError for a
    method that classifies no images, DataError where training images are needed and missing, CheckpointError
    for a damaged checkpoint.
    """
    method: object = None
    if isinstance(config, ImageRun):
        measuring = config.model_copy(update={"trained_by": config.trained_by or config.evaluation})
        parents = {config_hash(need): checkpoint for need in prerequisites(measuring)}
        images = _training_images(config, data_dir) if config.method.needs_training_images else None
        method = build(measuring, Resources(images, device, parents))
    if not isinstance(config, ImageRun) or not isinstance(method, Recogniser):
        raise _no_images(config)
    return TrainedModel(method, config.method.most_ways(config.evaluation.n_way))


def _training_images(config: ImageRun, data_dir: Path | None) -> Path:
    if data_dir is None:
        raise DataError(
            f"this {config.method.name} model makes examples up from its training images: "
            f"name the folder with the data of {config.experiment}"
        )
    return data_dir


def _no_images(config: RunConfig) -> ConfigError:
    return ConfigError(f"{config.method.name} does not classify images: name a run of another method")


def image_shape(config: RunConfig) -> ImageShape:
    """Return the shape of the images a model was trained on. Raises ConfigError for one of no images."""
    if not isinstance(config, ImageRun):
        raise _no_images(config)
    return config.data.image_shape


def probabilities(model: TrainedModel, support: Tensor, labels: Tensor, images: Tensor) -> Tensor:
    """Return the probability (images, n_way) of each class for images (images, *image).

    support (examples, *image), labels int64 (examples,), sorted, every class at least once. Outputs of the
    method beyond these classes are left out. Raises DataError for more classes than the method has outputs,
    and where so many classes and images do not fit into memory.
    """
    n_way = int(labels[-1]) + 1
    if model.most_ways is not None and n_way > model.most_ways:
        raise DataError(
            f"this model was trained to tell {model.most_ways} classes apart and there are {n_way}: "
            f"use {model.most_ways} classes or fewer"
        )
    examples, questions = (_embedded(model.method, each) for each in (support, images))
    _check_memory(n_way, examples, questions)
    with torch.no_grad():
        logits = model.method.logits(examples[None], labels.to(examples.device), questions[None])
    return logits[0, :, :n_way].softmax(-1).cpu()


def _embedded(method: Recogniser, images: Tensor) -> Tensor:
    return torch.cat([method.embed(batch) for batch in images.split(EMBED_BATCH)])


def _check_memory(n_way: int, examples: Tensor, questions: Tensor) -> None:
    """Refuse what cannot fit: logits with a copy of both, and some hundred numbers per weight of a head."""
    needed = 12 * n_way * (len(examples) + len(questions)) + 4 * 300 * n_way * examples.shape[1]
    free = _free_memory(examples.device)
    if free is not None and needed > free:
        raise DataError(
            f"{n_way:,} classes need about {needed / 2**30:.1f} GB and {free / 2**30:.1f} GB are free: "
            "use fewer classes"
        )


def _free_memory(device: torch.device) -> int | None:
    """Return the bytes that can be had, None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = _MEMORY.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)
