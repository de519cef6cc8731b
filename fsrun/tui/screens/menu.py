"""A menu of words to choose one from.

Not here: what is chosen from, and what follows.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option


class Menu(ModalScreen[str | None]):
    """The words, one a line; gives the one chosen, None for none."""

    BINDING_GROUP_TITLE = "Menu"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,s", "dismiss(None)", "Close"),
        Binding("j", "move(1)", "Down"),
        Binding("k", "move(-1)", "Up"),
    ]

    def __init__(self, title: str, words: Sequence[str], present: str = "") -> None:
        super().__init__()
        self._title, self._words, self._present = title, tuple(words), present

    def compose(self) -> ComposeResult:
        """Lay out the menu."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = self._title
            yield OptionList(*(Option(Text(each)) for each in self._words), compact=True)

    def on_mount(self) -> None:
        """Put the cursor on what holds at present."""
        menu = self.query_one(OptionList)
        menu.highlighted = self._words.index(self._present) if self._present in self._words else 0
        menu.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Choose."""
        self.dismiss(self._words[event.option_index])

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        menu = self.query_one(OptionList)
        menu.action_cursor_down() if by > 0 else menu.action_cursor_up()
