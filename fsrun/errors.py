"""Errors of the commands themselves; those of experiments and store have homes of their own.

Not here: how an error is shown (cli).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

INTERRUPTED = 130
"""The exit code after Ctrl-C."""


class FsrunError(Exception):
    """Base of what this package raises on purpose; its text is one line for the user."""

    exit_code = 1


class UsageError(FsrunError):
    """The command cannot be carried out as typed: change its words."""

    exit_code = 2


class AlreadyThere(FsrunError):  # noqa: N818
    """Every run asked for exists: ask whether it is wanted once more, which `order` then queues."""

    def __init__(self, line: str, order: "Callable[[Engine, float], str]") -> None:
        super().__init__(line)
        self.order = order


class NotAll(FsrunError):  # noqa: N818  (a name says what happened, and so what to do)
    """Some of the runs could not obey: the text says what was done, and which could not obey and why."""
