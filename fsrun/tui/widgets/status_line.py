"""The line above the footer: what is wrong with the database, or what an order has brought about.

Not here: details of a run (facts.py).
"""

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from fsrun.words import STATUS_STYLES, plain


class StatusLine(Widget):
    """One line, hidden when there is nothing to say; trouble comes before news."""

    trouble: reactive[str] = reactive("")
    notice: reactive[str] = reactive("")

    def watch_trouble(self) -> None:
        """Show or hide the line."""
        self.display = bool(self.trouble or self.notice)

    def watch_notice(self) -> None:
        """Show or hide the line."""
        self.display = bool(self.trouble or self.notice)

    def render(self) -> Text:
        """Draw the line."""
        style = STATUS_STYLES["failed"] if self.trouble else ""
        words = plain(self.trouble or self.notice).replace("\n", " ")
        line = Text(f" {'! ' * bool(self.trouble)}{words}", style)
        line.truncate(self.size.width, overflow="ellipsis")
        return line
