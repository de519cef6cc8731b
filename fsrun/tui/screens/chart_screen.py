"""What the screens of one run and of several have in common: where charts and sections of text go.

Not here: keys of charts (chart_keys.py), which charts and which sections (run.py, compare.py).
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input, Static

from fsrun.tui import chart_view
from fsrun.tui.closely import Closely
from fsrun.tui.messages import LookedCloser, Picture
from fsrun.tui.screens.chart_keys import NEED_CHARTS, ChartKeys
from fsrun.tui.state import State
from fsrun.tui.widgets.chart_grid import SMALL
from fsrun.tui.widgets.charts import Charts
from fsrun.tui.widgets.key_line import KeyLine
from fsrun.tui.widgets.section_line import Section, SectionLine
from fsrun.tui.widgets.status_line import StatusLine

WIDE = 130
"""Columns from which a section stands beside the charts, not in their place."""


@dataclass(frozen=True)
class _Shown:
    """What of the screen is shown."""

    section: str | None
    charts: bool


class ChartScreen(ChartKeys):
    """Charts and, beside them or in their place, one section of text at a time."""

    BINDING_GROUP_TITLE = "Charts"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape,backspace", "back", "Back", tooltip="back: to the charts, to all of them, to the list"
        ),
        Binding("j,down", "scroll_text(1)", "Down", tooltip="scroll the text"),
        Binding("k,up", "scroll_text(-1)", "Up", tooltip="scroll the text"),
        Binding("g,home", "text_end(-1)", "Top", tooltip="to the top of the text"),
        Binding("G,end", "text_end(1)", "End", tooltip="to the end of the text, and follow it"),
    ]
    SECTIONS: ClassVar[tuple[Section, ...]]
    KEYS: ClassVar[tuple[str, ...]]
    AUTO_FOCUS = ""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._chosen: str | None = None
        self._shown = _Shown(None, charts=False)
        self._text = Text()

    @property
    def charts(self) -> Charts:
        """The charts of the screen."""
        return self.query_one(Charts)

    @abstractmethod
    def closely(self) -> Closely:
        """Return what the next pictures should hold for this screen."""

    def ask(self) -> None:
        """Have the next pictures hold what this screen needs now."""
        self.app.post_message(LookedCloser(self.closely()))

    def window(self) -> tuple[int, int] | None:
        """Return which steps of the curves are needed."""
        return chart_view.wanted_steps(self.charts.view, self.charts.extent)

    @abstractmethod
    def heading(self) -> Widget:
        """Return what stands above all else."""

    @abstractmethod
    def usual_section(self) -> str:
        """Return the section to show where the user has chosen none and there is room."""

    @abstractmethod
    def section_text(self, name: str, search: str) -> Text | None:
        """Return what stands in a section, None before there is anything to show."""

    @abstractmethod
    def show_picture(self, picture: Picture) -> None:
        """Bring heading and charts up to date."""

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield self.heading()
        yield SectionLine(self.SECTIONS)
        with Container(id="charted"):
            yield Charts(interactive=True, least=SMALL)
            with Vertical(id="section"):
                yield Input(placeholder="search", id="find", compact=True)
                with VerticalScroll(id="reading", can_focus=False):
                    yield Static(id="text")
        yield StatusLine()
        yield KeyLine(*self.KEYS)

    def on_mount(self) -> None:
        """Follow the app's picture of the database."""
        self.query_one("#find").display = False
        self.take_up()
        self.watch(self.app, "picture", self._show)
        self.ask()

    def on_unmount(self) -> None:
        """Need nothing more; a screen like this one below says again what it needs."""
        below = self.app.screen_stack[-1] if self.app.screen_stack else None
        closely: Callable[[], Closely] = getattr(below, "closely", Closely) if below is not self else Closely
        self.app.post_message(LookedCloser(closely()))

    def on_resize(self, event: events.Resize) -> None:
        """Put the section where there is room."""
        self.set_class(event.size.width >= WIDE, "wide")
        self.call_after_refresh(self.place_parts)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what the charts can do where there are any, and to look closer where they are shown."""
        if action in ("next", "axis"):
            return self.is_mounted and bool(self.charts.charts)
        return action not in NEED_CHARTS or self._shown.charts

    def place_parts(self) -> None:
        """Show charts, section or both, whatever there is and there is room for."""
        has_charts = bool(self.charts.charts)
        section = self._chosen or (self.usual_section() if self.has_class("wide") or not has_charts else None)
        shown = _Shown(section, charts=has_charts and (self.has_class("wide") or section is None))
        self.charts.display = shown.charts
        self.query_one("#section").display = section is not None
        self.query_one(SectionLine).section = section or ""
        if shown != self._shown:
            self._shown = shown
            self._text = Text()
            self.query_one("#reading").scroll_home(animate=False)
            self.refresh_bindings()
            self.ask()
        self.write()

    def write(self) -> None:
        """Write the section where it has changed; at its end it goes on to follow it."""
        name = self._shown.section
        text = self.section_text(name, self.query_one("#find", Input).value) if name else None
        if text is None or text == self._text:
            return
        reading = self.query_one("#reading", VerticalScroll)
        follows = reading.max_scroll_y > 0 and reading.scroll_y >= reading.max_scroll_y - 1
        begins_at_end = name == "log" and not self._text
        self._text = text
        self.query_one("#text", Static).update(text)
        if follows or begins_at_end:
            self.call_after_refresh(reading.scroll_end, animate=False)

    def shown_section(self) -> str | None:
        """Return the section on the screen."""
        return self._shown.section

    def action_back(self) -> None:
        """Go back one step: end the search, close the section, show all charts, leave."""
        find = self.query_one("#find", Input)
        if find.display:
            find.value = ""
            find.display = False
            self.set_focus(None)
            self.write()
        elif self._chosen and self.charts.charts and not self.has_class("wide"):
            self._chosen = None
            self.place_parts()
        elif self.charts.large and len(self.charts.charts) > 1:
            self.charts.large = False
        else:
            self.app.pop_screen()

    def action_section(self, name: str) -> None:
        """Show a section, or the charts again where it is shown already."""
        self._chosen = None if self._chosen == name else name
        self.query_one("#find").display = False
        self.set_focus(None)
        self.place_parts()

    def action_search(self) -> None:
        """Search in the config."""
        self._chosen = "config"
        self.place_parts()
        find = self.query_one("#find", Input)
        find.display = True
        find.focus()

    @on(Input.Changed, "#find")
    def _search(self) -> None:
        self.write()

    @on(Input.Submitted, "#find")
    def _keep_search(self) -> None:
        self.set_focus(None)

    def action_scroll_text(self, by: int) -> None:
        """Scroll by lines."""
        self.query_one("#reading").scroll_relative(y=by, animate=False)

    def action_text_end(self, direction: int) -> None:
        """Scroll to the top or to the end."""
        reading = self.query_one("#reading")
        (reading.scroll_end if direction > 0 else reading.scroll_home)(animate=False)

    def _show(self, picture: Picture | None) -> None:
        if picture is not None:
            self.show_picture(picture)
            self.place_parts()
