"""Everything a finished run left behind, in a form that compares bit for bit.

Not here: how the run came to its end.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from sqlalchemy import Engine, select
from sqlmodel import col

from experiments.checkpoint import load_checkpoint
from experiments.errors import CheckpointError
from fsrun.paths import Home
from store.curves import metric_names, read_curve
from store.engine import reading
from store.runs import get_run
from store.tables import Metric

ALL = 10**9  # points
FOLDED = 40  # entries: a curve longer than this is read from its summaries


@dataclass(frozen=True)
class FinalState:
    """What two executions of one config must have in common.

    `points` maps (metric, step) to the exact value; `counted` is how many points the store says there are,
    `summaries` are the same curves folded, in which a point counted twice would show. `weights` is a digest
    of the tensors in the last checkpoint.
    """

    results: tuple[tuple[object, ...], ...]
    points: dict[tuple[str, int], str]
    counted: int
    summaries: tuple[str, ...]
    weights: str


def final_state(engine: Engine, home: Home, run_id: int) -> FinalState:
    """Return what the run left behind."""
    record = get_run(engine, run_id)
    points: dict[tuple[str, int], str] = {}
    summaries = []
    with reading(engine) as connection:
        for name in metric_names(connection, run_id):
            whole = read_curve(connection, run_id, name, max_points=ALL)
            points |= {(name, step): value.hex() for step, value in zip(whole.steps, whole.last, strict=True)}
            folded = read_curve(connection, run_id, name, max_points=FOLDED)
            summaries.append(repr((name, folded.steps, folded.mean, folded.low, folded.high, folded.last)))
        counts = select(col(Metric.count)).where(col(Metric.run_id) == run_id)
        counted = sum(connection.execute(counts).scalars())
    return FinalState(
        results=tuple(
            (row.name, repr(row.value), repr(row.interval), row.episodes, row.episode_values)
            for row in record.results
        ),
        points=points,
        counted=counted,
        summaries=tuple(summaries),
        weights=_digest(home.checkpoints / record.checkpoints[0].path)
        if record.checkpoints
        else "no checkpoint",
    )


@dataclass(frozen=True)
class Difference:
    """How one execution of a config differs from the undisturbed one; `parts` names what is not the same."""

    lost_points: int
    doubled_points: int
    parts: tuple[str, ...]


def difference(undisturbed: FinalState, other: FinalState) -> Difference:
    """Compare two executions of one config."""
    missing = undisturbed.points.keys() - other.points.keys()
    beyond = other.points.keys() - undisturbed.points.keys()
    names = ("results", "points", "counted", "summaries", "weights")
    return Difference(
        lost_points=len(missing),
        doubled_points=len(beyond) + max(other.counted - len(other.points), 0),
        parts=tuple(name for name in names if getattr(undisturbed, name) != getattr(other, name)),
    )


def _digest(path: Any) -> str:
    try:
        step, state = load_checkpoint(path)
    except CheckpointError as error:
        return str(error)
    digest = hashlib.sha256(str(step).encode())
    _add(digest, state)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    """Take in a nested state: tensors by kind, shape and bytes, everything else as text."""
    if isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    elif isinstance(value, dict):
        for key in value:
            digest.update(repr(key).encode())
            _add(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(str(len(value)).encode())
        for item in value:
            _add(digest, item)
    else:
        digest.update(repr(value).encode())
