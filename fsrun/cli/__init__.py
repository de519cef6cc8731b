"""The command `fsrun` from its first moment to its exit code.

Not here: the commands (app.py). Only what loads quickly is imported before `main` minds Ctrl-C.
"""

import os
import signal
import sys

from fsrun.errors import INTERRUPTED


def main() -> None:
    """Run the command line; known errors end in one line on standard error and exit code 1 or 2.

    Ctrl-C ends it with exit code 130, also while the commands are still being imported.
    """
    unhandled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if unhandled:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
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
