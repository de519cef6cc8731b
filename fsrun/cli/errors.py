"""How an error reaches the user: one line, an exit code, never a traceback.

Not here: the errors themselves.
"""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer

from experiments.errors import ConfigError, ExperimentError
from fsrun.cli import output
from fsrun.errors import INTERRUPTED, FsrunError
from store.errors import StoreError


def reported(command: Callable[[], Any]) -> int:
    """Run a command and return the exit code, 2 where the command's words are wrong, else 1.

    It is 1 as well where standard output could not be written. A reader who has seen enough is no error.
    """
    try:
        code = command()
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 (the last resort: a traceback goes to a file, not to the screen)
        known = _exit_code(error)
        return _unexpected(error) if known is None else _fail(_message(error), known)
    unwritten = output.failure()
    if unwritten is not None and not code:
        return _fail(
            f"standard output cannot be written ({unwritten.strerror}): send it elsewhere; "
            "the command itself was carried out",
            1,
        )
    return code if isinstance(code, int) else 0


_PYDANTIC = "Input should be a valid integer, unable to parse string as an integer"


def _exit_code(error: Exception) -> int | None:
    """Return the exit code of an error raised on purpose, None for any other."""
    if isinstance(error, typer.TyperException | FsrunError):
        return error.exit_code
    if isinstance(error, ConfigError):
        return 2
    return 1 if isinstance(error, ExperimentError | StoreError) else None


def _message(error: Exception) -> str:
    """Return the error in one line; where typer found it, with the name of the option and the way to help."""
    from fsrun.words import plain  # loads the store

    text = str(error)
    if isinstance(error, typer.TyperException):
        text = error.format_message()
        wrong = getattr(error.__cause__, "errors", None)  # pydantic's, where a value was no number
        if wrong is not None and "'RUN'" in text:
            return plain(f"{wrong()[0]['input']!r} is not a run number: see `fsrun ls`")
        text = text.rstrip(".").replace(_PYDANTIC, "not a whole number")
        text = text.replace(": Input should be", ": must be")
        context = getattr(error, "ctx", None)
        text += f" (see {context.command_path} --help)" if context else ""
    return " ".join(plain(text).split())


def _fail(message: str, code: int) -> int:
    red, plain = ("\x1b[31m", "\x1b[0m") if sys.stderr.isatty() and "NO_COLOR" not in os.environ else ("", "")
    sys.stderr.write(f"{red}fsrun: {message}{plain}\n")
    return code


def _unexpected(error: Exception) -> int:
    """Keep the traceback where a bug report can take it from, and say so in one line."""
    from fsrun.paths import find_home  # only after a crash

    kept = ""
    try:
        path = find_home().root / "logs" / "fsrun-error.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(traceback.format_exc(), encoding="utf-8")
        kept = f": the traceback is in {path}"
    except (OSError, FsrunError):
        kept = ": the traceback could not be kept, since FSRUN_HOME cannot be written"
    from fsrun.words import plain

    summary = plain(str(error).partition("\n")[0])
    return _fail(f"unexpected {type(error).__name__}: {summary}{kept}", 1)
