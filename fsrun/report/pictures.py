"""Figures as picture files: png, svg or pdf by the file's ending, drawn by matplotlib (extra `plots`).

Not here: what is in a figure (figure4.py), and drawing in a terminal (fsrun.plot).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsrun.errors import FsrunError, UsageError
from fsrun.report.figure4 import Figure4
from store.metrics import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg", ".pdf")


def save_figure4(figure: Figure4, path: Path) -> None:
    """Draw both panels of Figure 4 with their floors into a file.

    Raises UsageError for an ending that is no picture, FsrunError where matplotlib or the folder is missing.
    """
    if path.suffix not in ENDINGS:
        raise UsageError(f"--out {path}: the ending must be one of {', '.join(ENDINGS)}")
    if not path.absolute().parent.is_dir():
        raise FsrunError(f"--out {path}: the folder {path.absolute().parent} does not exist: make it first")
    picture = _empty_figure()
    left, right = picture.subplots(1, 2)
    for trace in figure.traces:
        _line(left, trace.loss_ratio, f"run {trace.run.id}")
        _line(right, trace.frobenius, f"run {trace.run.id}")
    left.axhline(figure.loss_ratio_floor, linestyle="--", color="0.4", label="floor")
    right.axhline(figure.frobenius_floor, linestyle="--", color="0.4", label="floor")
    left.set(title="(a) $L_1/L_0$ after one fast step", xlabel="tasks", ylim=(0, None))
    right.set(title=r"(b) $\|W_s^T W_s - \Sigma_x^{-1}/\eta\|_F^2$", xlabel="tasks", yscale="log")
    for axes in (left, right):
        axes.locator_params(axis="x", nbins=5)
    left.legend()
    temporary = path.with_name(f".{path.stem}-partial{path.suffix}")
    picture.savefig(temporary)
    temporary.replace(path)


def _empty_figure() -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise FsrunError("matplotlib is not installed: pip install 'fsrun[plots]'") from error
    return Figure(figsize=(9, 3.5), layout="constrained")


def _line(axes: Any, curve: Curve, label: str) -> None:
    axes.plot(curve.steps, curve.mean, linewidth=1, label=label)
