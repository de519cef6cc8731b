"""The line in which one searches, with how many runs it leaves.

Not here: what it understands (fsrun.tui.search).
"""

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.reactive import reactive
from textual.widgets import Input, Static

from fsrun.tui.messages import SearchChanged, SearchEnded

_HINT = "words, status:failed, method:maml, tag:x, -done"


class SearchLine(Horizontal):
    """A line that is there while something is searched for."""

    shown: reactive[tuple[int, int]] = reactive((0, 0))
    """How many runs are found, of how many."""

    def compose(self) -> ComposeResult:
        """Lay out the line."""
        yield Static("/", id="slash")
        yield _Field(placeholder=_HINT, compact=True, select_on_focus=False)
        yield Static("", id="count")

    @property
    def query_typed(self) -> str:
        """What stands in the line."""
        return self.query_one(Input).value

    def open(self, query: str) -> None:
        """Show the line with these words in it and let the user type."""
        field = self.query_one(Input)
        self.display = True
        field.value = query
        field.focus()

    def close(self) -> None:
        """Empty the line and take it away."""
        self.query_one(Input).value = ""
        self.display = False

    def show(self, query: str) -> None:
        """Show the line where something is searched for, without the user typing."""
        if self.query_typed != query:
            self.query_one(Input).value = query
        self.display = bool(query)

    def watch_shown(self, shown: tuple[int, int]) -> None:
        """Say how many there are."""
        if self.is_mounted:
            self.query_one("#count", Static).update("{} of {}".format(*shown), layout=False)

    @on(Input.Changed)
    def _search(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(SearchChanged(event.value))

    @on(Input.Submitted)
    def _leave(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(SearchEnded())


class _Field(Input):
    """The text field: down goes on to the runs, as enter does."""

    BINDING_GROUP_TITLE = "Search"
    BINDINGS = [Binding("enter,down", "submit", "To the runs", tooltip="keep the search, go to the runs")]  # noqa: RUF012
