"""Runs of a few seconds each, of every kind there is.

Not here: what is done to them.
"""

from collections.abc import Sequence
from typing import Any

from experiments.sweeps import Sweep, plan
from fsrun.planning import requests
from store.runs import RunRequest

Settings = dict[str, Sequence[Any]]
_EPISODES: Settings = {"n_way": [5], "episodes": [40]}
_OFTEN: Settings = {"log_every": [2], "validate_every": [20], "validate_episodes": [4]}
_PRETRAIN: Settings = {
    "pretrain.steps": [60],
    "pretrain.filters": [8],
    "pretrain.log_every": [2],
    "pretrain.validate_every": [0],
}
_METHODS: dict[str, tuple[int, int, Settings]] = {  # name -> steps, seeds, settings
    "protonet": (120, 2, _EPISODES | _OFTEN | {"filters": [8], "train_n_way": [5]}),
    "fastslow": (60, 2, _EPISODES | _OFTEN | _PRETRAIN | {"inner_steps": [2]}),
    "pixel-knn": (0, 1, _EPISODES),
}


def small_jobs(images: str, *, size: int = 1) -> list[RunRequest]:
    """Return runs of a few seconds each: the linear case study, and methods on `images`."""
    linear: Settings = {"steps": [6000 * size], "log_every": [20], "episodes": [50], "sampler": ["direct"]}
    planned = plan(Sweep("synthetic", ("linear",), "quick", seeds=4, settings=linear))
    small = {"alphabets": [10], "characters": [12]} if images == "glyphs" else {}
    for method, (steps, seeds, settings) in _METHODS.items():
        chosen = {**settings, **small, f"{method}.steps": [steps * size]}
        planned += plan(Sweep(images, (method,), "quick", seeds=seeds, settings=chosen))
    return requests(planned)
