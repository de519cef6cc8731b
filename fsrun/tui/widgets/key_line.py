"""The last line of a screen: its most needed keys, as many as fit.

Not here: all keys (fsrun.tui.screens.help), and what they do.
"""

from collections.abc import Sequence
from dataclasses import replace

from rich.text import Text
from textual import events
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget

from fsrun.tui.keys import Key, keys_of
from fsrun.tui.themes import BLUE

_KEY = "bold rgb({},{},{})".format(*BLUE)
_GAP = 2
_ALWAYS = ("Help", "Quit")
"""Keys that are in sight at the end of the line however narrow the screen is."""


class KeyLine(Widget):
    """The keys of these names, the most needed first, faint where they do nothing now.

    Names of keys that are not on offer are passed over. A click is as good as the key.
    """

    keys: reactive[tuple[Key, ...]] = reactive(())

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._names = (*names, *_ALWAYS)

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
            if left <= event.x < right - _GAP:
                await self.app.run_action(key.action, key.node)

    def _renew(self, screen: Screen[object]) -> None:
        offered = {key.name: key for key in reversed(list(keys_of(screen)))}  # the innermost of a name
        self.keys = tuple(offered[name] for name in self._names if name in offered)


def fitting(keys: Sequence[Key], width: int) -> list[Key]:
    """Return the keys that fit: left out first are those that do nothing now, then the least needed.

    Where that would leave out one of several that go by a common name, these are drawn as one.
    """
    fit = _cut(keys, width)
    missing = next((key.fold for key in keys if key.fold and key not in fit), "")
    return fitting(_folded(keys, missing), width) if missing else fit


def _cut(keys: Sequence[Key], width: int) -> list[Key]:
    fit = list(keys)
    while sum(map(_width, fit)) - _GAP > width:
        spare = [key for key in fit if key.name not in _ALWAYS]
        if not spare:
            break
        fit.remove(next((key for key in reversed(spare) if not key.enabled), spare[-1]))
    return fit


def _folded(keys: Sequence[Key], name: str) -> list[Key]:
    """Return the keys with those of a common name as one, which does what the first of them does."""
    together = [key for key in keys if key.fold == name]
    one = replace(together[0], shown=(" ".join(key.shown[0] for key in together),), name=name, fold="")
    return [one if key is together[0] else key for key in keys if key not in together[1:]]


def _width(key: Key) -> int:
    return len(key.shown[0]) + 1 + len(key.name) + _GAP
