"""Training episodes a second, and drawing and loading one: ours beside learn2learn, higher and easyfsl.

Not here: how each of them does it (episode_candidates.py, episode_peers.py); test episodes (evaluation.py).
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.machine import describe, scratch, table
from fsrun.worker.process import RUNNER_ENVIRONMENT

OURS = "fsrun"
TITLES = {
    "protonet": "Prototypical net, 20-way 1-shot, 5 queries, conv4-64: training episodes a second",
    "maml": "MAML, 5-way 1-shot, second order, 5 steps, 16 tasks a step: training episodes a second",
    "loading": "Drawing and loading a 20-way 1-shot episode with 5 queries: episodes a second",
}
GOALS = {"protonet": 1.5, "maml": 1.5, "loading": 4.0}
FILES_GOAL = 100.0  # times the documented default, which reads files
CLASSES = 100


@dataclass(frozen=True)
class Found:
    """What the trials of one candidate measured, or why there are none."""

    rates: tuple[float, ...] = ()
    processor_ms: tuple[float, ...] = ()
    version: str = ""
    missing: str = ""


def save_images(data: Path | None, folder: Path, classes: int = CLASSES) -> None:
    """Write images of training classes, as one tensor and as files of 105x105 pixels, for all candidates."""
    import torch
    from PIL import Image

    from experiments.config import GlyphsData, OmniglotData
    from experiments.datasets import open_table

    images = open_table(OmniglotData() if data else GlyphsData(), data or folder)
    drawn = images.pixels("train", torch.arange(classes * images.drawers)).view(
        classes, images.drawers, 28, 28
    )
    torch.save((255 * drawn).round().to(torch.uint8), folder / "images.pt")
    for number, pixels in enumerate((255 * (1 - drawn)).round().to(torch.uint8).flatten(0, 1)):
        Image.fromarray(pixels.numpy()).resize((105, 105)).save(folder / f"{number}.png")


def compare(
    task: str, folder: Path, peers: str | None, *, seconds: float, trials: int, threads: int
) -> dict[str, Found]:
    """Measure every candidate of a task, each trial in a process of its own, in turn."""
    from benchmarks.episode_candidates import CANDIDATES

    found = {name: Found() for name in CANDIDATES[task]}
    for _ in range(trials):
        for name, (package, _) in CANDIDATES[task].items():
            if not found[name].missing:
                python = peers if package else sys.executable
                found[name] = _one_more(found[name], python, (task, name, folder, seconds, threads))
    return found


def _one_more(before: Found, python: str | None, words: Sequence[object]) -> Found:
    if python is None:
        return Found(missing="give --peers PYTHON, one that has it")
    script = Path(__file__).with_name("episode_candidates.py")
    # One allocator for all: glibc keeping freed memory, as our runners have it, helps every candidate.
    environment = os.environ | RUNNER_ENVIRONMENT | {"OMP_NUM_THREADS": str(words[-1])}
    try:
        done = subprocess.run(
            [python, str(script), *map(str, words)],
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
            env=environment,
        )
    except subprocess.SubprocessError as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        return Found(missing=said[-1])
    one = json.loads(done.stdout.splitlines()[-1])
    return Found((*before.rates, one["rate"]), (*before.processor_ms, one["processor_ms"]), one["version"])


def report(task: str, found: dict[str, Found], threads: int) -> None:
    """Print the medians, and how many times the fastest of the others ours is."""
    measured = {name: each for name, each in found.items() if each.rates}
    print(f"\n{TITLES[task]}, {threads} thread{'s' * (threads > 1)}:")
    rows = [
        [
            f"{name} {each.version}",
            f"{median(each.rates):.1f}",
            f"{min(each.rates):.1f}",
            f"{max(each.rates):.1f}",
            f"{median(each.processor_ms):.2f}",
        ]
        for name, each in measured.items()
    ]
    table(["", "median", "least", "most", "ms of processor an episode"], rows)
    for name, each in found.items():
        if each.missing:
            print(f"  {name}: not measured: {each.missing}")
    if OURS in measured:
        _judge(task, measured)


def _judge(task: str, measured: dict[str, Found]) -> None:
    ours = measured[OURS]
    for files, goal in ((False, GOALS[task]), (True, FILES_GOAL)):
        others = {
            name: each for name, each in measured.items() if name != OURS and files == name.endswith("files")
        }
        if others:
            best = max(others, key=lambda name: median(others[name].rates))
            times = median(ours.rates) / median(others[best].rates)
            work = median(others[best].processor_ms) / median(ours.processor_ms)
            print(
                f"  ours is {times:.2f} times {best}, {work:.2f} times by processor time "
                f"(goal: at least {goal:g})"
            )


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--peers",
        help="a Python that has the others: pip install torch torchvision learn2learn higher easyfsl; where "
        "learn2learn does not build, from its source with a newer Cython: setup.py build_ext --inplace",
    )
    parser.add_argument("--data", type=Path, help="a folder with an imported Omniglot; else glyphs are drawn")
    parser.add_argument("--tasks", default=",".join(TITLES), help="a comma between")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each trial")
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--threads", default="1,2", help="of torch, a comma between")
    asked = parser.parse_args(words)
    describe("Episodes: training on them, and loading them")
    with scratch() as folder:
        save_images(asked.data, folder)
        for task in asked.tasks.split(","):
            for threads in map(int, asked.threads.split(",")):
                found = compare(
                    task, folder, asked.peers, seconds=asked.seconds, trials=asked.trials, threads=threads
                )
                report(task, found, threads)


if __name__ == "__main__":
    main()
