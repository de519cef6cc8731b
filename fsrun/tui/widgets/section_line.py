"""The names of a screen's sections in one line, each with the letter that opens it.

Not here: what stands in them (fsrun.tui.screens).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.reactive import reactive
from textual.widget import Widget

from fsrun.tui.messages import SectionChosen


@dataclass(frozen=True)
class Section:
    """A section of text; `key` is a letter of its title."""

    name: str
    key: str
    title: str


class SectionLine(Widget):
    """One line; a click on a name opens the section."""

    section: reactive[str] = reactive("")

    def __init__(self, sections: Sequence[Section]) -> None:
        super().__init__()
        self._sections = sections

    def render(self) -> Text:
        """Draw the line."""
        text = Text(" ")
        for section in self._sections:
            is_open = section.name == self.section
            name = Text(
                f"▸{section.title} " if is_open else f" {section.title} ", "bold" if is_open else "dim"
            )
            place = name.plain.index(section.key)
            name.stylize("bold underline not dim", place, place + 1)
            text.append_text(name)
        text.truncate(self.size.width, overflow="ellipsis")
        return text

    def on_click(self, event: events.Click) -> None:
        """Open the section whose name is under the mouse."""
        right = 1
        for section in self._sections:
            right += len(section.title) + 2
            if event.x < right:
                self.post_message(SectionChosen(section.name))
                return
