"""Weights of backbones from files that nobody has to trust: read without running any of it, and compared.

Not here: which backbone they are for (backbones.py), and checkpoints of runs (checkpoint.py).
"""

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from experiments.errors import DataError

State = dict[str, Tensor]
_WRAPPINGS = ("state_dict", "model", "model_state_dict", "state_dict_ema")
_NAMED = 3  # of the names that differ


def read_weights(path: Path) -> State:
    """Return the tensors of a .safetensors file, or of a .pth file that holds nothing but tensors.

    Raises DataError where it cannot be read, or would have to run code.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        raise DataError(
            f"{path} is not weights that can be read safely: name a .safetensors or .pth"
        ) from error
    for name in _WRAPPINGS:
        if isinstance(raw, dict) and isinstance(raw.get(name), dict):
            raw = raw[name]
    if not isinstance(raw, dict) or not raw or not all(isinstance(each, Tensor) for each in raw.values()):
        raise DataError(f"{path} holds no named tensors: save the model's state_dict")
    return {str(name).removeprefix("module."): tensor for name, tensor in raw.items()}


def load_weights(module: nn.Module, state: Mapping[str, Tensor], path: Path | str, name: str) -> None:
    """Give a module its weights; DataError naming what differs where they are others, or not all.

    How many batches a normalisation has counted may be missing: it changes nothing.
    """
    wanted = module.state_dict()
    needed = {each for each in wanted if not each.endswith("num_batches_tracked")}
    wrong = {
        "missing": sorted(needed - state.keys()),
        "unknown": sorted(state.keys() - wanted.keys()),
        "of another shape": sorted(
            each for each in state.keys() & wanted.keys() if state[each].shape != wanted[each].shape
        ),
    }
    found = [f"{len(names)} {kind} ({_few(names)})" for kind, names in wrong.items() if names]
    if found:
        raise DataError(f"{path} are not the weights of {name}: {', '.join(found)}")
    module.load_state_dict(dict(state), strict=False)


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's weights so that read_weights gives them back, whole or not at all."""
    partial = path.with_suffix(".partial")
    torch.save(module.state_dict(), partial)
    partial.replace(path)


def _few(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def digest_of(module: nn.Module) -> str:
    """Return 16 hex digits that name the weights of a module."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
