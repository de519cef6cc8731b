"""What a user sees before there is any run: how to get from there to a finished run's chart.

Not here: help on keys (fsrun.tui.screens.help).
"""

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from fsrun.tui.themes import BLUE
from fsrun.words import living
from store.snapshot import Snapshot

_DO = "bold rgb({},{},{})".format(*BLUE)
Step = tuple[str, str]  # why, and what to press or type


class Hint(Widget):
    """The first steps; hidden as soon as there is a run."""

    has_worker: reactive[bool] = reactive(False)

    def __init__(self, *, read_only: bool) -> None:
        super().__init__()
        self._read_only = read_only

    def show(self, taken: Snapshot) -> None:
        """Be there while there are no runs."""
        self.has_worker = living(taken.workers) > 0
        self.display = not taken.runs

    def render(self) -> Text:
        """Draw the steps."""
        text = Text("No runs yet. To see a first one learn:\n\n", "bold")
        for number, (why, do) in enumerate(self._steps(), start=1):
            text.append(f"{number}  {why}\n", "not bold").append(f"   {do}\n\n", _DO)
        text.append("For Omniglot, import its images once:\n", "not bold dim")
        text.append("   fsrun data import omniglot PATH", "not bold")
        return text

    def _steps(self) -> list[Step]:
        if self._read_only:
            queue = (
                "In another terminal, queue a run that needs no data:",
                "fsrun queue synthetic --preset quick",
            )
        else:
            queue = ("Queue a run that needs no data and takes a minute:", "n, then ctrl+s")
        worker = ("In another terminal, start a worker; leave it running:", "fsrun worker")
        look = ("It appears here by itself. To open its charts:", "enter")
        return [queue, look] if self.has_worker else [queue, worker, look]
