"""The dashboard itself: reads the database on one thread, carries out orders on others, holds the screens.

Not here: what is on the screens (screens/, widgets/) and what is read (database.py).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.actions import parse
from textual.app import SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.message import Message
from textual.reactive import var
from textual.screen import Screen

from fsrun.errors import AlreadyThere, FsrunError
from fsrun.tui import orders
from fsrun.tui.database import Database, Order
from fsrun.tui.messages import (
    ListWanted,
    LogCopied,
    LookedCloser,
    OrderCarriedOut,
    OrderDoubted,
    OrderRefused,
    Picture,
    PictureTaken,
    ReadFailed,
    ResourcesMeasured,
    RunHighlighted,
    RunOpened,
    RunsMarked,
    ThreadBroke,
)
from fsrun.tui.pager import page, plain_copy
from fsrun.tui.reading import Reader
from fsrun.tui.report_keys import REPORT_KEYS
from fsrun.tui.resources import Resources
from fsrun.tui.screens.confirm import Confirm
from fsrun.tui.screens.overview import Overview
from fsrun.tui.screens.run import RunScreen
from fsrun.tui.shell import Shell
from fsrun.tui.state import State
from store.errors import StoreError
from store.views import RunDetail, RunRow

if TYPE_CHECKING:
    from textual.actions import ActionParseResult

    from fsrun.tui.screens.export import Chosen

SILENT_SECONDS = 3.0
"""After so long without an answer from the database the status line says that one waits for it."""


class Dashboard(Shell):
    """Runs, curves and results of one database, read about twice a second."""

    CSS_PATH = "app.tcss"
    TITLE = "fsrun"
    BINDINGS: ClassVar[list[BindingType]] = [
        *orders.BINDINGS,
        Binding("1", "read('')", "Runs", tooltip="the runs"),
        *REPORT_KEYS,
        Binding("m", "compare", "Compare", tooltip="the marked runs side by side"),
        Binding("l", "log", "Log", tooltip="read the run's log in the pager"),
    ]

    picture: var[Picture | None] = var(None)
    trouble: var[str] = var("")
    marked: var[frozenset[int]] = var(frozenset())
    resources: var[Resources | None] = var(None)

    def __init__(self, database: Database, *, state: State | None = None, read_only: bool = False) -> None:
        super().__init__(state or State())
        self._database = database
        self.read_only = read_only
        self._reader = Reader(database, self.state, self.post_message)
        self._orders = orders.Orders(
            self, self._order, home=lambda: self._database.home, selected=self._selected_in_full
        )

    def on_mount(self) -> None:
        """Show the overview and begin to read."""
        marked = (each for each in self.state.get("marked", []) if isinstance(each, int))
        self._reader.ask_for(marked=frozenset(marked))
        self.push_screen(Overview(self._database.shown, self.state, read_only=self.read_only))
        self._reader.start()
        self.set_interval(1.0, self._mind_silence)
        self.screen_change_signal.subscribe(self, self._keep_screen)

    def on_unmount(self) -> None:
        """Let the threads end at once."""
        self._reader.stop()

    @on(ThreadBroke)
    def _break(self, message: ThreadBroke) -> None:
        raise message.error

    @property
    def is_waiting(self) -> bool:
        """Whether the database has neither answered nor refused for a while."""
        return self._reader.silent_seconds >= SILENT_SECONDS

    def _mind_silence(self) -> None:
        """Say that the database does not answer, where it neither does nor refuses."""
        if self.is_waiting:
            silent = self._reader.silent_seconds
            self.trouble = (
                f"the database has not answered for {silent:.0f} s; what is shown is older: waiting"
            )

    @on(PictureTaken)
    def _show(self, message: PictureTaken) -> None:
        self.trouble = ""
        first, offered = self.picture is None, self._offered()
        self.picture = message.picture
        self._hold_marks(message.picture, self.state.get("marked", []) if first else self.marked)
        if first:
            self._take_up()
        if offered != self._offered():
            self.refresh_bindings()  # draws the footer anew, so only when other keys are on offer
        self._reader.taken_up()

    @on(ReadFailed)
    def _say_what_is_wrong(self, message: ReadFailed) -> None:
        place = self._database.place  # which the first line tells; there is more to say in this one
        self.trouble = message.reason.replace(place, place.rpartition("/")[2])
        self._reader.taken_up()

    @on(ResourcesMeasured)
    def _show_resources(self, message: ResourcesMeasured) -> None:
        self.resources = message.resources

    @on(RunsMarked)
    def _toggle_marks(self, message: RunsMarked) -> None:
        all_marked = message.run_ids <= self.marked
        self._mark(self.marked - message.run_ids if all_marked else self.marked | message.run_ids)

    def _mark(self, run_ids: frozenset[int]) -> None:
        self.marked = run_ids
        self.state.set("marked", sorted(run_ids))
        self._reader.ask_for(marked=run_ids)

    def _hold_marks(self, picture: Picture, marked: Collection[object]) -> None:
        """Keep the marks whose runs are there, and none that were set in another database."""
        before = self.state.get("database", picture.identity)
        self.state.set("database", picture.identity)
        there = [row.id for row in picture.snapshot.runs] if before in ("", picture.identity) else []
        if marked or self.marked:
            self._mark(frozenset(each for each in there if each in marked))

    def _take_up(self) -> None:
        """Go on with the screen that the user left."""
        kept = self.state.get("screen", "")
        if kept in REPORTS and len(self.screen_stack) == 2:  # the empty one, the overview
            self.call_later(self.action_read, kept)

    def _keep_screen(self, screen: Screen[Any]) -> None:
        """Keep which screen is open, but for dialogs; read what it shows."""
        if not screen.is_modal:
            name = screen.name if screen.name in REPORTS else ""
            self.state.set("screen", name)
            self._reader.ask_for(report=name)

    @on(RunHighlighted)
    def _select(self, message: RunHighlighted) -> None:
        self._reader.ask_for(selected=message.run_id)

    @on(ListWanted)
    def _list_every(self, message: ListWanted) -> None:
        self._reader.ask_for(every=message.every)

    @on(LookedCloser)
    def _look_closer(self, message: LookedCloser) -> None:
        self._reader.ask_for(closely=message.closely)

    @on(RunOpened)
    def _open(self, message: RunOpened) -> None:
        self._reader.ask_for(selected=message.run_id)
        self.push_screen(RunScreen(self.state))

    @on(OrderCarriedOut)
    def _report(self, message: OrderCarriedOut) -> None:
        self.say(message.notice)
        self._reader.read_now()

    @on(OrderRefused)
    def _refuse(self, message: OrderRefused) -> None:
        self.say(message.reason)

    def on_resize(self, event: events.Resize) -> None:
        """Ask for as many points as there are dots across the screen."""
        self._reader.ask_for(max_points=max(2 * event.size.width, 100))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what the selected run allows; None greys a key out in the footer."""
        if not super().check_action(action, parameters):
            return False
        if action in ("compare", "log") and not self._has_runs():
            return False
        if action == "order" and (self.read_only or not isinstance(self.page, _ABOUT_RUNS)):
            return False
        if action == "read":
            name = str(parameters[0])
            return self.page.name != name if name else not isinstance(self.page, Overview)
        if action == "order":
            return orders.applies(str(parameters[0]), self._chosen()) or (None if self._has_runs() else False)
        return True

    async def run_action(
        self,
        action: "str | ActionParseResult",
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Do what a key stands for; say why where it is an order that the chosen runs do not allow."""
        if await super().run_action(action, default_namespace, namespaces):
            return True
        _, name, parameters = parse(action) if isinstance(action, str) else action
        if name != "order" or self.check_action(name, parameters) is not None:
            return False
        self.say(orders.refusal(str(parameters[0]), self._chosen()))
        return True

    def action_order(self, name: str) -> None:
        """Begin with an order about the marked runs or, where none is marked, the selected one."""
        self._orders.begin(name, self._chosen())

    def action_read(self, name: str) -> None:
        """Show a report by the name of its screen, the runs without one."""
        while len(self.screen_stack) > 2 and self.screen.name != name:  # the empty one, the overview
            self.pop_screen()
        if name and self.screen.name != name:
            self.push_screen(_report(name, self.state))

    def action_export(self) -> None:
        """Ask into which file this screen goes, and as what."""
        from fsrun.tui.screens.export import export_of

        self.push_screen(export_of(self.screen), self._export_if)

    def action_compare(self) -> None:
        """Show the marked runs side by side."""
        from fsrun.tui.screens.compare import CompareScreen

        if isinstance(self.screen, CompareScreen):
            return
        if not self.marked:
            self.say("mark the runs to compare: space marks the one under the cursor")
        else:
            self.push_screen(CompareScreen(sorted(self.marked), self.state))

    def action_log(self) -> None:
        """Show the selected run's log in the user's pager."""
        if row := self._selected():
            log = self._database.home.log(row.id)
            self._carry_out(lambda: LogCopied(plain_copy(row.id, log)))

    @on(LogCopied)
    def _page(self, message: LogCopied) -> None:
        try:
            with self.suspend():
                page(message.path)
        except SuspendNotSupported:
            message.path.unlink(missing_ok=True)
            self.say("this terminal cannot show a pager: fsrun logs prints the log")
        except FsrunError as error:
            self.say(str(error))

    def _export_if(self, chosen: "Chosen | None") -> None:
        from fsrun.tui.exporting import write

        if chosen is not None:
            self._carry_out(lambda: OrderCarriedOut(write(*chosen)))

    def _order(self, order: Order) -> None:
        def carry_out() -> Message:
            try:
                return OrderCarriedOut(self._database.carry_out(order))
            except AlreadyThere as there:
                return OrderDoubted(str(there), there.order)

        self._carry_out(carry_out)

    @on(OrderDoubted)
    def _ask_again(self, message: OrderDoubted) -> None:
        def answer(sure: bool | None) -> None:
            if sure:
                self._order(message.order)

        question = f"{message.line[0].upper()}{message.line[1:]}.\n\nQueue it once more?"
        self.push_screen(Confirm(question, yes="Queue", no="Leave"), answer)

    def _carry_out(self, order: Callable[[], Message]) -> None:
        """Carry the order out on a thread: the database or the disk may be busy for long."""

        def carry_out() -> None:
            try:
                self.post_message(order())
            except (StoreError, FsrunError) as error:
                self.post_message(OrderRefused(str(error)))

        self.run_worker(carry_out, thread=True, group="orders")

    def _offered(self) -> Sequence[bool]:
        """Return what tells which keys are on offer now."""
        return (self._has_runs(), *orders.offered(self._chosen()))

    def _has_runs(self) -> bool:
        return self.picture is not None and bool(self.picture.snapshot.runs)

    def _selected(self) -> RunRow | None:
        if self.picture is None or self.picture.snapshot.selected is None:
            return None
        return self.picture.snapshot.selected.row

    def _selected_in_full(self) -> RunDetail | None:
        return None if self.picture is None else self.picture.snapshot.selected

    def _chosen(self) -> Sequence[RunRow]:
        """Return the runs that an order is about."""
        if self.marked and self.picture is not None and isinstance(self.page, Overview):
            return [row for row in self.picture.snapshot.runs if row.id in self.marked]
        row = self._selected()
        return [row] if row else []


REPORTS = ("table2", "classes", "theory")
"""The screens that show a report, by name; they are open again at the next start."""

_ABOUT_RUNS = (Overview, RunScreen)
"""The screens on which orders about runs are on offer."""


def _report(name: str, state: State) -> Screen[None]:
    """Return the screen of a report; loaded only now, because reports take long to load."""
    from fsrun.tui.screens.reports import ClassesScreen, TheoryScreen
    from fsrun.tui.screens.table2 import Table2Screen

    if name == "table2":
        return Table2Screen(name)
    return (ClassesScreen if name == "classes" else TheoryScreen)(state, name)
