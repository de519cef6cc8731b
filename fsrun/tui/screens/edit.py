"""One line of text to write or change: a note, tags.

Not here: keeping it (fsrun.tui.orders).
"""

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from fsrun.words import STATUS_STYLES, plain
from store.errors import StoreError


class Edit(ModalScreen[str | None]):
    """A line to write: the text if the user keeps it, None if not. What is wrong is said as one types."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, title: str, text: str, *, check: Callable[[str], None]) -> None:
        """Take a check that raises a StoreError for a text that cannot be."""
        super().__init__()
        self._title, self._text, self._check = title, text, check

    def compose(self) -> ComposeResult:
        """Lay out the dialog."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_subtitle = "enter save · esc cancel"
            yield Static(Text(self._title))
            yield Input(self._text, compact=True)
            yield Static(id="wrong")

    def on_mount(self) -> None:
        """Put the cursor behind the text."""
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what is wrong with the text."""
        wrong = self._wrong(event.value)
        self.query_one("#wrong", Static).update(
            Text(f"✗ {plain(wrong)}" if wrong else "", STATUS_STYLES["failed"])
        )

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Hand the text over, if it can be."""
        if not self._wrong(event.value):
            self.dismiss(event.value)

    def _wrong(self, text: str) -> str:
        try:
            self._check(text)
        except StoreError as error:
            return str(error)
        return ""
