"""What a user sees before there is any run: what to type first.

Not here: help on keys (fsrun.tui.screens.help).
"""

from rich.text import Text
from textual.widgets import Static

_STEPS = (
    ("Bring in the characters of Omniglot, once:", "fsrun data import omniglot PATH"),
    ("Queue a run that takes minutes:", "fsrun queue omniglot --preset quick"),
    ("Start a worker, and leave it running:", "fsrun worker"),
)


class Hint(Static):
    """The first three commands, and one that needs no data."""

    def __init__(self) -> None:
        text = Text("No runs yet. In another terminal:\n\n", "bold")
        for number, (why, command) in enumerate(_STEPS, start=1):
            text.append(f"{number}  {why}\n", "not bold")
            text.append(f"   {command}\n\n", "bold rgb(70,160,220)")
        text.append("No data at hand? ", "not bold dim")
        text.append("fsrun queue synthetic --preset quick", "not bold")
        text.append(" needs none.\nRuns appear here by themselves.", "not bold dim")
        super().__init__(text)
