"""The formats a report is written in, by name and by the ending of a file.

Not here: writing (render.py, latex.py, web.py).
"""

from enum import StrEnum


class Format(StrEnum):
    """How a report is written."""

    TEXT = "text"
    """For a terminal; as wide as asked."""
    MARKDOWN = "markdown"
    """For a README or an issue."""
    LATEX = "latex"
    """For a paper: tables in the style of booktabs, notes below them."""
    CSV = "csv"
    """One line per record; lists joined by spaces, nested values left to JSON."""
    JSON = "json"
    """Everything, with the config and the provenance of each run behind a number."""
    HTML = "html"
    """For a browser: a page that needs nothing beside itself."""


ENDINGS = {
    ".txt": Format.TEXT,
    ".md": Format.MARKDOWN,
    ".tex": Format.LATEX,
    ".csv": Format.CSV,
    ".json": Format.JSON,
    ".html": Format.HTML,
}
"""What the ending of a file's name asks for."""

PICTURES = (".png", ".svg", ".pdf")
"""The endings of files into which matplotlib draws."""
