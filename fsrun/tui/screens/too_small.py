"""What stands in a terminal too small for anything else: one plain line.

Not here: how screens use what room there is; each lays itself out.
"""

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Static

LEAST = Size(60, 20)
"""Columns and lines that every screen can do with."""


def is_too_small(size: Size) -> bool:
    """Return whether a terminal has no room for the screens."""
    return size.width < LEAST.width or size.height < LEAST.height


class TooSmall(ModalScreen[None]):
    """A line over everything, until the terminal has grown."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "app.quit", "Quit", show=False)]

    def compose(self) -> ComposeResult:
        """Lay out the line."""
        yield Static()

    def on_resize(self, event: events.Resize) -> None:
        """Say how much room there is and how much it takes."""
        now, least = (f"{size.width}x{size.height}" for size in (event.size, LEAST))
        self.query_one(Static).update(Text(f"fsrun: {now} is too small, make it {least}"))
