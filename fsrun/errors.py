"""Errors of the commands themselves; those of experiments and store have homes of their own.

Not here: how an error is shown (cli).
"""


class FsrunError(Exception):
    """Base of what this package raises on purpose; its text is one line for the user."""

    exit_code = 1


class UsageError(FsrunError):
    """The command cannot be carried out as typed: change its words."""

    exit_code = 2
