"""What the dashboard would have whatever it showed: themes, notices, help, commands, a word on its size.

Not here: runs, and the database (fsrun.tui.app).
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.filter import LineFilter
from textual.reactive import var
from textual.screen import Screen

from fsrun.tui.keys import commands, keys_of
from fsrun.tui.screens.help import Help
from fsrun.tui.screens.too_small import TooSmall, is_too_small
from fsrun.tui.state import State
from fsrun.tui.themes import THEMES, Inks, following

NOTICE_SECONDS = 8.0


class Shell(App[None]):
    """An app that keeps what the user chose in `state`, and says one thing at a time in `notice`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("T", "theme", "Theme", tooltip="next theme: dark, light, colour-blind-safe"),
        Binding("ctrl+p", "command_palette", "Commands", tooltip="any of these by its name"),
        Binding("question_mark", "help", "Help", key_display="?", tooltip="these keys"),
        Binding("q", "quit", "Quit", tooltip="quit; runs and workers go on"),
    ]

    notice: var[str] = var("")

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state
        for theme in THEMES:
            self.register_theme(theme)
        first = self._kept_theme()
        if self.available_themes[first].dark == self.current_theme.dark:
            # There are no styles yet, which would all be made twice.
            self.set_reactive(Shell.theme, first)
            self.stylesheet.set_variables(self.get_css_variables())
        self._inks = Inks(first)

    def on_mount(self) -> None:
        """Take up the theme of the last time."""
        self.theme = self._kept_theme()
        if self.state.trouble:
            self.say(self.state.trouble)

    def on_resize(self, event: events.Resize) -> None:
        """Say where there is no room, and make way where there is again."""
        is_covered = isinstance(self.screen, TooSmall)
        if is_covered and not is_too_small(event.size):
            self.pop_screen()
        elif not is_covered and is_too_small(event.size) and len(self.screen_stack) > 1:
            self.push_screen(TooSmall())

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return what is done to each line drawn: the theme's colours come first."""
        return [self._inks, *super().get_line_filters()] if self._inks.enabled else super().get_line_filters()

    def watch_theme(self, name: str) -> None:
        """Draw words and charts in the theme's colours too."""
        self._inks = Inks(name)

    @property
    def page(self) -> Screen[Any]:
        """The screen that keys and commands are about: the one below the command palette."""
        below = (each for each in reversed(self.screen_stack) if not isinstance(each, CommandPalette))
        return next(below, None) or Screen()  # while the dashboard closes there is none

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Offer in the command palette what the keys offer."""
        return commands(screen)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer nothing but to quit where the screen is too small."""
        return not isinstance(self.screen, TooSmall) or action == "quit"

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help(list(keys_of(self.screen))))

    def action_theme(self) -> None:
        """Change to the next theme, and keep it."""
        self.theme = following(self.theme)
        self.state.set("theme", self.theme)
        self.say(f"theme {self.theme}")

    def _kept_theme(self) -> str:
        kept = self.state.get("theme", THEMES[0].name)
        return kept if kept in self.available_themes else THEMES[0].name

    def say(self, notice: str) -> None:
        """Say something in the status line for a few seconds."""
        self.notice = notice
        self.set_timer(NOTICE_SECONDS, partial(self._forget, notice))

    def _forget(self, notice: str) -> None:
        if self.notice == notice:
            self.notice = ""
