"""A picture file for a figure: its ending checked, an empty sheet of matplotlib (extra `plots`), and saving.

Not here: what is drawn.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from fsrun.errors import FsrunError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg", ".pdf")


def check_picture(path: Path) -> None:
    """Raise UsageError for an ending that is no picture, FsrunError where the folder is missing."""
    if path.suffix not in ENDINGS:
        raise UsageError(f"--out {path}: the ending must be one of {', '.join(ENDINGS)}")
    if not path.absolute().parent.is_dir():
        raise FsrunError(f"--out {path}: the folder {path.absolute().parent} does not exist: make it first")


def empty_figure(width: float = 9, height: float = 3.5) -> "Figure":
    """Return an empty sheet, in inches; FsrunError where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise FsrunError("matplotlib is not installed: pip install 'fsrun[plots]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def save(picture: "Figure", path: Path) -> None:
    """Write the picture whole or not at all."""
    temporary = path.with_name(f".{path.stem}-partial{path.suffix}")
    picture.savefig(temporary)
    temporary.replace(path)
