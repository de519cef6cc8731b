"""One run in full: its curves, results, attempts, error and config.

Not here: the list of runs (overview.py).
"""

import json
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from fsrun.tui.curves import charts_of
from fsrun.tui.messages import Picture
from fsrun.tui.widgets.charts import Charts
from fsrun.tui.widgets.facts import Facts, result_words, tellingly
from fsrun.tui.widgets.status_line import StatusLine
from fsrun.words import STATUS_STYLES, duration, living, plain
from store.runs import AttemptRecord
from store.snapshot import RunDetail


class RunScreen(Screen[None]):
    """Everything about the run under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.pop_screen", "Back"),
        Binding("j", "scroll_text(1)", "down", show=False),
        Binding("k", "scroll_text(-1)", "up", show=False),
        Binding("tab", "turn(1)", "Next chart", show=False),
        Binding("shift+tab", "turn(-1)", "Previous chart", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Facts()
        with VerticalScroll():
            yield Charts()
            yield Static(id="text")
        yield StatusLine()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Follow the app's picture of the database."""
        self._described = Text()
        self.watch(self.app, "picture", self._show)
        self.watch(self.app, "trouble", self._show_trouble)
        self.watch(self.app, "notice", self._show_notice)
        self.query_one(VerticalScroll).focus()

    def action_turn(self, by: int) -> None:
        """Show the next charts, where not all fit."""
        self.query_one(Charts).turn(by)

    def action_scroll_text(self, by: int) -> None:
        """Scroll by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def _show(self, picture: Picture | None) -> None:
        detail = None if picture is None else picture.snapshot.selected
        if picture is None or detail is None:
            return
        self.query_one(Facts).show(detail, has_workers=living(picture.snapshot.workers) > 0)
        charts = self.query_one(Charts)
        charts.charts = charts_of(detail.curves)
        charts.display = bool(detail.curves)
        text = describe(detail, picture.snapshot.taken)
        if text != self._described:
            self._described = text
            self.query_one("#text", Static).update(text)

    def _show_trouble(self, trouble: str) -> None:
        self.query_one(StatusLine).trouble = trouble

    def _show_notice(self, notice: str) -> None:
        self.query_one(StatusLine).notice = notice


def describe(detail: RunDetail, now: float) -> Text:
    """Return all that is known about a run beside its curves, section by section."""
    sections = [
        ("Results", [Text(result_words(result)) for result in tellingly(detail.results)]),
        ("Error", [Text(line, STATUS_STYLES["failed"]) for line in plain(detail.error or "").splitlines()]),
        ("Attempts", [_attempt(attempt, now) for attempt in detail.attempts]),
        ("Starts from", [Text(f"run {parent}") for parent in detail.parents]),
        ("Config", [Text(line) for line in _config_lines(detail.config)]),
    ]
    text = Text()
    for heading, lines in sections:
        if lines:
            text.append(f"\n{heading}\n", "bold")
            for line in lines:
                text.append("  ").append_text(line).append("\n")
    return text


def _attempt(attempt: AttemptRecord, now: float) -> Text:
    took = duration((attempt.ended or now) - attempt.started)
    outcome = "under way for" if attempt.outcome is None else f"{attempt.outcome} after"
    parts = [f"{attempt.number}  {outcome} {took}", f"from step {attempt.from_step}"]
    parts += [part for part in (plain(attempt.device), plain(attempt.worker_id)) if part]
    text = Text(" · ".join(parts))
    return text.append(f" · {plain(attempt.error.splitlines()[-1])}", "dim") if attempt.error else text


def _config_lines(config: str) -> list[str]:
    """Return the config as one option a line, nested names joined by dots."""

    def options(value: object, name: str) -> list[str]:
        if isinstance(value, dict):
            inner = [options(item, f"{name}.{key}" if name else str(key)) for key, item in value.items()]
            return [line for lines in inner for line in lines]
        return [f"{name} = {json.dumps(value)}"]

    try:
        return [plain(line) for line in options(json.loads(config), "")]
    except json.JSONDecodeError:
        return plain(config).splitlines()
