"""A widget whose content is lines of text that are drawn as they are: a third of the work of wrapping a text.

Not here: any content.
"""

from collections.abc import Sequence

from rich.segment import Segment
from rich.text import Text
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget


class Rows(Widget):
    """Draws the lines that `rows` returns, made anew after each refresh and each change of size."""

    _strips: Sequence[Strip] = ()
    _drawn_for: Size | None = None

    def rows(self) -> Sequence[Text]:
        """Return the lines, at most as wide as the widget."""
        return ()

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> "Rows":
        """Have everything drawn anew."""
        self._drawn_for = None
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def render_line(self, y: int) -> Strip:
        """Return a line as the screen has it."""
        size = self.size
        if self._drawn_for != size:
            self._strips = [self._strip(row, size.width) for row in self.rows()]
            self._drawn_for = size
        return self._strips[y] if y < len(self._strips) else Strip.blank(size.width, self.rich_style)

    def _strip(self, row: Text, width: int) -> Strip:
        segments = Segment.apply_style(row.render(self.app.console), self.rich_style)
        return Strip(segments).adjust_cell_length(width, self.rich_style)
