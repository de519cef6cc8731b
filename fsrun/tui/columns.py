"""The columns of the list of runs: what stands in each, how it sorts, and which have room.

Not here: which lines there are (fsrun.tui.listing) and where they are drawn (fsrun.tui.widgets.run_table).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isnan, nan

from rich.text import Text

from fsrun.tui.groups import Group
from fsrun.tui.search import Entry
from fsrun.words import (
    STATUS_STYLES,
    SYMBOLS,
    bar,
    duration,
    is_at_chance,
    measured_words,
    newest_name,
    number,
    plain,
    progress_text,
    result_text,
    short_seeds,
    short_task,
    status_word,
)
from store.jobs import JobStatus
from store.views import RunRow

SortKey = float | str | tuple[bool, float] | None


@dataclass(frozen=True)
class Column:
    """A column: least width, place in the order in which columns get room, cells and sort keys of both kinds.

    A cell gets its width; `shared` says that all runs of a group have the same in it. Sorting begins with
    the largest where `descending` holds; None always comes last.
    """

    name: str
    width: int
    rank: int
    cell: Callable[[Entry, int], Text]
    group_cell: Callable[[Group, int], Text]
    key: Callable[[Entry], SortKey]
    group_key: Callable[[Group], SortKey]
    right: bool = False
    grow: int = 0
    descending: bool = False
    shared: bool = False
    heading: str | None = None  # where it is not the name

    @property
    def shown(self) -> str:
        """What stands above the column."""
        return self.name if self.heading is None else self.heading


def _shared(
    name: str,
    width: int,
    rank: int,
    text: Callable[[RunRow], str],
    key: Callable[[RunRow], SortKey],
    grow: int = 0,
) -> Column:
    """Return a column in which a group has what each of its runs has."""
    return Column(
        name,
        width,
        rank,
        cell=lambda entry, _: Text(plain(text(entry.row))),
        group_cell=lambda group, _: Text(plain(text(group.first))),
        key=lambda entry: key(entry.row),
        group_key=lambda group: key(group.first),
        grow=grow,
        shared=True,
    )


_ORDER = {
    word: place
    for place, word in enumerate(
        ("lost", "stopping", "running", "failed", "queued", "waiting", "cancelled", "at chance", "done")
    )
}
"""Statuses in the order in which they need a person."""


def _status_key(entry: Entry) -> float:
    return _ORDER[status_word(entry.row)]


def _task_key(row: RunRow) -> SortKey:
    return None if row.n_way is None or row.k_shot is None else 1000.0 * row.n_way + row.k_shot


def _share(row: RunRow) -> float:
    if row.status is JobStatus.DONE:
        return 1.0
    return row.step / row.total_steps if row.total_steps else 0.0


def _newest_key(row: RunRow) -> SortKey:
    name = newest_name(row)
    return _goodness(name, row.results.get(name, row.latest.get(name, nan)))


def _goodness(name: str, value: float) -> SortKey:
    """Return what is larger the better the value is: a loss ratio the lower it is, and below accuracies."""
    accuracy = name.endswith("/accuracy")
    return None if isnan(value) else (accuracy, value if accuracy else -value)


def _loss(row: RunRow) -> float | None:
    value = row.latest.get("train/loss", row.latest.get("train/frobenius"))
    return None if value is None or isnan(value) else value


def counts(group: Group, width: int) -> Text:
    """Return how many runs of the group stand how: 3✓ 1✗ 1●."""
    counts = Counter(
        "at chance" if is_at_chance(entry.row) else entry.row.status.value for entry in group.entries
    )
    order = ("running", "failed", "at chance", "done", "queued", "cancelled")
    parts = [Text(f"{counts[word]}{SYMBOLS[word]}", STATUS_STYLES[word]) for word in order if counts[word]]
    roomy = sum(part.cell_len for part in parts) + len(parts) - 1 <= width
    return Text(" " * roomy).join(parts)


def _group_progress(group: Group, width: int) -> Text:
    whole = group.share >= 1
    style = STATUS_STYLES["done" if whole else "running"]
    return bar(group.share, 100 if whole else min(int(100 * group.share), 99), width, style)


def _symbol(word: str) -> Text:
    return Text(SYMBOLS[word], STATUS_STYLES[word])


def _group_symbol(group: Group, _: int) -> Text:
    """Return the status of the run that needs a person most."""
    return _symbol(min((status_word(entry.row) for entry in group.entries), key=_ORDER.__getitem__))


def _outcome(group: Group, width: int) -> Text:
    """Return the mean with its interval, and how the runs stand where some are not done."""
    outcome = group.outcome
    if outcome is None:
        return result_text(group.first, width) if len(group.entries) == 1 else counts(group, width)
    said = Text(measured_words(outcome.name, outcome.mean, outcome.interval), "bold")
    whole = all(entry.row.status is JobStatus.DONE for entry in group.entries)
    return said if whole else said.append("  ").append_text(counts(group, width - said.cell_len - 2))


def _tags(tags: tuple[str, ...]) -> str:
    return plain(", ".join(tags))


def _number(value: float | None) -> Text:
    return Text("" if value is None else number("", value))


def _seconds(value: float | None) -> Text:
    return Text("" if value is None else duration(value))


def _id(entry: Entry, _: int) -> Text:
    return Text(str(entry.row.id), "dim")


VARIANT = "variant"
SHORTEST_VARIANT = 10  # columns in which it says anything

COLUMNS = (
    Column("id", 4, 0, _id, lambda group, _: Text(f"×{len(group.entries)}", "dim"),
           lambda entry: entry.row.id, lambda group: max(entry.row.id for entry in group.entries),
           right=True, descending=True),
    _shared("experiment", 10, 2, lambda row: row.experiment, lambda row: row.experiment, grow=2),
    _shared("method", 9, 0, lambda row: row.method, lambda row: row.method, grow=2),
    _shared("task", 6, 1, short_task, _task_key),
    Column("seed", 4, 3, lambda entry, _: Text(short_seeds(entry.row)), lambda group, _: Text(),
           lambda entry: entry.row.seed, lambda group: None, right=True),
    _shared(VARIANT, 24, 4, lambda row: row.variant, lambda row: row.variant or None, grow=16),
    _shared("preset", 6, 6, lambda row: row.preset, lambda row: row.preset),
    Column("status", 1, 0, lambda entry, _: _symbol(status_word(entry.row)), _group_symbol,
           _status_key, lambda group: min(map(_status_key, group.entries)), heading=""),
    Column("newest", 25, 0, lambda entry, width: result_text(entry.row, width), _outcome,
           lambda entry: _newest_key(entry.row),
           lambda group: _goodness(group.outcome.name, group.outcome.mean)
           if group.outcome
           else _newest_key(group.first),
           grow=9, descending=True, heading="result"),
    Column("progress", 10, 13, lambda entry, width: progress_text(entry.row, width), _group_progress,
           lambda entry: _share(entry.row), lambda group: group.share, descending=True),
    Column("rate", 7, 7, lambda entry, _: _number(_rate(entry.row)), lambda group, _: _number(group.rate),
           lambda entry: _rate(entry.row), lambda group: group.rate, right=True, descending=True),
    Column("ETA", 6, 8, lambda entry, _: _seconds(entry.row.eta_seconds),
           lambda group, _: _seconds(group.eta_seconds),
           lambda entry: entry.row.eta_seconds, lambda group: group.eta_seconds, right=True),
    Column("loss", 8, 10, lambda entry, _: _number(_loss(entry.row)), lambda group, _: Text(),
           lambda entry: _loss(entry.row), lambda group: None, right=True),
    Column("device", 7, 11, lambda entry, _: Text(plain(entry.device)), lambda group, _: Text(),
           lambda entry: entry.device or None, lambda group: None),
    Column("tags", 10, 9, lambda entry, _: Text(_tags(entry.row.tags)),
           lambda group, _: Text(_tags(group.tags)),
           lambda entry: _tags(entry.row.tags) or None, lambda group: _tags(group.tags) or None, grow=6),
    Column("note", 16, 12, lambda entry, _: Text(" ".join(plain(entry.row.note).split())),
           lambda group, _: Text(),
           lambda entry: entry.row.note or None, lambda group: None, grow=24),
)  # fmt: skip


def _rate(row: RunRow) -> float | None:
    return row.rate if row.status is JobStatus.RUNNING else None


def column(name: str) -> Column:
    """Return the column of a name, the first for one that is not known."""
    return next((each for each in COLUMNS if each.name == name), COLUMNS[0])


def layout(width: int, variant: int) -> tuple[Column, ...]:
    """Return the columns that fit, in order, each as wide as it is drawn; one blank stands after each.

    `variant` is the width of the longest variant, 0 where no run has one: its column is as wide if it can be.
    """
    room, widths = width, {}
    for each in sorted(COLUMNS, key=lambda one: one.rank):
        least = each.width
        if each.name == VARIANT:
            if not variant:
                continue
            least = max(min(variant, each.width, room - 1), SHORTEST_VARIANT)
        if each.rank and room < least + 1:
            break
        widths[each.name] = least
        room -= least + 1
    wide = []
    for each in (one for one in COLUMNS if one.name in widths):
        most = max(variant - widths[VARIANT], 0) if each.name == VARIANT else each.grow
        more = min(max(room, 0), each.grow, most)
        wide.append(replace(each, width=widths[each.name] + more))
        room -= more
    return tuple(wide)
