"""Rows of the database as the words, numbers and bars a person reads.

Not here: where on a screen (fsrun.tui) or in a list (fsrun.cli) they go.
"""

import unicodedata
from collections.abc import Sequence
from math import isnan, nan

from rich.text import Text

from experiments.titles import TITLES
from fsrun.axes import format_number, with_interval
from store.jobs import JobStatus
from store.views import RunRow, WorkerRow

LOST_AFTER = 60.0
"""Seconds of silence after which a worker counts as gone."""

STATUS_STYLES = {
    "queued": "dim",
    "waiting": "dim",
    "running": "rgb(70,160,220)",
    "stopping": "rgb(225,145,30)",
    "lost": "bold rgb(225,145,30)",
    "done": "rgb(20,160,115)",
    "at chance": "rgb(225,145,30)",
    "failed": "bold rgb(220,80,70)",
    "cancelled": "dim",
}
SYMBOLS = {
    "queued": "○",
    "waiting": "◌",
    "running": "●",
    "stopping": "◐",
    "lost": "?",
    "done": "✓",
    "at chance": "≈",
    "failed": "✗",
    "cancelled": "–",
}
_SPLITS = ("test", "val", "train")  # the one that says most comes first


def plain(text: str) -> str:
    """Return the text with characters that would steer a terminal replaced by a dot, lines kept."""
    return "".join(
        "  " if char == "\t" else char if char == "\n" or unicodedata.category(char)[0] != "C" else "·"
        for char in text
    )


def count(number: int, noun: str) -> str:
    """Return a number with its noun: 1 run, 2 runs."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def cut(shown: int, found: int, first: str = "newest") -> str:
    """Say that a list is cut: newest 1,000 of 3,412."""
    return f"{first} {shown:,} of {found:,}"


def seeds_text(row: RunRow) -> str:
    """Return the seeds of a run: seed 0, seeds 0-3."""
    return f"seed{'s' * (row.seeds > 1)} {short_seeds(row)}"


def short_seeds(row: RunRow) -> str:
    """Return the seeds of a run for a narrow column: 0, 0-3."""
    return seed_range(row.seed, row.seeds)


def seed_range(first: int, seeds: int) -> str:
    """Return consecutive seeds: 0, 0-3."""
    return str(first) if seeds == 1 else f"{first}-{first + seeds - 1}"


def duration(seconds: float | None) -> str:
    """Return 45s, 3m20s, 1h05m or 2d03h; a dash for None."""
    if seconds is None:
        return "–"
    whole = max(round(seconds), 0)
    for size, unit, part, part_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02d}{part_unit}"
    return f"{whole}s"


def status_word(row: RunRow) -> str:
    """Return the status as the user should read it: the stored one, or what hinders it."""
    if row.status is JobStatus.RUNNING:
        if is_lost(row):
            return "lost"
        return "stopping" if row.cancel_requested else "running"
    if row.status is JobStatus.QUEUED and row.waits_for:
        return "waiting"
    return "at chance" if is_at_chance(row) else row.status.value


def status_text(word: str) -> Text:
    """Return the word behind its symbol, so that it reads without colour too."""
    return Text(f"{SYMBOLS[word]} {word}", STATUS_STYLES[word])


def is_at_chance(row: RunRow) -> bool:
    """Return whether a run is done and its accuracy no better than guessing."""
    found = (name for name in ("test/accuracy", "val/accuracy") if name in row.results)
    name = next(found, "") if row.status is JobStatus.DONE else ""
    return bool(name) and is_chance(row.results[name], row.intervals.get(name), row.n_way)


def is_chance(accuracy: float, interval: float | None, n_way: int | None) -> bool:
    """Return whether an accuracy is no better than guessing, as far as its 95 % interval tells."""
    half = 0.0 if interval is None or isnan(interval) else interval
    return n_way is not None and n_way > 1 and accuracy - half <= 1 / n_way + 1e-9


def is_lost(row: RunRow) -> bool:
    """Return whether the run's worker has died or its lease has run out, so that another will resume it.

    A worker that is late is not lost: until its lease runs out it may go on.
    """
    over = row.lease_left is None or row.lease_left < 0
    return row.status is JobStatus.RUNNING and (over or row.worker_died or row.heartbeat_age is None)


def living(workers: Sequence[WorkerRow]) -> int:
    """Return how many workers have been heard of lately."""
    return sum(not worker.died and worker.heartbeat_age <= LOST_AFTER for worker in workers)


def progress_text(row: RunRow, width: int) -> Text:
    """Return a slim bar and a percentage, `width` columns in all."""
    if not row.step and row.status not in (JobStatus.RUNNING, JobStatus.DONE):
        return Text()
    if row.status is JobStatus.RUNNING and row.step >= row.total_steps:
        return Text("evaluating" if width >= 10 else "eval", STATUS_STYLES["running"])
    done = row.status is JobStatus.DONE
    share = 1.0 if done else min(row.step / row.total_steps, 1.0) if row.total_steps else 0.0
    # Only a finished run is at 100 %.
    percent = 100 if done else min(int(100 * share), 99)
    return bar(share, percent, width, STATUS_STYLES[status_word(row)])


def bar(share: float, percent: int, width: int, style: str) -> Text:
    """Return a slim bar filled to a share of it, and a percentage, `width` columns in all."""
    halves = round(2 * (width - 5) * share)
    filled = "━" * (halves // 2) + "╸" * (halves % 2)
    text = Text(filled, style)
    text.append("─" * (width - 5 - len(filled)), "dim")
    return text.append(f" {percent:3d}%")


def task_text(row: RunRow) -> str:
    """Return the task in the field's words, for example 20-way 1-shot; nothing where it has none."""
    if row.n_way is None or row.k_shot is None:
        return ""
    return f"{row.n_way}-way {row.k_shot}-shot"


