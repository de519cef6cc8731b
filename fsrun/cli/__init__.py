"""The command `fsrun` from its first moment to its exit code.

Not here: the commands (app.py). Only what loads quickly is imported before `main` minds Ctrl-C.
"""

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

from fsrun.errors import INTERRUPTED


def main() -> None:
    """Run the command line; known errors end in one line on standard error and exit code 1 or 2.

    Ctrl-C ends it with exit code 130, also while the commands are still being imported.
    """
    unhandled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if unhandled:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    _require_our_packages()
    from fsrun.cli.app import app
    from fsrun.cli.errors import reported
    from fsrun.cli.output import guarded
    from fsrun.paths import PRIVATE

    def carry_out() -> object:
        if unhandled:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return app(words, standalone_mode=False)

    words = sys.argv[1:]
    if words in ([], ["data"], ["db"]):
        words = [*words, "--help"]
    before = os.umask(PRIVATE)
    if words[0] in ("report", "compare", "export", "screenshot"):  # what they write is the user's to share
        os.umask(before)
    try:
        with guarded():
            sys.exit(reported(carry_out))
    finally:
        os.umask(before)


def _require_our_packages() -> None:
    """End the command where Python finds another package under the name of one of ours, or an old copy."""
    ours = Path(__file__).parents[2]
    for name in ("experiments", "store"):
        spec = find_spec(name)
        found = Path(spec.origin).parents[1] if spec and spec.origin else None
        if found != ours:
            sys.exit(
                f"fsrun: the package {name} is taken from {found or 'nowhere'}, and fsrun from {ours}: "
                "take that folder out of PYTHONPATH, or type the command in another one"
            )
