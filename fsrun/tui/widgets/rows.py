"""A widget whose content is lines of text, each drawn anew only where it has changed.

Not here: any content, and how a line is drawn (strips.py).
"""

from collections.abc import Sequence

from rich.style import Style
from rich.text import Text
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from fsrun.tui.widgets.strips import strip_of


class Rows(Widget):
    """Draws the lines that `rows` returns: all of them after a refresh, those that changed after `renew`."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: Sequence[Text] = ()
        self._strips: Sequence[Strip] = ()
        self._drawn_for: tuple[Size, Style] | None = None
        self._is_renewing = False

    def rows(self) -> Sequence[Text]:
        """Return the lines, at most as wide as the widget."""
        return ()

    def renew(self) -> None:
        """Have the lines that changed drawn anew, once whatever else changes has changed too."""
        if not self._is_renewing:
            self._is_renewing = True
            self.call_later(self._renew)

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> "Rows":
        """Have everything drawn anew."""
        self._drawn_for = None
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def render_line(self, y: int) -> Strip:
        """Return a line as the screen has it."""
        if self._drawn_for is None or self._drawn_for[0] != self.size:
            self._draw()
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def _renew(self) -> None:
        self._is_renewing = False
        before = self._strips
        if self._drawn_for != (self.size, self.rich_style):
            self.refresh()
            return
        self._draw()
        if len(before) != len(self._strips):
            super().refresh()
            return
        pairs = enumerate(zip(self._strips, before, strict=True))
        changed = [Region(0, y, self.size.width, 1) for y, (strip, old) in pairs if strip is not old]
        if changed:
            super().refresh(*changed)

    def _draw(self) -> None:
        """Make the strips of all lines; those of lines that are as they were stay the same objects."""
        drawn_for = self.size, self.rich_style
        known = self._lines if self._drawn_for == drawn_for else ()
        self._drawn_for, self._lines = drawn_for, self.rows()
        width, style = self.size.width, drawn_for[1]
        self._strips = [
            self._strips[y]
            if y < len(known) and known[y] == line and known[y].style == line.style
            else strip_of(line, style, width, self.app.console)
            for y, line in enumerate(self._lines)
        ]
