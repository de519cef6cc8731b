"""The lines above a chart: its title, and which curve is which with its newest value, or that at the cursor.

Not here: the curves themselves (chart.py).
"""

from bisect import bisect_left
from collections.abc import Sequence

from rich.text import Text

from fsrun.axes import format_number
from fsrun.plot.inks import Ink
from fsrun.plot.series import Level, Series, Style

_GAP = Text("   ")


def head(
    title: Text,
    series: Sequence[Series],
    inks: Sequence[Ink],
    levels: Sequence[Level],
    cursor: float | None,
    *,
    width: int,
    most: int,
    colour: bool,
) -> list[Text]:
    """Return the title with the legend behind it, or below it in at most `most` lines where it is long."""
    entries = _entries(series, inks, levels, cursor, colour)
    together = _GAP.join([part for part in (title, *entries) if part.plain])
    lines = [together] if together.cell_len <= width else [title, *_wrapped(entries, width, most)]
    for line in lines:
        line.truncate(width, overflow="ellipsis" if colour else "crop")
    return [line for line in lines if line.plain] or [Text()]


def value_at(series: Series, x: float) -> float | None:
    """Return the value nearest to x, None where there are no points."""
    if not series.steps:
        return None
    after = min(bisect_left(series.steps, x), len(series.steps) - 1)
    before = max(after - 1, 0)
    nearest = before if x - series.steps[before] <= series.steps[after] - x else after
    return series.values[nearest]


def _entries(
    series: Sequence[Series], inks: Sequence[Ink], levels: Sequence[Level], cursor: float | None, colour: bool
) -> list[Text]:
    named = [(one, ink) for one, ink in zip(series, inks, strict=True) if one.style is not Style.FAINT]
    entries = [_entry(one, ink, cursor, alone=len(named) == 1) for one, ink in named]
    dashes, grey = ("┈┈", "dim") if colour else ("..", "")
    return entries + [Text(f"{dashes} {level.name} {format_number(level.value)}", grey) for level in levels]


def _entry(series: Series, ink: Ink, cursor: float | None, *, alone: bool) -> Text:
    sample = "" if alone and series.style is Style.SOLID else f"{ink.sample} "
    newest = series.values[-1] if series.values else None
    value = newest if cursor is None else value_at(series, cursor)
    return Text(f"{sample}{series.name}{'' if value is None else f' {format_number(value)}'}", ink.style)


def _wrapped(entries: Sequence[Text], width: int, most: int) -> list[Text]:
    """Return the entries line by line; what is left when there are enough lines is cut off."""
    lines: list[Text] = []
    for entry in entries:
        if lines and (len(lines) >= most or lines[-1].cell_len + 3 + entry.cell_len <= width):
            lines[-1] = _GAP.join([lines[-1], entry])
        else:
            lines.append(entry)
    return lines
