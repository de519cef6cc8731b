"""What can go wrong while a report is made.

Not here: trouble with the database (store.errors) or with a config (experiments.errors).
"""

# ruff: noqa: N818  (a name says what happened, and so what to do)

from fsrun.errors import FsrunError


class NothingToReport(FsrunError):
    """No run holds what the report shows: make one; its text is one line that says how."""
