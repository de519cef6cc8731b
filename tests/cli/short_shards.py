"""One of the processes of `data embed --gpus` whose shards end with every class; dies where it is told to.

Not here: any test.
"""

import os
import signal
import sys

from experiments.features import shards
from fsrun.cli import embedding_processes

DIES = "FSRUN_TEST_DIES"
"""In the environment: the rank of the process that is killed once it has begun a shard."""


def _die(_: object) -> list[object]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


if __name__ == "__main__":
    shards.SHARD_IMAGES = 1
    if os.environ.get(DIES) == os.environ["RANK"]:
        shards.Shard.images = _die  # type: ignore[assignment]
    sys.exit(embedding_processes.main(sys.argv[1]))
