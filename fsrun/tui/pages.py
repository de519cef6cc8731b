"""A report as a screen shows it: charts above tables.

Not here: making one (fsrun.tui.reports), and drawing it (fsrun.tui.widgets.page).
"""

from dataclasses import dataclass

from fsrun.plot import Plot
from fsrun.report.render import Table
from fsrun.tui.exporting import Export


@dataclass(frozen=True)
class Page:
    """One report; `hint` says in one line why there is nothing to show."""

    title: str = ""
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()
    hint: str = ""
    exports: tuple[Export, ...] = ()
