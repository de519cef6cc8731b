"""The line above the footer: what is wrong with the database, or what an order has brought about.

Not here: details of a run (facts.py).
"""

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from fsrun.words import STATUS_STYLES, plain


class StatusLine(Widget):
    """One line, hidden when there is nothing to say; trouble comes before news."""

    trouble: reactive[str] = reactive("", layout=True)
    notice: reactive[str] = reactive("", layout=True)

    def on_mount(self) -> None:
        """Follow the app."""
        self.watch(self.app, "trouble", self._hear_of_trouble)
        self.watch(self.app, "notice", self._hear_of_news)

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
        return Text(f" {'! ' * bool(self.trouble)}{words}", style)

    def _hear_of_trouble(self, trouble: str) -> None:
        self.trouble = trouble

    def _hear_of_news(self, notice: str) -> None:
        self.notice = notice
