"""The curves of one run as charts, as many at once as have room.

Not here: which curves share a chart (fsrun.tui.curves) and how one is drawn (fsrun.plot).
"""

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from fsrun.plot import draw_chart
from fsrun.tui.curves import Chart

_LEAST = (50, 9)  # columns and rows a chart needs beside others
_GAP = 2  # columns between two charts


def arrange(count: int, width: int, height: int) -> tuple[int, int]:
    """Return how many charts go beside and below each other, (1, 1) where only one has room."""
    columns = max(min((width + _GAP) // (_LEAST[0] + _GAP), count), 1)
    rows = max(min(height // _LEAST[1], -(-count // columns)), 1)
    return -(-count // rows) if columns * rows >= count > 0 else columns, rows


class Charts(Widget):
    """Charts in a grid; where not all fit, one page at a time."""

    charts: reactive[tuple[Chart, ...]] = reactive(())
    page: reactive[int] = reactive(0)

    def pages(self) -> int:
        """Return how many pages the charts take at the present size."""
        columns, rows = arrange(len(self.charts), *self.size)
        return max(-(-len(self.charts) // (columns * rows)), 1)

    def turn(self, by: int) -> None:
        """Show the next page, or the one before, round and round."""
        self.page = (self.page + by) % self.pages()

    def render(self) -> Text:
        """Draw the page."""
        width, height = self.size
        if not self.charts or width < 1 or height < 1:
            return draw_chart([], width=width, height=height) if width > 0 < height else Text()
        columns, rows = arrange(len(self.charts), width, height)
        pages = self.pages()
        page = self.page % pages
        start = page * columns * rows
        shown = self.charts[start : start + columns * rows]
        lines: list[Text] = []
        for first in range(0, len(shown), columns):
            row = shown[first : first + columns]
            lines += _beside(row, (width - _GAP * (columns - 1)) // columns, height // rows)
        if pages > 1:
            _put_right(lines[0], f"{page + 1}/{pages} tab", width)
        return Text("\n").join(lines)


def _beside(charts: tuple[Chart, ...], width: int, height: int) -> list[Text]:
    """Return the lines of charts set side by side."""
    drawn = [
        draw_chart(chart.series, width=width, height=height, title=chart.title, log_y=chart.log_y).split(
            "\n", allow_blank=True
        )
        for chart in charts
    ]
    lines = []
    for parts in zip(*drawn, strict=True):
        for part in parts[:-1]:
            part.pad_right(width + _GAP - part.cell_len)
        lines.append(Text().join(parts))
    return lines


def _put_right(line: Text, words: str, width: int) -> None:
    """Write the words at the right end of the line, over what is there."""
    line.truncate(width - len(words) - 1)
    line.pad_right(width - len(words) - line.cell_len)
    line.append(words, "dim")