def short_task(row: RunRow) -> str:
    """Return the task for a narrow column, for example 20w1s."""
    return "" if row.n_way is None or row.k_shot is None else f"{row.n_way}w{row.k_shot}s"


def remarks_text(tags: Sequence[str], note: str) -> Text:
    """Return tags and the note in one line: #paper #baseline the first that converged."""
    line = Text()
    for tag in tags:
        line.append(f"#{plain(tag)} ", "bold")
    line.append(" ".join(plain(note).split()))
    line.rstrip()
    return line


def method_title(name: str) -> str:
    """Return the method's name in the paper's tables, or the name as stored if this version lacks it."""
    return TITLES[name] if name in TITLES else plain(name)


def number(quantity: str, value: float) -> str:
    """Return a value as its quantity is usually given: accuracies in per cent."""
    return f"{100 * value:.1f}%" if quantity == "accuracy" else format_number(value)


def newest_name(row: RunRow) -> str:
    """Return the name of the result or metric that says most about the run, nothing where there is none."""
    names = (f"{split}/{quantity}" for split in _SPLITS for quantity in ("accuracy", "loss_ratio"))
    return next((name for name in names if name in row.results or name in row.latest), "")


def newest_value(row: RunRow) -> Text:
    """Return the value that says most about the run, with what it is: test 96.8%, val 91.2%, L1/L0 0.31."""
    name = newest_name(row)
    if not name:
        return Text()
    split, _, quantity = name.partition("/")
    value = row.results.get(name, row.latest.get(name, nan))
    label = split if quantity == "accuracy" else "L1/L0"
    return Text(f"{label} {number(quantity, value)}", "bold" * (name in row.results))


def measured_words(name: str, value: float, interval: float | None) -> str:
    """Return a result with its interval, accuracies in per cent: 96.80 ± 0.12, val 95.1, L1/L0 0.31."""
    split, _, quantity = name.partition("/")
    half = None if interval is None or isnan(interval) else interval
    if quantity == "accuracy":
        said = f"{100 * value:.2f}" if half is None else f"{100 * value:.2f} ± {100 * half:.2f}"
        return said if split == "test" else f"{split} {said}"
    return f"L1/L0 {with_interval(value, half)}"


def result_text(row: RunRow, width: int) -> Text:
    """Return what a run came to, or how it stands: one thing, the one that a user wants to know."""
    word = status_word(row)
    style = STATUS_STYLES[word]
    name = newest_name(row)
    if row.status is JobStatus.DONE and name in row.results:
        said = measured_words(name, row.results[name], row.intervals.get(name))
        return Text(said, "bold").append(" at chance" if word == "at chance" else "", style)
    if row.status is JobStatus.FAILED:
        return Text(" ".join(plain(row.error or "failed").split()), style)
    if word == "running":
        return _under_way(row, width)
    if word == "waiting":
        return Text(f"waits for {', '.join(map(str, row.waits_for))}", style)
    begun = f" at {int(100 * _share(row))}%" if row.step and row.status is not JobStatus.DONE else ""
    return Text(f"{word}{begun}", style)


def _under_way(row: RunRow, width: int) -> Text:
    """Return how far a running run is, how long it still takes, and its newest value where there is room."""
    style = STATUS_STYLES["running"]
    if row.step >= row.total_steps:
        return Text("evaluating", style)
    text = bar(_share(row), min(int(100 * _share(row)), 99), 9, style)
    text.append("" if row.eta_seconds is None else f" {duration(row.eta_seconds)}", "dim")
    newest = newest_value(row)
    return text.append(" ").append_text(newest) if text.cell_len + 1 + newest.cell_len <= width else text


def _share(row: RunRow) -> float:
    return min(row.step / row.total_steps, 1.0) if row.total_steps else 0.0
