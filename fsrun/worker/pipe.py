"""The runner's end of the pipes to its supervisor: what it is told to do, and where it answers.

Not here: the supervisor's end (process.py), and what follows from an order (runner.py).
"""

import json
import os
import queue
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

Order = dict[str, int]  # run_id and attempt


class Orders:
    """What the supervisor says, read by a thread: one job after another, and which of them to stop."""

    def __init__(self) -> None:
        self.jobs: queue.Queue[Order | None] = queue.Queue()
        self.to_stop: Order | None = None
        self.alone = False

    def read(self, lines: Iterable[str]) -> None:
        """Take in each line; where they end the supervisor is gone."""
        for line in lines:
            said = json.loads(line)
            if "stop" in said:
                self.to_stop = said["stop"]
            else:
                self.jobs.put(said)
        self.alone = True
        self.jobs.put(None)

    def stops(self, order: Order) -> bool:
        """Say whether this attempt of a job is to stop; one asked for earlier stops no later one."""
        return self.alone or self.to_stop == order


class Replies:
    """The pipe to the supervisor; everything else that prints goes to standard error from now on."""

    def __init__(self) -> None:
        self._pipe = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(self, **words: Any) -> None:
        """Send one line; nobody reads it where the supervisor has died, which `Orders.alone` tells."""
        with suppress(BrokenPipeError):
            os.write(self._pipe, f"{json.dumps(words)}\n".encode())  # at once, and nothing left in a buffer
