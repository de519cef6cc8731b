"""What a job starts from, fetched from where it is kept: waits for a storage that is away.

Not here: where checkpoints are kept (fsrun.checkpoint_files), and training from them (runner.py).
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from experiments.errors import CheckpointError, StorageUnavailable
from fsrun.checkpoint_files import CheckpointFiles
from fsrun.worker.outage import RETRY_SECONDS
from store.checkpoints import CheckpointRow
from store.runs import RunRecord

logger = logging.getLogger("fsrun.runner")

T = TypeVar("T")


def final_checkpoint(files: CheckpointFiles, parent: RunRecord, should_stop: Callable[[], bool]) -> Path:
    """Return the file a finished run left for those that start from it.

    Raises CheckpointError where it is gone, and StorageUnavailable as `patiently` does.
    """
    path = next(intact(files, parent.checkpoints[:1], should_stop), None)
    if path is None:
        raise CheckpointError(
            f"run {parent.id}, which this run starts from, has no intact checkpoint: queue it again with "
            f"fsrun queue {parent.spec.experiment} --method {parent.spec.method}"
        )
    return path


def intact(
    files: CheckpointFiles, checkpoints: Iterable[CheckpointRow], should_stop: Callable[[], bool]
) -> Iterator[Path]:
    """Yield the files that are what was written, each fetched when it is asked for.

    Raises StorageUnavailable as `patiently` does.
    """
    for row in checkpoints:
        try:
            yield patiently(should_stop, partial(files.fetched, row))
        except CheckpointError as error:
            logger.warning("%s: trying an older one", error)


def patiently(should_stop: Callable[[], bool], fetched: Callable[[], T]) -> T:
    """Fetch something, again and again where the storage cannot be used at the moment.

    Raises StorageUnavailable only once the job is to stop: going on without it would begin the run anew.
    """
    said = ""
    while True:
        try:
            return fetched()
        except StorageUnavailable as error:
            if should_stop():
                raise
            if said != str(error):
                logger.warning("%s: trying again", error)
            said = str(error)
        time.sleep(RETRY_SECONDS)
