"""The menu of columns to sort by.

Not here: sorting (fsrun.tui.listing).
"""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from fsrun.tui.columns import COLUMNS
from fsrun.tui.listing import View


class SortMenu(ModalScreen[str | None]):
    """A list of columns; the name of the one chosen, None for none."""

    BINDING_GROUP_TITLE = "Sort by"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,s,q", "dismiss(None)", "Close"),
        Binding("j", "move(1)", "Down"),
        Binding("k", "move(-1)", "Up"),
    ]

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view

    def compose(self) -> ComposeResult:
        """Lay out the menu."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Sort by"
            dialog.border_subtitle = "again: the other way round"
            yield OptionList(
                *(Option(self._named(each.name), id=each.name) for each in COLUMNS), compact=True
            )

    def on_mount(self) -> None:
        """Put the cursor on the present column."""
        menu = self.query_one(OptionList)
        menu.highlighted = menu.get_option_index(self._view.sort)
        menu.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Choose."""
        self.dismiss(event.option.id)

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        menu = self.query_one(OptionList)
        menu.action_cursor_down() if by > 0 else menu.action_cursor_up()

    def _named(self, name: str) -> Text:
        arrow = ("↓" if self._view.descending else "↑") if name == self._view.sort else " "
        return Text(f"{arrow} {name}")
