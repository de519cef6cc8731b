"""Two lines about one run: what it is, and how it stands.

Not here: its curves (charts.py) and everything else about it (fsrun.tui.screens.run).
"""

from collections.abc import Sequence

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from fsrun.axes import with_interval
from fsrun.words import (
    STATUS_STYLES,
    count,
    duration,
    is_at_chance,
    method_title,
    number,
    plain,
    seeds_text,
    status_word,
    task_text,
)
from store.jobs import JobStatus
from store.results import IMPORTED_FROM, ResultRow
from store.views import RunDetail, RunRow


class Facts(Widget):
    """What the run is, and below it progress, results, or what is wrong."""

    lines: reactive[tuple[Text, ...]] = reactive(())

    def show(self, detail: RunDetail | None, *, has_workers: bool) -> None:
        """Describe this run; drawn anew only if that changes anything."""
        if detail is None:
            self.lines = ()
        else:
            self.lines = identity(detail.row), standing(detail, has_workers=has_workers)

    def render(self) -> Text:
        """Draw both lines."""
        lines = [line.copy() for line in self.lines]
        for line in lines:
            line.truncate(self.size.width, overflow="ellipsis")
        return Text("\n").join(lines)


def identity(row: RunRow) -> Text:
    """Return which run it is, most telling first."""
    parts = [f"{method_title(row.method)} on {plain(row.experiment)}", task_text(row)]
    parts += [f"preset {plain(row.preset)}", seeds_text(row), plain(row.variant)]
    return Text(f"#{row.id} ", "dim").append(" · ".join(part for part in parts if part), "not dim bold")


def standing(detail: RunDetail, *, has_workers: bool) -> Text:
    """Return how the run stands: the one thing a user wants to know at its status."""
    row, word = detail.row, status_word(detail.row)
    if row.status is JobStatus.DONE:
        measured = " · ".join(map(result_words, tellingly(detail.results))) or "done"
        chance = " · at chance" * is_at_chance(row)
        return Text(measured + chance, STATUS_STYLES[word]).append(_origin(detail), "dim")
    if row.status is JobStatus.FAILED:
        return Text(_one_line(row.error or "failed"), STATUS_STYLES["failed"])
    if row.status is JobStatus.CANCELLED:
        return Text(f"cancelled at step {row.step} of {row.total_steps} · r queues it again", "dim")
    if row.status is JobStatus.QUEUED:
        return Text(_waiting(row, has_workers=has_workers), STATUS_STYLES["queued"])
    if word == "lost":
        silence = "" if row.heartbeat_age is None else f", silent for {duration(row.heartbeat_age)}"
        fate = "died" if row.worker_died else "lost"
        return Text(f"worker {fate}{silence}: another worker will resume it", STATUS_STYLES["lost"])
    return _progress(detail)


def _origin(detail: RunDetail) -> str:
    file = detail.attempts[-1].provenance.get(IMPORTED_FROM) if detail.attempts else None
    return "" if file is None else f" · imported from {plain(file)}, without curves"


def result_words(result: ResultRow) -> str:
    """Return a result with its interval: test/accuracy 96.80 ± 0.12 % over 1000 episodes."""
    name, episodes = plain(result.name), result.episodes
    if name.endswith("/accuracy"):
        interval = None if result.interval is None else 100 * result.interval
        over = "" if episodes is None else f" over {count(episodes, 'episode')}"
        return f"{name} {with_interval(100 * result.value, interval)} %{over}"
    size = "" if episodes is None else f" (n = {episodes})"
    return f"{name} {with_interval(result.value, result.interval)}{size}"


def tellingly(results: Sequence[ResultRow]) -> list[ResultRow]:
    """Return results in the order in which they are told: what the run was made for first."""
    return sorted(results, key=lambda result: not result.name.endswith(("/accuracy", "/loss_ratio")))


def _waiting(row: RunRow, *, has_workers: bool) -> str:
    priority = f" · priority {row.priority}" if row.priority else ""
    if row.waits_for:
        return f"waits for run {', '.join(map(str, row.waits_for))}, which it starts from{priority}"
    resumes = f" · resumes from step {row.step}" if row.step else ""
    words = (
        "waits for a worker to be free"
        if has_workers
        else "waits for a worker: start one in another terminal: `fsrun worker`"
    )
    return words + resumes + priority


def _progress(detail: RunDetail) -> Text:
    row = detail.row
    parts = [f"step {row.step} of {row.total_steps}"]
    if row.rate:
        parts.append(f"{number('', row.rate)} steps/s")
    if row.eta_seconds is not None and row.step < row.total_steps:
        parts.append(f"{duration(row.eta_seconds)} left")
    if detail.attempts:
        parts.append(plain(detail.attempts[-1].device))
    if row.attempt > 1:
        parts.append(f"attempt {row.attempt}")
    text = Text(" · ".join(part for part in parts if part))
    if row.cancel_requested:
        text.append(" · will stop at the next checkpoint", STATUS_STYLES["stopping"])
    return text


def _one_line(text: str) -> str:
    return " ".join(plain(text).split())
