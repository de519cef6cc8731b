"""The only training loop: chunks of steps, validation, checkpoints, and the final measurement.

Not here: what a step is (the methods), and where numbers go (an EventSink).
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from torch import Tensor

from experiments.checkpoint import load_checkpoint, load_counters, save_checkpoint
from experiments.config import ImageRun, RunConfig, training_steps
from experiments.config.training import Training
from experiments.cost import CostMeter, learned_parameters
from experiments.errors import CheckpointError, Diverged, StorageUnavailable
from experiments.evaluate import measure
from experiments.events import EventSink, Finished, Stopped
from experiments.method import Method, Resources, build

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 20.0  # how much work a crash may cost; no number depends on it
DISK_RETRY_SECONDS = 2.0  # between two tries to write the last checkpoint to a full disk


def run(
    config: RunConfig,
    resources: Resources,
    sink: EventSink,
    checkpoint_path: Callable[[int], Path],
    *,
    resume_from: Iterable[Path] = (),
    should_stop: Callable[[], bool] = lambda: False,
) -> Finished | Stopped:
    """Run a config to its end, or to the next chunk after should_stop() says so.

    resume_from lists checkpoints, newest first; the first readable one is used. Resuming gives the
    same numbers as never having stopped. On a full disk training goes on, and waits at its end. Raises
    Diverged once the loss has not been a number for as long as the config allows.
    """
    method = build(config, resources)
    watch = _LossWatch(config.method.stop_on_nan_after)
    step = _resume(method, watch, resume_from)
    sink.started(step)
    saved_at = time.monotonic()
    for start, count in _chunks(step, training_steps(config), config.method):
        if should_stop():
            _try_to_save(method, watch, start, sink, checkpoint_path)
            return Stopped(start)
        watch.look(_report(sink, start, count, method.train(start, count)), start + count)
        step = start + count
        every = _validation_interval(config)
        if every and step // every > start // every:
            _validate(method, step, config.method.validate_episodes, sink)
        if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
            _try_to_save(method, watch, step, sink, checkpoint_path)
            saved_at = time.monotonic()
    while not _try_to_save(method, watch, step, sink, checkpoint_path) and not should_stop():
        time.sleep(DISK_RETRY_SECONDS)
    if should_stop():
        return Stopped(step)
    episodes, split = config.evaluation.episodes, config.evaluation.split
    logger.info("measuring %d %s episodes", episodes, split)
    with CostMeter(resources.device) as meter:
        values = method.evaluate(split, range(episodes))
    results = tuple(measure(f"{split}/{name}", value) for name, value in values.items())
    parameters = learned_parameters(method) if isinstance(config, ImageRun) else None
    return Finished(results, meter.cost(episodes, parameters))


def _resume(method: Method, watch: "_LossWatch", candidates: Iterable[Path]) -> int:
    """Load the first readable checkpoint and return its step, 0 where there is none."""
    for path in candidates:
        try:
            step, state = load_checkpoint(path)
            watch.in_a_row = load_counters(path)
        except CheckpointError as error:
            logger.warning("%s", error)
            continue
        method.load_state_dict(state)
        logger.info("resumed at step %d", step)
        return step
    return 0


def _chunks(first: int, end: int, method: Training) -> Iterator[tuple[int, int]]:
    """Yield (start, count) so that chunks end on multiples of log_every wherever the run resumed.

    They also end where a phase of the training does.
    """
    size = method.log_every
    while first < end:
        later = (start for start in method.phase_starts if start > first)
        following = min(end, (first // size + 1) * size, *later)
        yield first, following - first
        first = following


def _report(sink: EventSink, start: int, count: int, metrics: dict[str, Tensor]) -> dict[str, list[float]]:
    """Send one point per step, or one for the chunk at its last step, and return them.

    The only device sync.
    """
    every_step = range(start + 1, start + count + 1)
    points = {name: values.detach().cpu().double().flatten().tolist() for name, values in metrics.items()}
    at_end = {name: numbers for name, numbers in points.items() if len(numbers) != count}
    at_every_step = {name: numbers for name, numbers in points.items() if name not in at_end}
    for steps, some in ((every_step, at_every_step), (every_step[-1:], at_end)):
        if some:
            sink.metrics(steps, some)
    return points


class _LossWatch:
    """Counts the points in a row at which a loss was NaN or infinite; `limit` 0 lets everything pass.

    The counts are saved with every checkpoint, so that a run stopped again and again ends where it would
    have.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_a_row: dict[str, int] = {}

    def look(self, points: dict[str, list[float]], step: int) -> None:
        """Take in the points up to a step. Raises Diverged."""
        if not self.limit:
            return
        for name in (name for name in points if name.startswith("train/loss")):
            for value in points[name]:
                self.in_a_row[name] = 0 if math.isfinite(value) else self.in_a_row.get(name, 0) + 1
                if self.in_a_row[name] == self.limit:
                    raise Diverged(
                        f"{name} was {value} for {self.limit} points in a row, up to step {step}: lower the "
                        "learning rates, or let it go on with --set stop_on_nan_after=0"
                    )


def _validation_interval(config: RunConfig) -> int:
    """Return after how many steps to validate; 0 for never, also where too few classes are held out."""
    too_few = isinstance(config, ImageRun) and config.most_ways("val") < config.evaluation.n_way
    return 0 if too_few else config.method.validate_every


def _validate(method: Method, step: int, episodes: int, sink: EventSink) -> None:
    for name, values in method.evaluate("val", range(episodes)).items():
        sink.metrics([step], {f"val/{name}": [float(values.double().mean())]})


def _try_to_save(
    method: Method, watch: _LossWatch, step: int, sink: EventSink, checkpoint_path: Callable[[int], Path]
) -> bool:
    """Write a checkpoint; return whether the disk, and whoever keeps it, let us."""
    try:
        path = checkpoint_path(step)
        save_checkpoint(path, step, method.state_dict(), watch.in_a_row)
        sink.checkpoint(step, path)
    except StorageUnavailable as error:
        logger.warning("%s", error)
        return False
    return True
