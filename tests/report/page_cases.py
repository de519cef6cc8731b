"""Pages read as a parser reads them, and opened in a real browser where there is one.

Not here: any test.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
VOID = {"meta", "br", "link", "img", "input", "hr"}


@dataclass
class Element:
    """A tag with its attributes, what it stands in, and the text in it."""

    tag: str
    attributes: dict[str, str]
    around: tuple[str, ...]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """All elements of a page in order; `wrong` says what does not end where it should."""

    elements: list[Element] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        around = tuple(each.tag for each in self._open)
        element = Element(tag, {name: value or "" for name, value in attrs}, around)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop().tag != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str) -> list[Element]:
        """Return the elements of a tag."""
        return [each for each in self.elements if each.tag == tag]


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    page.wrong += [f"<{each.tag}> is never closed" for each in page._open]
    return page


def browser() -> str:
    """Return the path of a browser, or skip the test."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser here: apt-get install chromium, or put one of {', '.join(BROWSERS)} on PATH")
    return found


def in_browser(html: str, script: str, folder: Path, *flags: str) -> Any:
    """Open a page in a real browser, carry out a script in it, and return what the script returns."""
    ending = (
        f"<script>const answer = (() => {{ {script} }})();"
        "document.documentElement.setAttribute('data-answer', JSON.stringify(answer));</script>"
    )
    path = folder / "page.html"
    path.write_text(html.replace("</body>", f"{ending}</body>"), encoding="utf-8")
    dom = _browse(folder, "--dump-dom", *flags, path.as_uri())
    found = re.search(r'<html[^>]*data-answer="([^"]*)"', dom)
    assert found, dom[:500]
    return json.loads(found[1].replace("&quot;", '"').replace("&amp;", "&"))


def printed(html: str, folder: Path) -> bytes:
    """Return the page as a real browser prints it, a PDF."""
    (folder / "page.html").write_text(html, encoding="utf-8")
    target = folder / "page.pdf"
    _browse(folder, f"--print-to-pdf={target}", (folder / "page.html").as_uri())
    return target.read_bytes()


def _browse(folder: Path, *words: str) -> str:
    command = [
        browser(),
        "--headless=new",
        "--disable-gpu",
        "--no-first-run",
        f"--user-data-dir={folder}/profile",
    ]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1200,900"]
    command += ["--no-sandbox"] if os.geteuid() == 0 else []
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
