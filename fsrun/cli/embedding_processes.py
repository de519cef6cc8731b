"""Several processes for `data embed --gpus`: started and ended together, and shown as one.

Not here: how they share the work, which is by the locks of the shards (experiments.features.shards).
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsrun.cli.embedding_plan import Asked, embed_here, planned
from fsrun.errors import FsrunError
from fsrun.paths import find_home
from fsrun.worker.launcher import command, launched

if TYPE_CHECKING:
    from experiments.features.embedding import Progress, Report
    from experiments.features.index import FeatureIndex
    from experiments.features.shards import Embedding

MODULE = "fsrun.cli.embedding_processes"


def embed_by_several(
    asked: Asked, embedding: "Embedding", processes: int, report: "Report", module: str = MODULE
) -> "FeatureIndex":
    """Have so many processes compute what is missing, and return the index.

    Raises FsrunError once one of them has failed: all are ended then, and what is whole stays.
    """
    from experiments.features.index import read_feature_index

    embedding.begin()  # what is wrong with the command is said here, once
    log = find_home().root / "logs" / f"embed-{embedding.name}.log"
    with _started(command(processes, module, asked.text()), log) as process:
        assert process.stdout is not None
        failure = _shown(process.stdout, _Sum(embedding), report)
        code = process.wait()
    if code:
        said = failure or f"{_last_line(log)}, see {log}"
        raise FsrunError(f"{said}; the same command goes on with what is left")
    return read_feature_index(embedding.data_dir, embedding.name)


@contextmanager
def _started(words: list[str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the launcher, which ends with the block, and all processes with it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w") as errors,
        subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C reaches this process alone
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _shown(lines: Iterator[str], total: "_Sum", report: "Report") -> str | None:
    """Report how far all are together until they end; return what one has complained of first."""
    failure = None
    for line in lines:
        said = json.loads(line)
        if "failure" in said:
            failure = failure or str(said["failure"])
        else:
            report(total.with_this(said.pop("rank"), said))
    return failure


class _Sum:
    """The progress of all processes together."""

    def __init__(self, embedding: "Embedding") -> None:
        self.total = embedding.total
        self.before = embedding.total - sum(shard.size for shard in embedding.missing())
        self.known: dict[int, Progress] = {}

    def with_this(self, rank: int, values: dict[str, Any]) -> "Progress":
        """Return the sum, with what one of them has just told."""
        from experiments.features.embedding import Progress

        self.known[rank] = Progress(**values)
        each = self.known.values()
        own = sum(one.own for one in each)
        return Progress(
            done=max(self.before + own, *(one.done for one in each)),
            total=self.total,
            own=own,
            seconds=max(one.seconds for one in each),
            waited=sum(one.waited for one in each) / len(each),
        )


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "the launcher of the processes was ended"


def main(text: str) -> int:
    """Be one of the processes: embed, and tell by lines how far it is, or why it cannot go on."""
    from experiments.errors import ExperimentError

    place = launched()
    assert place is not None
    asked = Asked.of(text)

    def tell(said: dict[str, object]) -> None:
        os.write(sys.stdout.fileno(), f"{json.dumps(said)}\n".encode())  # whole, beside those of the others

    try:
        embed_here(
            asked,
            planned(asked),
            lambda state: tell({"rank": place.rank, **asdict(state)}),
            place.rank,
            place.size,
        )
    except (ExperimentError, FsrunError) as error:
        tell({"failure": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
