"""What can go wrong between the program and its database, one class per remedy.

Not here: how an error is shown, and what goes wrong inside an experiment.
"""

# ruff: noqa: N818  (a name says what happened, and so what to do; "Error" would add nothing)


class StoreError(Exception):
    """Base of every error this package raises on purpose; its text is one line for the user."""


class DatabaseUnavailable(StoreError):
    """The database cannot be opened, read or written: choose another place, or mend this one."""


class DatabaseAway(DatabaseUnavailable):
    """The disk is full or the server is down for now: wait for it, or make space."""


class DatabaseTooNew(StoreError):
    """A newer version of the program made this database: upgrade the program."""


class NumberTooLarge(StoreError):
    """A whole number is larger than the database keeps: use a smaller one."""


class RunNotFound(StoreError):
    """There is no run of this number: look at the list of runs."""


class LeaseLost(StoreError):
    """The attempt no longer owns its job: stop working on it, another attempt or the user has it."""


class InvalidRemark(StoreError):
    """The note or the tag cannot be kept as it is: write another."""


class InvalidTransition(StoreError):
    """The job's status does not allow this: wait, or ask for what is possible."""
