"""The list of runs: draws only the lines in sight, and only those that changed.

Not here: which lines there are (fsrun.tui.listing) and what is in their cells (fsrun.tui.columns).
"""

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fsrun.tui.columns import Column, column, layout
from fsrun.tui.listing import GroupLine, Line, View
from fsrun.tui.messages import GroupToggled, RunHighlighted, RunOpened, RunsMarked, SortChosen
from fsrun.tui.widgets.strips import strip_of
from fsrun.words import plain, seeds_text

_MARK = "◆"
_SIGNS = {True: "▾", False: "▸"}


class RunTable(ScrollView, can_focus=True):
    """Lines of runs and groups; tells which the cursor is on, and what the user does with it."""

    BINDING_GROUP_TITLE = "Runs"
    COMPONENT_CLASSES: ClassVar[set[str]] = {"run-table--cursor", "run-table--header", "run-table--hover"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", tooltip="open the run: charts, results, attempts, error, config"),
        Binding("space", "mark", "Mark", tooltip="mark the run, for comparing and for orders"),
        Binding("asterisk", "mark_all", "Mark all", tooltip="mark all runs shown, or none"),
        Binding("down,j", "move(1)", "Down", tooltip="to the next line"),
        Binding("up,k", "move(-1)", "Up", tooltip="to the line before"),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", tooltip="a page on"),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", tooltip="a page back"),
        Binding("home,g", "to_end(0)", "First", tooltip="to the first line"),
        Binding("end,G", "to_end(1)", "Last", tooltip="to the last line"),
    ]

    lines_shown: var[tuple[Line, ...]] = var(())
    view: var[View] = var(View)

    def __init__(self) -> None:
        super().__init__()
        self._columns: tuple[Column, ...] = ()
        self._variant = 0  # the longest there is
        self._cursor = 0
        self._at: str | None = None  # the key of the line the cursor stays on
        self._wanted: int | None = None  # the run the user went to
        self._highlighted: int | None = None  # the run that was told of
        self._hover = -1
        self._strips: dict[str, tuple[tuple[object, ...], Strip]] = {}

    @property
    def row_count(self) -> int:
        """How many lines there are."""
        return len(self.lines_shown)

    @property
    def cursor_line(self) -> Line | None:
        """The line the cursor is on."""
        return self.lines_shown[self._cursor] if self._cursor < len(self.lines_shown) else None

    def watch_lines_shown(self, before: tuple[Line, ...], after: tuple[Line, ...]) -> None:
        """Bring the list up to date, the cursor staying on its line, else on the one in its place."""
        variant = max((len(line.row.variant) for line in after), default=0)
        if variant != self._variant:
            self._variant = variant
            self._choose_columns()
        if len(before) != len(after):
            self.virtual_size = Size(self.size.width, len(after) + 1)
        keys = {line.key: place for place, line in enumerate(after)}
        place = keys.get(self._at or "", self._near(after))
        moved = place != self._cursor
        self._cursor = place
        self._at = after[place].key if after else None
        if moved:
            self.call_after_refresh(self._bring_into_sight)  # only then it is known how far one can scroll
        self._refresh_changed(before, after, everything=moved or len(before) != len(after))
        self._tell()

    def watch_view(self) -> None:
        """Show by what the list is sorted now."""
        self.refresh()

    def notify_style_update(self) -> None:
        """Draw everything anew in the new colours."""
        self._strips.clear()
        super().notify_style_update()

    def on_resize(self, event: events.Resize) -> None:
        """Choose the columns that fit."""
        self._choose_columns()
        self.virtual_size = Size(event.size.width, self.row_count + 1)
        self._bring_into_sight()

    def move_to(self, run_id: int) -> None:
        """Put the cursor on a run, where it is in the list."""
        for place, line in enumerate(self.lines_shown):
            if line.key == str(run_id):
                self._go(place)
                self.call_after_refresh(self._bring_into_sight)

    def action_open(self) -> None:
        """Open the run under the cursor, or unfold its group."""
        line = self.cursor_line
        if isinstance(line, GroupLine):
            self.post_message(GroupToggled(line.group.key))
        elif line is not None:
            self.post_message(RunOpened(line.run_ids[0]))

    def action_mark(self) -> None:
        """Mark what is under the cursor, or take the mark off, and go on to the next line."""
        if self.cursor_line is not None:
            self.post_message(RunsMarked(frozenset(self.cursor_line.run_ids)))
            self._go(self._cursor + 1)

    def action_mark_all(self) -> None:
        """Mark every run in the list, or none where all are marked."""
        every = frozenset(run_id for line in self.lines_shown for run_id in line.run_ids)
        self.post_message(RunsMarked(every))

    def action_move(self, by: int) -> None:
        """Move the cursor by lines."""
        self._go(self._cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by as many lines as are in sight."""
        self._go(self._cursor + by * max(self.size.height - 2, 1))

    def action_to_end(self, last: int) -> None:
        """Move the cursor to the first or the last line."""
        self._go(self.row_count - 1 if last else 0)

    def on_click(self, event: events.Click) -> None:
        """Sort by a header; select a line; open it with a second click."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            name = self._column_at(offset.x)
            if name is not None:
                self.post_message(SortChosen(name))
            return
        place = self._place_of(offset.y)
        if place >= self.row_count:
            return
        self._go(place)
        if event.chain == 2 or (offset.x < 2 and isinstance(self.cursor_line, GroupLine)):
            self.action_open()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Show which line a click would choose."""
        self._hover_over(self._place_of(event.y) if event.y else -1)

    def on_leave(self) -> None:
        """Show that no more."""
        self._hover_over(-1)

    def render_line(self, y: int) -> Strip:
        """Draw one line of those in sight: the header, then runs."""
        width = self.size.width
        if y == 0:
            return self._drawn(self._header(), "run-table--header")
        place = self._place_of(y)
        if y == 1 and not self.lines_shown and self.view.query:
            words = f"  no run matches {plain(self.view.query)}: esc shows all runs"
            return self._drawn(Text(words, "dim"), "")
        if place >= self.row_count:
            return Strip.blank(width, self.rich_style)
        line = self.lines_shown[place]
        style = self._style_of(place)
        state = (line, style, width, self.has_focus)
        known = self._strips.get(line.key)
        if known is None or known[0] != state:
            known = state, self._drawn(_text(line, self._columns), style)
            self._strips[line.key] = known
        return known[1]

    def _choose_columns(self) -> None:
        columns = layout(self.size.width - 2, self._variant)
        if columns != self._columns:
            self._columns = columns
            self._strips.clear()
            self.refresh()

    def _near(self, lines: tuple[Line, ...]) -> int:
        """Return where to go when the line of the cursor is gone: to one with its run, else to its place."""
        with_run = (place for place, line in enumerate(lines) if self._wanted in line.run_ids)
        return next(with_run, min(self._cursor, max(len(lines) - 1, 0)))

    def _style_of(self, place: int) -> str:
        if place == self._cursor:
            return "run-table--cursor"
        return "run-table--hover" if place == self._hover else ""

    def _drawn(self, text: Text, style: str) -> Strip:
        width = self.size.width
        base = self.get_component_rich_style(style) if style else self.rich_style
        return strip_of(text, base, width, self.app.console)

    def _header(self) -> Text:
        text = Text("  ", "dim")
        for each in self._columns:
            chosen = each.name == column(self.view.sort).name
            arrow = ("↓" if self.view.descending else "↑") if chosen else ""
            name = each.shown[: each.width - len(arrow)] + arrow
            text.append(
                name.rjust(each.width) if each.right else name.ljust(each.width), "bold not dim" * chosen
            )
            text.append(" ")
        return text

    def _column_at(self, x: int) -> str | None:
        left = 2
        for each in self._columns:
            if left - 1 <= x < left + each.width:
                return each.name
            left += each.width + 1
        return None

    def _place_of(self, y: int) -> int:
        """Return the place in the list of what is drawn in line y of the widget."""
        return y - 1 + round(self.scroll_y)

    def _go(self, place: int) -> None:
        if not self.lines_shown:
            return
        before, self._cursor = self._cursor, min(max(place, 0), self.row_count - 1)
        line = self.lines_shown[self._cursor]
        self._at, self._wanted = line.key, line.run_ids[0]
        self._bring_into_sight()
        for each in {before, self._cursor}:
            self.refresh_line(each + 1)
        self._tell()

    def _tell(self) -> None:
        """Say which run the cursor is on, once for each change."""
        line = self.cursor_line
        run_id = line.run_ids[0] if line is not None else None
        if run_id != self._highlighted:
            self._highlighted = run_id
            message = RunHighlighted(run_id)
            message.set_sender(self)  # not whoever has changed the list: it would not hear of it
            self.post_message(message)

    def _hover_over(self, place: int) -> None:
        if place != self._hover:
            before, self._hover = self._hover, place
            for each in {before, place}:
                self.refresh_line(each + 1)

    def _bring_into_sight(self) -> None:
        top, height = round(self.scroll_y), self.size.height - 1
        if height > 0 and not top <= self._cursor < top + height:
            target = self._cursor if self._cursor < top else self._cursor - height + 1
            self.scroll_to(y=target, animate=False)

    def _refresh_changed(
        self, before: tuple[Line, ...], after: tuple[Line, ...], *, everything: bool
    ) -> None:
        if everything:
            self.refresh()
            return
        top = round(self.scroll_y)
        for place in range(top, min(top + self.size.height, len(after))):
            if after[place] is not before[place] and after[place] != before[place]:
                self.refresh(Region(0, place - top + 1, self.size.width, 1))


def _text(line: Line, columns: tuple[Column, ...]) -> Text:
    """Return the line with each cell cut to its width, so that columns stay straight whatever the text."""
    text = Text()
    if isinstance(line, GroupLine):
        marks = sum(entry.marked for entry in line.group.entries)
        text.append(_MARK if marks == len(line.group.entries) else "◇" if marks else " ")
        text.append(_SIGNS[line.is_open])
    else:
        text.append(f"{_MARK if line.entry.marked else ' '} ")
    for each in columns:
        text.append_text(_fitted(_cell(line, each), each)).append(" ")
    return text


def _cell(line: Line, each: Column) -> Text:
    if isinstance(line, GroupLine):
        return each.group_cell(line.group, each.width)
    if line.nested and each.shared:
        return Text(f"└{seeds_text(line.row)}" if each.name == "method" else "", "dim")
    return each.cell(line.entry, each.width)


def _fitted(cell: Text, each: Column) -> Text:
    cell.truncate(each.width, overflow="ellipsis")
    room = each.width - cell.cell_len
    if each.right:
        cell.pad_left(room)
    else:
        cell.pad_right(room)
    return cell
