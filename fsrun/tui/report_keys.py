"""The keys to the reports and into a file, the same on every screen.

Not here: what they do (fsrun.tui.app).
"""

from textual.binding import Binding

_REPORTS = Binding.Group("Reports")

REPORT_KEYS = (
    Binding(
        "2",
        "app.read('table2')",
        "Table 2",
        tooltip="Table 2: the paper's accuracies beside ours",
        group=_REPORTS,
    ),
    Binding("3", "app.read('classes')", "Classes", tooltip="accuracy by number of classes", group=_REPORTS),
    Binding(
        "4", "app.read('theory')", "Theory", tooltip="the linear case study beside theory", group=_REPORTS
    ),
    Binding("x", "app.export", "Export", tooltip="write the picture, chart or table into a file"),
)

REPORTS = ("Table 2", "Classes", "Theory")
"""The names of the keys to the reports, for the last line of a screen."""
