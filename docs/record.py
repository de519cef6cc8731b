"""Record a terminal while commands are typed into it, as an animated SVG: python docs/record.py OUT.svg.

The commands are real and so is what they print. Pauses in which nothing changes are shortened. It needs the
extra `test`.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from html import escape
from itertools import pairwise
from pathlib import Path

import pexpect
import pyte

COLUMNS, LINES = 100, 26
LONGEST = 1.5  # seconds that a picture stands at most
LAST = 6.0  # seconds that the last one stands
WIDTH, HEIGHT = 8.4, 18.0  # of a character, in pixels

COMMANDS = (
    "fsrun queue glyphs --preset quick --method pixel-knn,protonet --set protonet.steps=150",
    "fsrun worker --drain",
    "fsrun ls",
    "fsrun compare 2 1",
)

COLOURS = {
    **{"default": "#d4d4d4", "black": "#6b7280", "red": "#f87171", "green": "#86c98f", "brown": "#e0b64f"},
    **{"blue": "#6ea8e0", "magenta": "#c792d8", "cyan": "#56b6c2", "white": "#f3f4f6"},
}

Frame = tuple[float, str]
"""How many seconds a picture stands, and its lines as SVG."""


def recorded(commands: Sequence[str]) -> Iterator[tuple[float, str]]:
    """Yield when the terminal changed, in seconds from the start, and what it showed."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.Stream(screen)
    with tempfile.TemporaryDirectory() as home:
        settings = {**os.environ, "FSRUN_HOME": home, "TERM": "xterm-256color", "PS1": "$ "}
        settings["PATH"] = f"{Path(sys.executable).parent}:{settings['PATH']}"
        shell = pexpect.spawn(
            "bash --norc", env=settings, dimensions=(LINES, COLUMNS), encoding="utf-8", timeout=600
        )
        start, shown = time.monotonic(), ""

        def seen() -> Iterator[tuple[float, str]]:
            nonlocal shown
            picture = drawn(screen)
            if picture != shown:
                shown = picture
                yield time.monotonic() - start, picture

        def read(seconds: float) -> None:
            with suppress(pexpect.TIMEOUT):
                stream.feed(shell.read_nonblocking(4096, timeout=seconds))

        read(1.0)
        for command in commands:
            for char in command:
                shell.send(char)
                read(0.05)
                yield from seen()
            shell.send("\r")
            quiet = time.monotonic()
            while time.monotonic() - quiet < 1.0 or not is_prompt(screen):
                read(0.1)
                before = shown
                yield from seen()
                quiet = time.monotonic() if shown != before else quiet
        shell.close(force=True)


def is_prompt(screen: pyte.Screen) -> bool:
    """Say whether the shell waits for a command."""
    return screen.display[screen.cursor.y].rstrip() == "$"


def drawn(screen: pyte.Screen) -> str:
    """Return the lines of a screen as SVG, runs of one style together."""
    lines = []
    for number in range(LINES):
        row, parts, place = screen.buffer[number], [], 0
        while place < COLUMNS:
            style = (row[place].fg, row[place].bold)
            end = place
            while end < COLUMNS and (row[end].fg, row[end].bold) == style:
                end += 1
            text = "".join(row[each].data for each in range(place, end))
            if text.strip():
                colour = COLOURS.get(style[0], f"#{style[0]}" if len(style[0]) == 6 else COLOURS["default"])
                bold = ' font-weight="bold"' if style[1] else ""
                x, y = 14 + place * WIDTH, 44 + number * HEIGHT
                parts.append(
                    f'<text x="{x:.1f}" y="{y:.0f}" fill="{colour}"{bold}>{escape(text.rstrip())}</text>'
                )
            place = end
        lines.append("".join(parts))
    return "".join(lines)


def animated(pictures: Sequence[tuple[float, str]]) -> str:
    """Return one SVG that shows the pictures one after another, again and again."""
    stands = [min(after - at, LONGEST) for (at, _), (after, _) in pairwise(pictures)] + [LAST]
    whole, begun = sum(stands), 0.0
    styles, groups = [], []
    for number, (stand, (_, picture)) in enumerate(zip(stands, pictures, strict=True)):
        first, last = 100 * begun / whole, 100 * (begun + stand) / whole
        styles.append(
            f"@keyframes f{number}{{0%,{first:.3f}%{{visibility:hidden}}{first + 1e-3:.3f}%,{last:.3f}%"
            f"{{visibility:visible}}{min(last + 1e-3, 100):.3f}%,100%{{visibility:hidden}}}}"
            f"#f{number}{{animation:f{number} {whole:.2f}s step-end infinite;visibility:hidden}}"
        )
        groups.append(f'<g id="f{number}">{picture}</g>')
        begun += stand
    width, height = 28 + COLUMNS * WIDTH, 40 + LINES * HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        'font-family="ui-monospace,SFMono-Regular,Menlo,DejaVu Sans Mono,monospace" font-size="14">'
        f"<style>text{{white-space:pre}}{''.join(styles)}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="#16181d"/>'
        '<g fill="#4b5563"><circle cx="20" cy="16" r="5"/><circle cx="38" cy="16" r="5"/>'
        '<circle cx="56" cy="16" r="5"/></g>'
        f"{''.join(groups)}</svg>\n"
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(animated(list(recorded(COMMANDS))), encoding="utf-8")
