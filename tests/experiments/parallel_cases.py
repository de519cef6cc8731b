"""Pre-training on several processes of this machine, which find each other by a file.

Not here: any test. The processes are started afresh, so what they do is in a module.
"""

import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.checkpoint import load_checkpoint
from experiments.config import EpisodeEvaluation, GlyphsData, ImageRun, PretrainConfig
from experiments.errors import ExperimentError
from experiments.events import Finished, Stopped
from experiments.method import Resources, build
from experiments.parallel import OVER, follow
from experiments.run import run
from experiments.team import Team, joined
from tests.conftest import GLYPH_ALPHABETS, GLYPH_CHARACTERS

CPU = torch.device("cpu")
SMALL = {
    "steps": 6,
    "log_every": 2,
    "validate_every": 4,
    "validate_episodes": 2,
    "filters": 8,
    "train_n_way": 5,
    "train_images": 3,
    "batch_size": 15,
}


def pretraining(**options: Any) -> ImageRun:
    """A pre-training of some steps of 15 images."""
    return ImageRun(
        experiment="glyphs",
        data=GlyphsData(alphabets=GLYPH_ALPHABETS, characters=GLYPH_CHARACTERS),
        method=PretrainConfig.model_validate(SMALL | options),
        evaluation=EpisodeEvaluation(n_way=5, k_shot=1, n_query=2, episodes=4, split="val"),
    )


@dataclass
class Kept:
    """A sink that keeps everything, and what came of the run."""

    points: dict[str, dict[int, float]] = field(default_factory=dict)
    outcome: Finished | Stopped | None = None

    def started(self, step: int) -> None:
        """Take nothing back."""

    def metrics(self, steps: Sequence[int], values: Mapping[str, Sequence[float]]) -> None:
        """Keep each point."""
        for name, numbers in values.items():
            self.points.setdefault(name, {}).update(zip(steps, numbers, strict=True))

    def checkpoint(self, step: int, path: Path) -> None:
        """Leave the file."""


def carried_out(
    config: ImageRun, data_dir: Path, folder: Path, team: Team | None = None, chunks: int = 1000
) -> Kept:
    """Run a config for at most so many chunks, going on from the newest checkpoint of the folder."""
    kept = Kept()
    found = sorted(folder.glob("*.safetensors"), reverse=True)
    left = iter(range(chunks))
    kept.outcome = run(
        config,
        Resources(data_dir, CPU, team=team),
        kept,
        lambda step: folder / f"{step:04}.safetensors",
        resume_from=found,
        should_stop=lambda: next(left, None) is None,
    )
    return kept


def state(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of the newest checkpoint, by their places."""
    path = max(folder.glob("*.safetensors"))
    return dict(_tensors(load_checkpoint(path)[1], ""))


def _tensors(value: Any, place: str) -> list[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        return [(place, value)]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in pairs for found in _tensors(item, f"{place}.{key}")]


@dataclass(frozen=True)
class Work:
    """What is to be carried out in a folder, for at most so many chunks."""

    config: ImageRun
    folder: Path
    chunks: int = 1000


def _be_one(
    rank: int, size: int, dtype: torch.dtype, works: Sequence[Work], data_dir: Path, meeting: Path, kept: Any
) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(dtype)
    with joined(rank, size, CPU, meeting) as team:
        for work in works:
            if team.leads:
                kept.put(_outcome(work, data_dir, team))
                team.tell(OVER)
            else:
                follow(partial(build, work.config, Resources(data_dir, CPU, team=team)), team)


def _outcome(work: Work, data_dir: Path, team: Team) -> Kept | str:
    try:
        return carried_out(work.config, data_dir, work.folder, team, work.chunks)
    except ExperimentError as error:
        return str(error)


def by_several(size: int, data_dir: Path, *works: Work) -> list[Kept | str]:
    """Do what `carried_out` does, by so many processes, or return its error; digits are as many as here."""
    context = multiprocessing.get_context("spawn")
    kept: Any = context.Queue()
    what = (size, torch.get_default_dtype(), works, data_dir, works[0].folder.parent / "meeting", kept)
    processes = [context.Process(target=_be_one, args=(rank, *what)) for rank in range(size)]
    for process in processes:
        process.start()
    results: list[Kept | str] = [kept.get(timeout=240) for _ in works]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    return results
