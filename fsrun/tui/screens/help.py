"""The keys, each with what it does.

Not here: what they do.
"""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from fsrun.words import status_text

_KEYS = (
    ("↑ ↓  j k", "move through the runs"),
    ("g G", "first run, last run"),
    ("enter", "open the run: charts, results, attempts, error, config"),
    ("tab", "next chart, where not all fit"),
    ("c", "cancel the run; asks first"),
    ("r", "queue it again; it resumes from its checkpoint"),
    ("t 2", "Table 2: the paper's accuracies beside ours"),
    ("esc 1", "back"),
    ("q", "quit; runs and workers go on"),
)
_STATUSES = (
    ("queued", "until a worker is free"),
    ("waiting", "for a run it starts from"),
    ("running", "on a worker"),
    ("stopping", "at the next checkpoint, because you asked"),
    ("lost", "its worker fell silent; another one resumes it"),
    ("done", "its results are stored"),
    ("failed", "enter shows why, r tries again"),
    ("cancelled", "r queues it again"),
)


class Help(ModalScreen[None]):
    """A sheet over the screen; any of its keys puts it away."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter,space", "dismiss", "Close"),
    ]

    def compose(self) -> ComposeResult:
        """Lay out the sheet."""
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_subtitle = "esc closes"
            yield Static(_sheet())


def _sheet() -> Text:
    text = Text("Keys\n", "bold")
    for keys, does in _KEYS:
        text.append(f"  {keys:<10}", "not bold rgb(70,160,220)").append(f"{does}\n", "not bold")
    text.append("\nStatus\n")
    for word, means in _STATUSES:
        line = status_text(word)
        line.pad_right(12 - line.cell_len)
        text.append("  ", "not bold").append_text(line).append(f"{means}\n", "not bold")
    text.rstrip()
    return text
