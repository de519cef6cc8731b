"""What can go wrong while an experiment is described or run, one class per remedy.

Not here: the store's errors, and how an error is shown.
"""

# ruff: noqa: N818  (a name says what happened, and so what to do; "Error" would add nothing)

import errno
from collections.abc import Iterable
from difflib import get_close_matches


class ExperimentError(Exception):
    """Base of every error this package raises on purpose; its text is one line for the user."""


class ConfigError(ExperimentError):
    """A config names something unknown or holds a value that cannot be: change the command."""


class InertOption(ConfigError):
    """An option was set that changes nothing beside the others: leave it out, or change another one."""


class DataError(ExperimentError):
    """A data set is missing, damaged or refused: import, fetch or repair it."""


class CheckpointError(ExperimentError):
    """A checkpoint is missing or damaged: resume from an older one or start again."""


class StorageUnavailable(ExperimentError):
    """Something cannot be written or read at the moment: free some space or mend its disk, and try again."""


class Diverged(ExperimentError):
    """The loss has not been a number for long: train more gently, or switch the check off."""


_REMEDIES = {
    errno.ENOSPC: "free some space on its disk",
    errno.EDQUOT: "free some space within your quota",
    errno.EROFS: "mount its disk so that it can be written",
    errno.EACCES: "give this user the right to write there",
    errno.EPERM: "give this user the right to write there",
}


def unwritable(what: str, error: OSError) -> StorageUnavailable:
    """Return the error for what the system does not let us write, with the remedy for its reason."""
    reason = error.strerror or str(error)
    return StorageUnavailable(
        f"{what} cannot be written ({reason}): {_REMEDIES.get(error.errno or 0, 'check its disk')}"
    )


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """Return the error for a name nobody knows, with the nearest right one."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(names)}"
    return ConfigError(f"unknown {kind} {name!r}: {hint}")
