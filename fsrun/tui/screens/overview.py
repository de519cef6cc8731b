"""The first screen: all runs, and the curves of the one under the cursor.

Not here: everything else about that run (run.py), and reading the database (fsrun.tui.app).
"""

from dataclasses import replace
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.reactive import var
from textual.screen import Screen
from textual.widgets import Static

from fsrun.tui import run_sections
from fsrun.tui.closely import Closely
from fsrun.tui.columns import column
from fsrun.tui.curves import charts_of
from fsrun.tui.exporting import Export
from fsrun.tui.listing import View, entries_of, lines_of
from fsrun.tui.messages import (
    GroupToggled,
    ListWanted,
    LookedCloser,
    Picture,
    SearchChanged,
    SearchEnded,
    SortChosen,
)
from fsrun.tui.report_keys import REPORTS
from fsrun.tui.resources import Resources
from fsrun.tui.run_exports import of_runs
from fsrun.tui.screens.sort import SortMenu
from fsrun.tui.search import Entry
from fsrun.tui.state import State
from fsrun.tui.widgets.charts import Charts
from fsrun.tui.widgets.facts import Facts
from fsrun.tui.widgets.hint import Hint
from fsrun.tui.widgets.key_line import KeyLine
from fsrun.tui.widgets.run_table import RunTable
from fsrun.tui.widgets.search_line import SearchLine
from fsrun.tui.widgets.status_line import StatusLine
from fsrun.tui.widgets.summary import Summary
from fsrun.tui.widgets.workers import Workers
from fsrun.words import living
from store.jobs import JobStatus
from store.snapshot import Snapshot
from store.views import RunDetail

WIDE = 140
"""Columns from which the curves stand beside the list, not below it."""

WIDER = 190
"""Columns from which the list, too, gets more of them."""

TALLER = 40
"""Lines from which there are some below the curves for what else is known of the run."""

ABOUT_LINES = 12

TALL = 24
"""Lines from which there is one to spare for the workers."""

_KEYS = (
    *("To the runs", "All runs", "Open", "Queue", "Compare", *REPORTS),
    *("Search", "Cancel", "Retry", "Mark", "Sort", "Group"),
)
_NEED_RUNS = ("search", "sort", "reverse", "fold", "workers", "turn")


