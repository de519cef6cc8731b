"""A table for a paper: LaTeX in the style of booktabs, its notes below it.

Not here: the figures, which are pictures (pictures.py).
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from fsrun.report.table import Column, Table, column_widths, columns_within, headings_beside, with_columns

SMALL, FOOTNOTE = 74, 83
"""Characters of each type that stand side by side on a page of one column."""
WIDE = 26
"""Characters from which a column of words is set as a paragraph."""

PREAMBLE = r"\usepackage{array,booktabs,threeparttable}"

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    '"': "''",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "’": "'",
    "‘": "`",
    "“": "``",
    "”": "''",
    "ß": r"\ss{}",
    "\u00a0": "~",
    "−": "$-$",
} | {mark: f"\\{mark}" for mark in "&%$#_{}"}

_MATH = {
    "<": "<",
    ">": ">",
    "|": "|",
    "±": r"\pm",
    "×": r"\times",
    "·": r"\cdot",
    "→": r"\to",
    "≤": r"\le",
    "≥": r"\ge",
    "≈": r"\approx",
    "∞": r"\infty",
    "√": r"\surd",
    "†": r"\dagger",
    "‡": r"\ddagger",
    "↑": r"\uparrow",
    "‖": r"\|",
    "°": r"^{\circ}",
    "⁻": "^{-}",
    "ᵀ": "^{T}",
    "⊤": r"\top",
} | {mark: f"^{{{digit}}}" for digit, mark in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}

_GREEK = {"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "lambda", "mu", "nu", "xi"}
_GREEK |= {"pi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega"}
_GREEK |= {"Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega"}
_BAR = "\u0304"
_ACCENTS = frozenset("\u0300\u0301\u0302\u0303\u0308\u030a\u030c\u0327")  # that every font has


def to_latex(table: Table, label: str) -> str:
    """Return a table environment with caption, label and notes; it compiles after PREAMBLE.

    Columns that a page has no room for are left out, and named in a comment; so are those that can be spared
    beside groups of columns, which are what such a table is about.
    """
    table = replace(table, columns=tuple(map(_spared, table.columns)))
    grouped = any(column.group for column in table.columns)
    kept = [
        place
        for place in columns_within(table, _least_widths(table), FOOTNOTE)
        if not (grouped and table.columns[place].spare)
    ]
    left_out = headings_beside(table, kept)
    shown = with_columns(table, kept).with_needed_notes()
    comment = f"% Left out: {', '.join(left_out)}. The formats csv and json have all."
    more = f"% {len(table.details)} more notes: add --notes."
    comments = [*([comment] if left_out else []), *([more] if table.details else [])]
    return "\n".join([*comments, *_environment(shown, label)])


def commented(text: str) -> str:
    """Return a text that stands in no document, one comment for each of its lines."""
    return "\n".join(f"% {line}".rstrip() for line in text.splitlines())


def escaped(text: str) -> str:
    """Return plain text as LaTeX prints it; what it has no sign for is named by its number."""
    parts = re.split(rf"(`[^`]+`|\w{_BAR})", unicodedata.normalize("NFC", text))
    return "".join(map(_part, parts))


def _environment(table: Table, label: str) -> Iterator[str]:
    yield r"\begin{table}"
    small = sum(_least_widths(table)) + len(table.columns) <= SMALL
    yield rf"  \centering\{'small' if small else 'footnotesize'}\setlength{{\tabcolsep}}{{4pt}}"
    yield r"  \begin{threeparttable}"
    yield rf"    \caption{{{escaped(_caption(table.title))}}}"
    yield rf"    \label{{tab:{label}}}"
    yield rf"    \begin{{tabular}}{{@{{}}{''.join(_kinds(table))}@{{}}}}"
    yield r"      \toprule"
    yield from (f"      {line}" for line in _headings(table))
    yield r"      \midrule"
    for number, row in enumerate(table.rows):
        if number == table.extra:
            yield r"      \midrule"
        cells = [
            (_number(cell) if each.numeric else escaped(cell), (number, each.heading) in table.best)
            for cell, each in zip(row, table.columns, strict=True)
        ]
        bold = [rf"\textbf{{{cell}}}" if best else cell for cell, best in cells]
        yield f"      {_line(bold)}"
    yield r"      \bottomrule"
    yield r"    \end{tabular}"
    if table.notes:
        yield r"    \begin{tablenotes}[flushleft]\footnotesize\raggedright"
        yield from (rf"      \item {escaped(note)}" for note in table.notes)
        yield r"    \end{tablenotes}"
    yield r"  \end{threeparttable}"
    yield r"\end{table}"


def _headings(table: Table) -> Iterator[str]:
    """Yield the names of groups, each above its columns and a rule, and the headings below them."""
    groups = table.groups()
    if any(group for group, _ in groups):
        names = [
            rf"\multicolumn{{{size}}}{{c}}{{{escaped(group)}}}" if group else " & " * (size - 1)
            for group, size in groups
        ]
        yield _line(names)
        ends = list(accumulate(size for _, size in groups))
        yield " ".join(
            rf"\cmidrule(lr){{{end - size + 1}-{end}}}"
            for (group, size), end in zip(groups, ends, strict=True)
            if group
        )
    yield _line([escaped(column.shown) for column in table.columns])


def _spared(column: Column) -> Column:
    """Return the column, that of the runs as one to be left out: a comment above the table names them."""
    return replace(column, spare=column.spare or 1) if column.heading == "Runs" else column


def _least_widths(table: Table) -> list[int]:
    """Return how wide the columns are, long words set as paragraphs and intervals close to their numbers."""
    close = tuple(tuple(cell.replace(" ± ", "± ").replace(" †", "†") for cell in row) for row in table.rows)
    widths = zip(column_widths(replace(table, rows=close)), table.columns, strict=True)
    return [width if column.numeric else min(width, WIDE) for width, column in widths]


def _caption(title: str) -> str:
    """Return the title without the number it has in the paper that is reproduced: LaTeX gives its own."""
    words = re.sub(r"^(Table|Figure) \d+: ", "", title)
    return f"{words[:1].upper()}{words[1:]}"


def _kinds(table: Table) -> Iterator[str]:
    """Yield how each column is set: words of great length share what the others leave."""
    widths = column_widths(table)
    long = [place for place, width in enumerate(widths) if width > WIDE and not table.columns[place].numeric]
    room = SMALL - sum(width + 1 for place, width in enumerate(widths) if place not in long)
    asked = sum(widths[place] for place in long)
    for place, column in enumerate(table.columns):
        if place in long:
            share = max(room * widths[place] // asked, WIDE // 2)
            yield rf">{{\raggedright\arraybackslash}}p{{{share / 2:.1f}em}}"
        else:
            yield "r" if column.numeric else "l"


def _line(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\".lstrip()


def _number(cell: str) -> str:
    """Return a number with its interval close to it and its mark above."""
    close = escaped(cell).replace(r" $\pm$ ", r"\,$\pm$\,").replace(r" $\dagger$", r"$^\dagger$")
    return re.sub(r"^-(?=\d)", "$-$", close)


def _part(part: str) -> str:
    """Return words, or what stands between backticks, or a letter with a bar."""
    if part.startswith("`") and part.endswith("`") and len(part) > 2:
        return rf"\texttt{{{_words(part[1:-1])}}}"
    return rf"$\bar{{{part[0]}}}$" if part.endswith(_BAR) else _words(part)


def _words(text: str) -> str:
    return "-{}-".join("".join(map(_sign, part)) for part in text.split("--"))


def _sign(char: str) -> str:
    if char in _SPECIAL:
        return _SPECIAL[char]
    if char in _MATH:
        return f"${_MATH[char]}$"
    if char.isascii():
        return char if char.isprintable() else " "
    greek = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(char, ""))
    if greek:
        word = greek[2].replace("LAMDA", "LAMBDA").lower()
        command = word.capitalize() if greek[1] == "CAPITAL" else word
        if command in _GREEK:
            return rf"$\{command}$"
    base, *accents = list(unicodedata.normalize("NFD", char))
    if base.isascii() and accents and all(accent in _ACCENTS for accent in accents):
        return char
    return f"[U+{ord(char):04X}]"
