"""The question into which file something goes, and as what.

Not here: writing it (fsrun.tui.exporting).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from experiments.errors import ConfigError
from experiments.machine import expanded
from fsrun.tui.exporting import Export, Exporting, free_name, of_text
from fsrun.words import STATUS_STYLES, plain

Chosen = tuple[Export, Path, bool]
"""What is written, where, and whether in the place of a file that is there."""


class ExportForm(ModalScreen[Chosen | None]):
    """What to write, and the name of the file; its ending says as what too."""

    BINDING_GROUP_TITLE = "Export"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", tooltip="write nothing"),
    ]

    def __init__(self, exports: Sequence[Export], stem: str, folder: Path) -> None:
        super().__init__()
        self._exports = tuple(exports)
        self._stem, self._folder = stem, folder
        self._asked = ""  # the name for which one was told that the file exists

    def compose(self) -> ComposeResult:
        """Lay out the form."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Export"
            dialog.border_subtitle = "enter writes · tab to the name · esc closes"
            options = (Option(Text(f"{each.what} as {each.ending}")) for each in self._exports)
            yield OptionList(*options, compact=True)
            yield Input(compact=True)
            yield Static(classes="problem")

    def on_mount(self) -> None:
        """Begin with what is most wanted."""
        self.query_one(OptionList).highlighted = 0
        self.query_one(OptionList).focus()

    @on(OptionList.OptionHighlighted)
    def _suggest(self, event: OptionList.OptionHighlighted) -> None:
        """Give the name this ending, and a free one where the user has not written any."""
        field, ending = self.query_one(Input), self._exports[event.option_index].ending
        written = Path(field.value)
        if written.stem.startswith(self._stem) or not field.value:
            folder = written.parent if field.value else self._folder
            field.value = str(free_name(folder, self._stem, ending))
        else:
            field.value = str(written.with_suffix(ending))

    @on(OptionList.OptionSelected)
    @on(Input.Submitted)
    def _write(self) -> None:
        name = self.query_one(Input).value.strip()
        try:
            path = expanded(name).absolute()
        except ConfigError as error:
            self._object(str(error))
            return
        export = self._export_for(path.suffix)
        if not name or export is None:
            self._object(f"the name must end in one of {', '.join(self._endings())}")
        elif path.is_dir() or not path.parent.is_dir():
            self._object(f"there is no folder {path.parent}" if not path.is_dir() else f"{path} is a folder")
        elif path.exists() and self._asked != name:
            self._asked = name
            self._object(f"{path.name} exists: enter once more replaces it")
        else:
            self.dismiss((export, path, path.exists()))

    def _export_for(self, ending: str) -> Export | None:
        """Return what the cursor is on if it has this ending, else the first that has."""
        chosen = self._exports[self.query_one(OptionList).highlighted or 0]
        return next((each for each in (chosen, *self._exports) if each.ending == ending), None)

    def _endings(self) -> list[str]:
        return list(dict.fromkeys(each.ending for each in self._exports))

    def _object(self, words: str) -> None:
        self.query_one(".problem", Static).update(Text(plain(words), STATUS_STYLES["stopping"]))


def export_of(screen: Screen[Any]) -> ExportForm:
    """Return the form for a screen: its picture as it is now, and whatever else it has to give."""
    picture = screen.app.export_screenshot()
    own = screen.exports() if isinstance(screen, Exporting) else ()
    stem = f"fsrun-{type(screen).__name__.removesuffix('Screen').lower()}"
    return ExportForm((of_text("screen", ".svg", lambda: picture), *own), stem, Path.cwd())
