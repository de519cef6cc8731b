"""The keys, each with what it does, read off the bindings of the screen it is asked from.

Not here: the bindings; each screen and widget has its own.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from fsrun.tui.keys import Key
from fsrun.tui.themes import BLUE
from fsrun.words import status_text

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
_KEY = "rgb({},{},{})".format(*BLUE)
_COLUMN = 14  # of the keys


class Help(ModalScreen[None]):
    """A sheet over the screen; any of its keys puts it away."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter,space", "dismiss", "Close"),
        Binding("j", "scroll_sheet(1)", "Down"),
        Binding("k", "scroll_sheet(-1)", "Up"),
    ]

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Lay out the sheet."""
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_subtitle = "j k scroll · esc closes"
            yield Static(_sheet(self._keys))

    def action_scroll_sheet(self, by: int) -> None:
        """Scroll by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


def _sheet(keys: Sequence[Key]) -> Table:
    """Return two columns: what to press and what it does."""
    sheet = Table.grid(padding=(0, 1))
    sheet.add_column(min_width=_COLUMN, no_wrap=True)
    sheet.add_column()
    for group in dict.fromkeys(key.group for key in keys):
        sheet.add_row(Text(group, "bold"))
        for key in keys:
            if key.group == group:
                sheet.add_row(Text(f"  {' '.join(key.shown)}", _KEY), Text(key.does))
        sheet.add_row()
    sheet.add_row(Text("Status", "bold"))
    for word, means in _STATUSES:
        sheet.add_row(Text("  ").append_text(status_text(word)), Text(means))
    return sheet
