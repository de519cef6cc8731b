"""The options of a run to search, and a line to write a value for one, with what is wrong beside it.

Not here: what a value may be (experiments.options) and checking what was written (fsrun.drafting).
"""

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.reactive import var
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option as Line

from experiments.options import Option
from fsrun.drafting import Checked, written
from fsrun.tui.messages import OptionWritten
from fsrun.words import STATUS_STYLES, plain

_NAME, _VALUE = 30, 16  # columns


class OptionLines(Vertical):
    """A search line, the options that match it, and the value of the one under the cursor."""

    BINDING_GROUP_TITLE = "Options"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search options", tooltip="search an option by a part of its name"),
    ]

    checked: var[Checked | None] = var(None, init=False)

    def compose(self) -> ComposeResult:
        """Lay out the parts."""
        yield Input(placeholder="search an option, for example lr", compact=True, id="wanted")
        yield OptionList(compact=True, id="options")
        with Horizontal(id="writing"):
            yield Static(id="name")
            yield Input(compact=True, id="value", disabled=True)
            yield Static(id="fault")

    def watch_checked(self) -> None:
        """Show the options anew."""
        self._list()
        self._show_fault()

    def action_search(self) -> None:
        """Put the cursor into the search line."""
        self.query_one("#wanted", Input).focus()

    @on(Input.Changed, "#wanted")
    def _search(self) -> None:
        self._list()

    @on(Input.Submitted)
    def _go_to_options(self) -> None:
        self.query_one(OptionList).focus()

    @on(OptionList.OptionHighlighted)
    def _offer_value(self) -> None:
        option, field = self._chosen(), self.query_one("#value", Input)
        field.disabled = option is None
        self.query_one("#name", Static).update(Text(f"{option.name} =" if option else ""))
        with self.prevent(Input.Changed):
            field.value = self._text(option) if option else ""
        self._show_fault()

    @on(OptionList.OptionSelected)
    def _begin_to_write(self) -> None:
        self.query_one("#value", Input).focus()

    @on(Input.Changed, "#value")
    def _write(self, event: Input.Changed) -> None:
        option = self._chosen()
        if option is not None:
            changed = event.value.strip() != written(option.value)
            self.post_message(OptionWritten(option.name, event.value if changed else ""))

    def _chosen(self) -> Option | None:
        """Return the option under the cursor."""
        lines = self.query_one(OptionList)
        if self.checked is None or lines.highlighted is None:
            return None
        name = lines.get_option_at_index(lines.highlighted).id
        return next((option for option in self.checked.options if option.name == name), None)

    def _text(self, option: Option) -> str:
        """Return what is written for an option, or the value it has."""
        assert self.checked is not None
        return self.checked.draft.changes.get(option.name, written(option.value))

    def _list(self) -> None:
        """List the options that match the search, the cursor where it was."""
        if self.checked is None:
            return
        words = self.query_one("#wanted", Input).value.lower().split()
        fitting = [each for each in self.checked.options if all(word in each.name for word in words)]
        lines = self.query_one(OptionList)
        if [line.id for line in lines.options] == [option.name for option in fitting]:
            for option in fitting:
                lines.replace_option_prompt(option.name, self._line(option))
            return
        chosen = self._chosen()
        names = [option.name for option in fitting]
        lines.set_options([Line(self._line(option), id=option.name) for option in fitting])
        if names:
            lines.highlighted = names.index(chosen.name) if chosen and chosen.name in names else 0
        self._offer_value()

    def _line(self, option: Option) -> Text:
        """Return name, value and rule; a change and a fault are seen without colour too."""
        assert self.checked is not None
        change, fault = self.checked.draft.changes.get(option.name), self.checked.faults.get(option.name)
        text = Text(
            f"{'*' if change else ' '} {option.name:<{_NAME}} ",
            "bold" if change else "",
            no_wrap=True,
            overflow="ellipsis",
        )
        value = plain(written(option.value) if change is None else f"{written(option.value)} → {change}")
        text.append(f"{value:<{_VALUE}} ", "bold" if change else "")
        if fault:
            return text.append(f"✗ {plain(fault)}", STATUS_STYLES["failed"])
        return text.append(option.rule, "dim")

    def _show_fault(self) -> None:
        """Say beside the value what is wrong with it, or what it may be."""
        option, place = self._chosen(), self.query_one("#fault", Static)
        fault = self.checked.faults.get(option.name) if self.checked and option else None
        if fault:
            place.update(Text(f"✗ {plain(fault)}", STATUS_STYLES["failed"]))
        else:
            place.update(Text(option.rule if option else "no such option", "dim"))
