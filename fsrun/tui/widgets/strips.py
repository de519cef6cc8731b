"""A line of text as the screen has it: most are stretches of one style each, which is quick to see to.

Not here: which lines there are (rows.py, run_table.py).
"""

from functools import lru_cache

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip


def strip_of(line: Text, base: Style, width: int, console: Console) -> Strip:
    """Return a line in its styles over a base, padded or cut to so many columns."""
    segments = _stretches(line, base)
    if segments is None:
        segments = list(Segment.apply_style(line.render(console), base))
    return Strip(segments, line.cell_len).adjust_cell_length(width, base)


def _stretches(line: Text, base: Style) -> list[Segment] | None:
    """Return the line's stretches; None where styles lie over each other, which rich must sort out."""
    words, here = line.plain, 0
    ground = _over(base, line.style)
    segments = []
    for start, end, style in line.spans:
        if start < here:
            return None
        if start > here:
            segments.append(Segment(words[here:start], ground))
        if end > start:
            segments.append(Segment(words[start:end], _over(ground, style)))
        here = end
    if here < len(words):
        segments.append(Segment(words[here:], ground))
    return segments


@lru_cache(maxsize=4096)
def _over(base: Style, style: str | Style) -> Style:
    return base + (Style.parse(style) if isinstance(style, str) else style)