class Overview(Screen[None]):
    """Runs, and the curves of the one under the cursor."""

    AUTO_FOCUS = "RunTable"
    BINDING_GROUP_TITLE = "Overview"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "slash", "search", "Search", tooltip="search: words, status:failed, method:maml, tag:x, -done"
        ),
        Binding("escape", "clear", "All runs", tooltip="end the search, show all runs"),
        Binding("s", "sort", "Sort", tooltip="choose the column to sort by; or click on its name"),
        Binding("S", "reverse", "Reverse", tooltip="sort the other way round"),
        Binding("o", "fold", "Group", tooltip="one line per config with the mean over its seeds, or per run"),
        Binding("w", "workers", "Workers", tooltip="show or hide workers and this machine's use"),
        Binding("tab", "turn(1)", "Next chart", tooltip="next chart, where not all fit"),
        Binding("shift+tab", "turn(-1)", "Previous chart", tooltip="the chart before"),
    ]

    view: var[View] = var(View, init=False)
    with_workers: var[bool] = var(True, init=False)

    def __init__(self, place: str, state: State, *, read_only: bool) -> None:
        super().__init__()
        self._read_only = read_only
        self._place = place
        self._state = state
        self._taken: Snapshot | None = None
        self._marked: frozenset[int] = frozenset()
        self._resources: Resources | None = None
        self._is_searching = False
        self._entries: tuple[Entry, ...] = ()  # what the present lines were made from, and how
        self._listed: View | None = None

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Summary(self._place, read_only=self._read_only)
        yield Hint(read_only=self._read_only)
        with Container(id="body"):
            with Vertical(id="list"):
                yield SearchLine()
                yield RunTable()
            with Vertical(id="selected"):
                yield Facts()
                yield Charts()
                yield Static(id="about")
        yield Workers()
        yield StatusLine()
        yield KeyLine(*_KEYS)

    def on_mount(self) -> None:
        """Follow the app's picture of the database."""
        self.query_one(Hint).display = False
        self.query_one(Charts).display = False
        self.post_message(LookedCloser(self.closely()))
        self.set_reactive(Overview.view, kept_view(self._state))
        self.set_reactive(Overview.with_workers, self._state.get("workers", True))
        self.query_one(SearchLine).show(self.view.query)
        self.query_one(RunTable).view = self.view
        self.post_message(ListWanted(looks_through_all(self.view)))
        self.watch(self.app, "marked", self._show_marks)
        self.watch(self.app, "resources", self._show_resources)
        self.watch(self.app, "picture", self._show)

    def on_resize(self, event: events.Resize) -> None:
        """Put the curves where there is room."""
        self.set_class(event.size.width >= WIDE, "wide")
        self.set_class(event.size.width >= WIDER, "wider")
        self._show_workers()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to end a search only while there is one, and to look through runs where there are any."""
        if action in _NEED_RUNS:
            return self._taken is not None and bool(self._taken.runs)
        return action != "clear" or bool(self.view.query) or self._is_searching

    def watch_view(self, before: View, view: View) -> None:
        """List the runs as the user wants it now, and keep that for the next start."""
        keep_view(self._state, view)
        self.post_message(ListWanted(looks_through_all(view)))
        self.query_one(RunTable).view = view
        self._list()
        if bool(before.query) != bool(view.query):
            self.refresh_bindings()

    def watch_with_workers(self, shown: bool) -> None:
        """Show or hide the workers."""
        self._state.set("workers", shown)
        self._show_workers()

    def exports(self) -> tuple[Export, ...]:
        """Return the runs that are listed, as they are sorted, for a file."""
        rows = {row.id: row for row in self._taken.runs} if self._taken else {}
        lines = self.query_one(RunTable).lines_shown
        shown = (run_id for line in lines if not line.nested for run_id in line.run_ids)
        return of_runs([rows[run_id] for run_id in shown if run_id in rows])

    def closely(self) -> Closely:
        """Return what is read besides the list: the end of the log of the run under the cursor."""
        return Closely(with_log=True)

    def action_search(self) -> None:
        """Let the user type what to look for."""
        self._is_searching = True
        self.query_one(SearchLine).open(self.view.query)

    def action_clear(self) -> None:
        """Show all runs again."""
        self._is_searching = False
        self.view = replace(self.view, query="")
        self.query_one(RunTable).focus()
        self.query_one(SearchLine).close()

    def action_sort(self) -> None:
        """Ask by which column."""
        self.app.push_screen(SortMenu(self.view), self._sort_by)

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self.view = replace(self.view, descending=not self.view.descending)

    def action_fold(self) -> None:
        """Show one line per config, or one per run."""
        self.view = replace(self.view, folded=not self.view.folded)

    def action_workers(self) -> None:
        """Show or hide the workers."""
        self.with_workers = not self.with_workers

    def action_turn(self, by: int) -> None:
        """Show the next charts, where not all fit."""
        self.query_one(Charts).turn(by)

    @on(SearchChanged)
    def _search(self, message: SearchChanged) -> None:
        self.view = replace(self.view, query=message.query)

    @on(SearchEnded)
    def _leave_search(self) -> None:
        self._is_searching = False
        self.query_one(RunTable).focus()
        self.query_one(SearchLine).show(self.view.query)

    @on(SortChosen)
    def _sort_by_header(self, message: SortChosen) -> None:
        self._sort_by(message.column)

    @on(GroupToggled)
    def _toggle_group(self, message: GroupToggled) -> None:
        self.view = replace(self.view, unfolded=self.view.unfolded ^ {message.key})

    def _sort_by(self, name: str | None) -> None:
        if name == self.view.sort:
            self.action_reverse()
        elif name is not None:
            self.view = replace(self.view, sort=name, descending=column(name).descending)

    def _show(self, picture: Picture | None) -> None:
        if picture is None:
            return
        taken = self._taken = picture.snapshot
        self.query_one(Summary).show(taken)
        self.query_one(Hint).show(taken)
        self.query_one("#body").display = bool(taken.runs)
        self._list()
        if taken.runs and self.focused is None:  # there was nothing to put the cursor on
            self.query_one(RunTable).focus()
        self._show_workers()
        self.query_one(Facts).show(taken.selected, has_workers=living(taken.workers) > 0)
        charts = self.query_one(Charts)
        charts.charts = charts_of(taken.selected.curves) if taken.selected else ()
        # A run that has not begun, or has nothing to train, needs no empty frame.
        charts.display = bool(charts.charts) or _is_running(taken.selected)
        self._show_about(picture)

    def _show_about(self, picture: Picture) -> None:
        """Say what is known of the run: below its curves where the screen is tall, else in their place."""
        detail, about = picture.snapshot.selected, self.query_one("#about", Static)
        charts = self.query_one(Charts)
        beside = charts.display and not (self.has_class("wide") and self.size.height >= TALLER)
        about.display = detail is not None and not beside
        about.set_class(charts.display, "below")
        if detail is not None and about.display:
            height = ABOUT_LINES if charts.display else self.size.height
            text = run_sections.summary(detail, picture.log, height)
            about.update(text)

    def _list(self) -> None:
        """Bring the list up to date, where anything in it may have changed."""
        taken = self._taken
        if taken is None:
            return
        entries = entries_of(taken, self._marked, self._entries)
        if entries == self._entries and self.view == self._listed:  # quick: what stayed is the same object
            return
        first = self._listed is None
        self._entries, self._listed = entries, self.view
        table = self.query_one(RunTable)
        table.lines_shown = lines_of(entries, self.view)
        found = sum(len(line.run_ids) for line in table.lines_shown if not line.nested)
        self.query_one(SearchLine).shown = (found, len(entries))
        if first:
            running = (row.id for row in taken.runs if row.status is JobStatus.RUNNING)
            table.move_to(next(running, 0))

    def _show_workers(self) -> None:
        width, height = self.size
        workers = self.query_one(Workers)
        taken = self._taken
        workers.display = self.with_workers and height >= TALL and taken is not None and bool(taken.runs)
        if taken is not None and workers.display:
            workers.show(
                taken.workers, self._resources, width=width, roomy=width >= WIDE and height >= 2 * TALL - 8
            )

    def _show_marks(self, marked: frozenset[int]) -> None:
        self._marked = marked
        self._list()

    def _show_resources(self, resources: Resources | None) -> None:
        self._resources = resources
        self._show_workers()


def looks_through_all(view: View) -> bool:
    """Return whether a list needs every run: only the newest ones first can be cut at the newest."""
    return bool(view.query) or view.folded or (view.sort, view.descending) != ("id", True)


def kept_view(state: State) -> View:
    """Return how the runs were listed the last time."""
    default = View()
    return View(
        query=state.get("search", default.query),
        sort=column(state.get("sort", default.sort)).name,
        descending=state.get("descending", default.descending),
        folded=state.get("grouped", default.folded),
        unfolded=frozenset(key for key in state.get("unfolded", []) if isinstance(key, str)),
    )


def keep_view(state: State, view: View) -> None:
    """Keep how the runs are listed for the next start."""
    state.set("search", view.query)
    state.set("sort", view.sort)
    state.set("descending", view.descending)
    state.set("grouped", view.folded)
    state.set("unfolded", sorted(view.unfolded))


def _is_running(detail: RunDetail | None) -> bool:
    return detail is not None and detail.row.status is JobStatus.RUNNING
