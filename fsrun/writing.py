"""Writing a text file whole or not at all.

Not here: what is written.
"""

from pathlib import Path


def put_text(path: Path, text: str) -> None:
    """Put a text in the file's place; whoever reads sees the old file or the new one, whole."""
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
