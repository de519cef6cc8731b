"""One candidate of benchmarks/episodes.py, in its own process: our way to draw and learn, or a peer's.

Not here: how the peers do it (episode_peers.py), and the comparison. Needs torch and the candidate's library.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import json
import logging
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from itertools import count
from typing import Any

import torch
from torch import Tensor

from benchmarks.episode_peers import (
    INNER_STEPS,
    MAML_WAYS,
    META_BATCH,
    N_QUERY,
    PROTONET_WAYS,
    Act,
    Make,
    easyfsl_loading,
    easyfsl_protonet,
    higher_maml,
    learn2learn_loading,
    learn2learn_maml,
    learn2learn_protonet,
    learn2learn_workers,
)


def _our_config(method: dict[str, Any], evaluation: dict[str, Any]) -> Any:
    from experiments.config import parse_config

    return parse_config(
        {"experiment": "glyphs", "data": {"kind": "glyphs"}, "method": method, "evaluation": evaluation}
    )


def _our_table(images: Tensor) -> Any:
    from experiments.data.images import ImageTable, split_classes

    return ImageTable(images, {"train": split_classes(range(len(images)), rotations=False)})


def our_protonet(images: Tensor, _: Path) -> Act:
    """Return our training step, one episode each."""
    from experiments.methods.protonet import ProtoNet

    method = {"name": "protonet", "train_n_way": PROTONET_WAYS, "train_n_query": N_QUERY}
    learner = ProtoNet(_our_config(method, {}), _our_table(images), torch.device("cpu"))
    return _stepping(learner.train, 1)


def our_maml(images: Tensor, _: Path) -> Act:
    """Return our outer step, a batch of tasks each."""
    from experiments.methods.maml import Maml

    method = {"name": "maml", "inner_steps": INNER_STEPS, "episodes_per_step": META_BATCH}
    learner = Maml(_our_config(method, {"n_way": MAML_WAYS}), _our_table(images), torch.device("cpu"))
    return _stepping(learner.train, META_BATCH)


def _stepping(train: Callable[[int, int], object], episodes: int) -> Act:
    steps = count()

    def act() -> int:
        train(next(steps), 1)
        return episodes

    return act


def our_loading(images: Tensor, _: Path) -> Act:
    """Return one episode's images, as a training step asks for them."""
    from experiments.config import Jitter
    from experiments.data.batches import EpisodeImages
    from experiments.data.episodes import EpisodeSampler

    sampler = EpisodeSampler(_our_table(images), PROTONET_WAYS, 1, N_QUERY, ("benchmark",))
    episodes, steps = EpisodeImages(sampler, "train", Jitter(), 0), count()

    def act() -> int:
        episodes(next(steps))
        return 1

    return act


CANDIDATES: dict[str, dict[str, tuple[str, Make]]] = {
    "protonet": {
        "fsrun": ("", our_protonet),
        "easyfsl": ("easyfsl", easyfsl_protonet),
        "learn2learn": ("learn2learn", learn2learn_protonet),
    },
    "maml": {
        "fsrun": ("", our_maml),
        "learn2learn": ("learn2learn", learn2learn_maml),
        "higher": ("higher", higher_maml),
    },
    "loading": {
        "fsrun": ("", our_loading),
        "easyfsl, memory": ("easyfsl", easyfsl_loading(0)),
        "easyfsl, memory, 2 workers": ("easyfsl", easyfsl_loading(2)),
        "easyfsl, files": ("easyfsl", easyfsl_loading(0, files=True)),
        "learn2learn, memory": ("learn2learn", learn2learn_loading()),
        "learn2learn, memory, 2 workers": ("learn2learn", learn2learn_workers),
        "learn2learn, files": ("learn2learn", learn2learn_loading(files=True)),
    },
}
"""Task -> candidate -> the package it needs besides torch, and what makes it."""


def measure(task: str, name: str, folder: Path, seconds: float) -> dict[str, Any]:
    """Return a candidate's episodes a second of wall time and of processor time, and its version."""
    package, make = CANDIDATES[task][name]
    act = make(torch.load(folder / "images.pt"), folder)
    for _ in range(2):
        act()
    clock, processor = time.perf_counter(), time.process_time()
    episodes = 0
    while time.perf_counter() - clock < seconds or episodes < 1:
        episodes += act()
    return {
        "rate": episodes / (time.perf_counter() - clock),
        "processor_ms": 1e3 * (time.process_time() - processor) / episodes,
        "version": version(package) if package else "",
    }


def main() -> None:
    """Measure the candidate that the command names, and print JSON."""
    task, name, folder, seconds, threads = sys.argv[1:]
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(int(threads))
    print(json.dumps(measure(task, name, Path(folder), float(seconds))))


if __name__ == "__main__":
    main()
