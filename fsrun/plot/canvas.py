"""Lines, bands and marks on a field of characters, each character eight dots of braille or one of ASCII.

Not here: axes (frame.py), and what is drawn in which order (chart.py).
"""

from collections.abc import Iterable, Sequence
from math import floor

from rich.text import Span, Text

Points = Sequence[tuple[float, float]]

_LEFT = tuple(sum(bit for n, bit in enumerate((0x40, 0x4, 0x2, 0x1)) if half >> n & 1) for half in range(16))
_RIGHT = tuple(
    sum(bit for n, bit in enumerate((0x80, 0x20, 0x10, 0x8)) if half >> n & 1) for half in range(16)
)
_BRAILLE = 0x2800


class Canvas:
    """A field of `width` x `height` characters on which x and y run between two limits each.

    What is drawn later covers what was drawn before, but dots of braille of one layer join.
    """

    def __init__(
        self, width: int, height: int, x: tuple[float, float], y: tuple[float, float], *, braille: bool
    ) -> None:
        self.width, self.height = width, height
        self._across, self._up = (2, 4) if braille else (1, 1)  # dots of a character
        self._x, self._y = x, y
        self._chars = [[" "] * width for _ in range(height)]  # the lowest row first
        self._styles = [[""] * width for _ in range(height)]
        self._layers = [[0] * width for _ in range(height)]
        self._layer = 0

    def line(self, stretches: Iterable[Points], ink: str, style: str, dash: tuple[int, int] = (1, 0)) -> None:
        """Draw a line through the points of each stretch, in order of x; `ink` is used without braille.

        `dash` is how many columns of dots are drawn, and how many are then left out.
        """
        columns = self._traced(stretches)
        on, off = dash
        if off:
            columns = [bits if place % (on + off) < on else 0 for place, bits in enumerate(columns)]
        if self._up == 1:
            self._put_ink(columns, ink, style)
        else:
            self._put_braille(columns, style)

    def new_layer(self) -> None:
        """Have the dots drawn from now on not join those that are there."""
        self._layer += 1

    def mark(self, x: float, y: float, ink: str, style: str) -> None:
        """Put one character where a point lies, if it lies on the field."""
        column = self.column_of(x)
        row = floor(self._part(y, self._y) * (self.height - 1) + 0.5)
        if 0 <= column < self.width and 0 <= row < self.height:
            self._put(row, column, ink, style)

    def upright(self, column: int, low: float, high: float, ink: str, style: str) -> None:
        """Fill a column of characters between two values of y."""
        first, last = (floor(self._part(value, self._y) * (self.height - 1) + 0.5) for value in (low, high))
        for row in range(max(first, 0), min(last, self.height - 1) + 1):
            self._put(row, column, ink, style)

    def column(self, column: int, ink: str, style: str) -> None:
        """Draw a line from the lowest to the highest row, if the column is on the field."""
        for row in range(self.height) if 0 <= column < self.width else ():
            self._put(row, column, ink, style)

    def column_of(self, x: float) -> int:
        """Return the column of characters in which x lies, outside of 0..width-1 if it lies on none."""
        return self.columns_of((x,))[0]

    def columns_of(self, places: Sequence[float]) -> list[int]:
        """Return the column of each of many x, none of them NaN."""
        scale = (self.width - 1) / (self._x[1] - self._x[0])
        start = self._x[0] * scale - 0.5
        return [floor(x * scale - start) for x in places]

    def level(self, y: float, ink: str, style: str) -> None:
        """Draw a line across the whole field."""
        row = floor(self._part(y, self._y) * (self.height - 1) + 0.5)
        if 0 <= row < self.height:
            for column in range(self.width):
                self._put(row, column, ink, style)

    def rows(self) -> list[Text]:
        """Return what was drawn, the highest row first."""
        drawn = zip(self._chars, self._styles, strict=True)
        return [Text("".join(chars), spans=list(_spans(styles))) for chars, styles in drawn][::-1]

    @staticmethod
    def _part(value: float, limits: tuple[float, float]) -> float:
        return (value - limits[0]) / (limits[1] - limits[0])

    def _put(self, row: int, column: int, char: str, style: str) -> None:
        self._chars[row][column] = char
        self._styles[row][column] = style
        self._layers[row][column] = self._layer

    def _traced(self, stretches: Iterable[Points]) -> list[int]:
        """Return each column of dots as a number, the lowest dot its lowest bit."""
        width, height = self._across * self.width, self._up * self.height
        x_scale = (width - 1) / (self._x[1] - self._x[0])
        y_scale = (height - 1) / (self._y[1] - self._y[0])
        columns = [0] * width
        for points in stretches:
            before: tuple[float, float] | None = None
            for x, y in points:
                here = (x - self._x[0]) * x_scale, (y - self._y[0]) * y_scale
                _segment(columns, height, *(before or here), *here)
                before = here
        return columns

    def _put_ink(self, columns: Sequence[int], ink: str, style: str) -> None:
        for column, bits in enumerate(columns):
            for row in _set_bits(bits):
                self._put(row, column, ink, style)

    def _put_braille(self, columns: Sequence[int], style: str) -> None:
        for column in range(self.width):
            left, right = columns[2 * column], columns[2 * column + 1]
            both = left | right
            if not both:
                continue
            for row in range(((both & -both).bit_length() - 1) // 4, (both.bit_length() - 1) // 4 + 1):
                dots = _LEFT[left >> 4 * row & 15] | _RIGHT[right >> 4 * row & 15]
                if dots:
                    self._put(row, column, chr(self._dots_at(row, column) | dots | _BRAILLE), style)

    def _dots_at(self, row: int, column: int) -> int:
        """Return the dots of this layer that are there already."""
        code = ord(self._chars[row][column])
        return code & 0xFF if code >= _BRAILLE and self._layers[row][column] == self._layer else 0


def _segment(columns: list[int], height: int, x: float, y: float, to_x: float, to_y: float) -> None:
    """Set the dots of a straight line from left to right; what lies outside is left out."""
    first, last = floor(x + 0.5), floor(to_x + 0.5)
    if first == last:  # most points of a long curve
        if 0 <= first < len(columns):
            columns[first] |= _run(y, to_y, height)
        return
    slope = (to_y - y) / (to_x - x)
    if last == first + 1 and first >= 0 and last < len(columns):  # and most others
        middle = y + slope * (first + 0.5 - x)
        columns[first] |= _run(y, middle if abs(slope) > 1 else y, height)
        columns[last] |= _run(middle if abs(slope) > 1 else to_y, to_y, height)
        return
    reach = 0.5 if abs(slope) > 1 else 0.0  # a steep line fills its column, a flat one has a dot in each
    for column in range(max(first, 0), min(last, len(columns) - 1) + 1):
        start = y + slope * (min(max(column - reach, x), to_x) - x)
        end = y + slope * (min(max(column + reach, x), to_x) - x)
        columns[column] |= _run(start, end, height)


def _run(start: float, end: float, height: int) -> int:
    """Return the dots between two heights as bits."""
    low, high = (start, end) if start <= end else (end, start)
    lowest, highest = floor(low + 0.5), floor(high + 0.5)
    if highest < 0 or lowest >= height:
        return 0
    return (1 << (highest if highest < height else height - 1) + 1) - (1 << (lowest if lowest > 0 else 0))


def _set_bits(bits: int) -> Iterable[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _spans(styles: Sequence[str]) -> Iterable[Span]:
    """Give a span for each stretch of characters in one style."""
    start = 0
    for place in range(1, len(styles) + 1):
        if place == len(styles) or styles[place] != styles[start]:
            if styles[start]:
                yield Span(start, place, styles[start])
            start = place
