"""The charts of a report, as many beside each other as have room.

Not here: the curves of a run (charts.py).
"""

from collections.abc import Sequence

from rich.text import Text
from textual.geometry import Size
from textual.reactive import reactive

from fsrun.plot import Plot, draw
from fsrun.tui.widgets.rows import Rows

LEAST_WIDTH = 50  # columns a chart needs beside others
HEIGHT = (10, 20)  # lines of a chart, least and most
_GAP = 2  # columns between two charts


def beside(count: int, width: int) -> int:
    """Return how many of the charts go beside each other."""
    return max(min((width + _GAP) // (LEAST_WIDTH + _GAP), count), 1)


class Plots(Rows):
    """Charts in rows; as tall as they are, for a view that scrolls."""

    plots: reactive[tuple[Plot, ...]] = reactive((), layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the height of all rows."""
        rows = -(-len(self.plots) // beside(len(self.plots), width))
        return rows * self._chart_height(container.height)

    def rows(self) -> Sequence[Text]:
        """Draw the charts."""
        width = self.size.width
        columns = beside(len(self.plots), width)
        if not self.plots or width < 1:
            return ()
        height = self.size.height // -(-len(self.plots) // columns)
        each = (width - _GAP * (columns - 1)) // columns
        lines: list[Text] = []
        for first in range(0, len(self.plots), columns):
            drawn = [draw(plot, width=each, height=height) for plot in self.plots[first : first + columns]]
            for parts in zip(*(one.rows for one in drawn), strict=True):
                lines.append(_joined(parts, each + _GAP))
        return lines

    def _chart_height(self, room: int) -> int:
        return min(max(2 * room // 5, HEIGHT[0]), HEIGHT[1])


def _joined(parts: tuple[Text, ...], width: int) -> Text:
    """Return lines set side by side, each but the last so wide."""
    padded = [part.copy() for part in parts]
    for part in padded[:-1]:
        part.pad_right(width - part.cell_len)
    return Text().join(padded)
