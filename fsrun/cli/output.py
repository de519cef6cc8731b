"""Standard output and standard error of every command: what cannot be said does not end what is done.

Not here: what is said, and the one line for an error (errors.py).
"""

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import typer

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PATIENCE = 1.0
"""Seconds that work waits for a terminal which takes nothing, for example after Ctrl-S."""


class Unfailing(io.FileIO):
    """A standard stream that takes whatever is written to it, and remembers why it could not pass it on.

    Nothing is kept in a buffer below it: a line that Ctrl-C interrupts must not be written again later.
    """

    failure: OSError | None = None
    patience: float | None = None  # seconds until a line is dropped, None: never

    def write(self, data: "ReadableBuffer") -> int:
        """Write all that can be written, and return the size of the whole."""
        whole = left = memoryview(data).cast("B")
        try:
            while left and select.select([], [self], [], self.patience)[1]:
                left = left[super().write(left) or 0 :]  # None: the terminal was made non-blocking by another
        except OSError as error:
            self.failure = self.failure or error
        return len(whole)


@contextmanager
def guarded() -> Iterator[None]:
    """Put streams that never fail in the place of standard output and error, unless others have been there.

    Characters that their encoding does not have are replaced. A stream that was closed leads nowhere.
    """
    if sys.stdout is not sys.__stdout__ or sys.stderr is not sys.__stderr__:
        yield
        return
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free
    before = {name: getattr(sys, name) for name in ("stdin", "stdout", "stderr")}
    stdin = sys.stdin or open(0, closefd=False, encoding="utf-8")  # noqa: SIM115
    stdout, stderr = _unfailing(sys.stdout, 1), _unfailing(sys.stderr, 2)
    _stand_in(stdin=stdin, stdout=stdout, stderr=stderr)
    try:
        yield
    finally:
        stdout.flush()
        stderr.flush()
        _stand_in(**before)


def _stand_in(**streams: TextIO | None) -> None:
    """Put streams in the place of the standard ones, and of the originals, where Textual draws."""
    for name, stream in streams.items():
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _unfailing(stream: TextIO | None, number: int) -> TextIO:
    if stream is not None:
        stream.flush()
    at_once = not isinstance(stream, io.TextIOWrapper) or stream.line_buffering or stream.write_through
    return io.TextIOWrapper(
        Unfailing(number, "w", closefd=False),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="replace",
        line_buffering=at_once,
    )


def _guards() -> list[Unfailing]:
    """Return what guards standard output and error, nothing where others stand in their place."""
    buffers = [getattr(stream, "buffer", None) for stream in (sys.stdout, sys.stderr)]
    return [buffer for buffer in buffers if isinstance(buffer, Unfailing)]


def failure() -> OSError | None:
    """Return why standard output could not be written, None where it was or its reader has seen enough."""
    sys.stdout.flush()
    error = _guards()[0].failure if _guards() else None
    return None if error is None or error.errno == errno.EPIPE else error


@contextmanager
def unheeded() -> Iterator[None]:
    """Work in here whether or not anybody can be told of it: lines that cannot be said are dropped."""
    before = [(guard, guard.failure) for guard in _guards()]
    for guard, _ in before:
        guard.patience = PATIENCE
    try:
        yield
    finally:
        for guard, known in before:
            guard.patience, guard.failure = None, known


def end_if_unheard() -> None:
    """End a command that only tells, once nobody can hear it: its reader or its terminal is gone."""
    if not _guards():
        return
    gone = select.poll()
    gone.register(1, 0)
    state = gone.poll(0)
    if _guards()[0].failure is not None or (state and state[0][1] & (select.POLLERR | select.POLLHUP)):
        raise typer.Exit
