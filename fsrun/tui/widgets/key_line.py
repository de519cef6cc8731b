"""The last line of a screen: its most important keys, as many as fit.

Not here: all keys (fsrun.tui.screens.help), and what they do.
"""

from collections.abc import Sequence

from rich.text import Text
from textual import events
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget

from fsrun.tui.keys import Key, keys_of
from fsrun.tui.themes import BLUE

_KEY = "bold rgb({},{},{})".format(*BLUE)
_GAP = 2
_ALWAYS = ("help", "quit")
"""Actions whose keys are in sight however narrow the screen is."""


class KeyLine(Widget):
    """The keys that bindings want shown, faint where they do nothing now; a click is as good as the key."""

    keys: reactive[tuple[Key, ...]] = reactive(())

    def on_mount(self) -> None:
        """Follow what is on offer."""
        self.screen.bindings_updated_signal.subscribe(self, self._renew)
        self.call_after_refresh(self._renew, self.screen)

    def render(self) -> Text:
        """Draw the line."""
        line = Text(" ")
        for key in fitting(self.keys, self.size.width - 1):
            name = Text(key.shown[0], _KEY).append(f" {key.name}", "not bold default")
            if not key.enabled:
                name.stylize("dim")
            line.append_text(name).append(" " * _GAP)
        line.rstrip()
        return line

    async def on_click(self, event: events.Click) -> None:
        """Do what the key under the pointer does."""
        right = 1
        for key in fitting(self.keys, self.size.width - 1):
            left, right = right, right + _width(key)
            if left <= event.x < right - _GAP and key.enabled:
                await self.app.run_action(key.action, key.node)

    def _renew(self, screen: Screen[object]) -> None:
        self.keys = tuple(key for key in keys_of(screen) if key.in_footer)


def fitting(keys: Sequence[Key], width: int) -> list[Key]:
    """Return the keys that fit, those that came last left out first, help and quit never."""
    fit = list(keys)
    while sum(map(_width, fit)) - _GAP > width:
        spare = [key for key in fit if key.action not in _ALWAYS]
        if not spare:
            break
        fit.remove(spare[-1])
    return fit


def _width(key: Key) -> int:
    return len(key.shown[0]) + 1 + len(key.name) + _GAP
