"""Random numbers addressed by a key: the same key gives the same numbers, whatever came before.

No global seed is read or set anywhere.
"""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Key = str | int | bool


def seed_of(*key: Key) -> int:
    """Return a 63-bit seed that depends on every part of the key, the same on every machine."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in key)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(*key: Key, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """Return a fresh random source for a key such as (seed, "train", step)."""
    import torch  # what only wants a seed need not wait for it

    return torch.Generator(device=device).manual_seed(seed_of(*key))
