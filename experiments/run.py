"""The only training loop: chunks of steps, validation, checkpoints, and the final measurement.

Not here: what a step is (the methods), and where numbers go (an EventSink).
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torch import Tensor

from experiments.checkpoint import load_checkpoint, save_checkpoint
from experiments.config import RunConfig
from experiments.errors import CheckpointError
from experiments.evaluate import measure
from experiments.events import EventSink, Finished, Stopped
from experiments.method import Method, Resources, build

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 20.0  # how much work a crash may cost; no number depends on it


def run(
    config: RunConfig,
    resources: Resources,
    sink: EventSink,
    checkpoint_path: Callable[[int], Path],
    *,
    resume_from: Sequence[Path] = (),
    should_stop: Callable[[], bool] = lambda: False,
) -> Finished | Stopped:
    """Run a config to its end, or to the next chunk after should_stop() says so.

    resume_from lists checkpoints, newest first; the first readable one is used. Resuming gives the
    same numbers as never having stopped.
    """
    method = build(config, resources)
    step = _resume(method, resume_from)
    sink.started(step)
    saved_at = time.monotonic()
    for start, count in _chunks(step, config.method.steps, config.method.log_every):
        if should_stop():
            _save(method, start, sink, checkpoint_path)
            return Stopped(start)
        _report(sink, start, count, method.train(start, count))
        step = start + count
        every = config.method.validate_every
        if every and step // every > start // every:
            _validate(method, step, config.method.validate_episodes, sink)
        if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
            _save(method, step, sink, checkpoint_path)
            saved_at = time.monotonic()
    _save(method, step, sink, checkpoint_path)
    if should_stop():
        return Stopped(step)
    logger.info("measuring %d test episodes", config.evaluation.episodes)
    values = method.evaluate("test", range(config.evaluation.episodes))
    return Finished(tuple(measure(f"test/{name}", value) for name, value in values.items()))


def _resume(method: Method, candidates: Sequence[Path]) -> int:
    """Load the first readable checkpoint and return its step, 0 where there is none."""
    for path in candidates:
        try:
            step, state = load_checkpoint(path)
        except CheckpointError as error:
            logger.warning("%s", error)
            continue
        method.load_state_dict(state)
        logger.info("resumed at step %d", step)
        return step
    return 0


def _chunks(first: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, count) so that chunks end on multiples of size wherever the run resumed."""
    while first < end:
        following = min(end, (first // size + 1) * size)
        yield first, following - first
        first = following


def _report(sink: EventSink, start: int, count: int, metrics: dict[str, Tensor]) -> None:
    """Send one point per step, or one for the chunk at its last step; the only device sync."""
    every_step = range(start + 1, start + count + 1)
    for name, values in metrics.items():
        numbers = values.detach().cpu().double().flatten().tolist()
        sink.metrics(every_step if len(numbers) == count else every_step[-1:], {name: numbers})


def _validate(method: Method, step: int, episodes: int, sink: EventSink) -> None:
    for name, values in method.evaluate("val", range(episodes)).items():
        sink.metrics([step], {f"val/{name}": [float(values.double().mean())]})


def _save(method: Method, step: int, sink: EventSink, checkpoint_path: Callable[[int], Path]) -> None:
    path = checkpoint_path(step)
    save_checkpoint(path, step, method.state_dict())
    sink.checkpoint(step, path)
