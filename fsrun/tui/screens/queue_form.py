"""The form that queues runs: new ones of a preset, or a copy of one that is stored with edits.

Not here: checking what was written (fsrun.drafting) and queueing it (fsrun.orders).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.reactive import var
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Select, Static

from experiments.options import Option
from experiments.presets import PRESETS
from experiments.registry import EXPERIMENTS, methods_of
from fsrun import orders
from fsrun.drafting import (
    ALSO,
    K_SHOT,
    N_WAY,
    PRIORITY,
    SEEDS,
    Checked,
    Draft,
    check,
    differences,
    new_draft,
)
from fsrun.paths import Home
from fsrun.sweep_table import sweep_table
from fsrun.tui.database import Order
from fsrun.tui.messages import DraftChecked, OptionWritten
from fsrun.tui.widgets.key_line import KeyLine
from fsrun.tui.widgets.option_lines import OptionLines
from fsrun.words import STATUS_STYLES, plain

SHOWN = 100
"""Runs of a sweep that are listed before they are queued."""

_FIELDS = {"n_way": N_WAY, "k_shot": K_SHOT}  # fields that are options, too
_WORDS = (ALSO, SEEDS, PRIORITY)
_HINTS = {ALSO: "methods", "n_way": "–", "k_shot": "–"}  # where nothing is written


class QueueForm(ModalScreen[Order | None]):
    """What to queue, checked as it is written; the order to queue it, or None."""

    BINDING_GROUP_TITLE = "Queue"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "queue", "Queue", tooltip="queue what is shown below"),
        Binding("escape", "dismiss(None)", "Close", tooltip="close the form, queue nothing"),
        Binding("tab", "app.focus_next", "Next field", tooltip="next field"),
        Binding("shift+tab", "app.focus_previous", "Field before", tooltip="field before"),
    ]

    draft: var[Draft] = var(new_draft, init=False)
    checked: var[Checked | None] = var(None, init=False)

    def __init__(self, draft: Draft, home: Callable[[], Home]) -> None:
        super().__init__()
        self._home = home
        self._begins_with = draft
        self._hurry = False  # the user wants to queue what is still being checked

    def compose(self) -> ComposeResult:
        """Lay out the form."""
        draft = self._begins_with
        copied = draft.source is not None
        title = f"A copy of run {draft.source} with edits" if copied else "Queue a run"
        yield Static(Text(title, "bold"), classes="heading")
        with Horizontal(classes="fields"):
            for name, names, value in (
                ("experiment", tuple(EXPERIMENTS), draft.experiment),
                ("method", methods_of(draft.experiment), draft.method),
                ("preset", (draft.preset,) if copied else tuple(PRESETS), draft.preset),
            ):
                yield Label(name)
                yield Select(
                    _choices(names), value=value, allow_blank=False, id=name, compact=True, disabled=copied
                )
        with Horizontal(classes="fields"):
            fields = {
                ALSO: draft.also,
                "n_way": "",
                "k_shot": "",
                SEEDS: draft.seeds,
                PRIORITY: draft.priority,
            }
            for name, value in fields.items():
                yield Label(name.replace("_", "-"))
                off = name in _FIELDS or (copied and name == ALSO)
                yield Input(value, id=name, compact=True, disabled=off, placeholder=_HINTS.get(name, ""))
        yield Static(id="wrong")
        with Vertical(id="form"):
            yield OptionLines()
            with VerticalScroll(id="preview", can_focus=False):
                yield Static(id="planned")
        with Horizontal(id="send"):
            yield Button("Queue (ctrl+s)", id="queue", compact=True, variant="primary", disabled=True)
        yield KeyLine("Queue", "Close", "Next field", "Search options")

    def on_mount(self) -> None:
        """Begin with what was asked for."""
        self.draft = self._begins_with
        self._begin_check()
        first = "wanted" if self._begins_with.source is not None else "experiment"
        self.query_one(f"#{first}").focus()

    def on_resize(self) -> None:
        """Put the preview where there is room."""
        self.set_class(self.size.width >= 140, "wide")

    def watch_draft(self) -> None:
        """Check what was written."""
        self._begin_check()

    def _begin_check(self) -> None:
        self.run_worker(partial(self._check, self.draft), thread=True, group="check", exclusive=True)

    def _check(self, draft: Draft) -> None:
        self.post_message(DraftChecked(check(draft, self._home())))

    @on(DraftChecked)
    def _take(self, message: DraftChecked) -> None:
        if message.checked.draft == self.draft:  # else a newer one is on its way
            self.checked = message.checked

    @on(Select.Changed)
    def _choose(self, event: Select.Changed) -> None:
        name, value = str(event.select.id), str(event.value)
        if value == getattr(self.draft, name):
            return
        kept = replace(self.draft, changes={})
        if name == "experiment":
            method = EXPERIMENTS[value].default_method
            methods = self.query_one("#method", Select)
            with self.prevent(Select.Changed, Input.Changed):
                methods.set_options(_choices(methods_of(value)))
                methods.value = method
                self.query_one(f"#{ALSO}", Input).value = ""
            kept = kept.with_word("method", method).with_word(ALSO, "")
        self.draft = kept.with_word(name, value)

    @on(OptionWritten)
    def _write_option(self, message: OptionWritten) -> None:
        self.draft = self.draft.with_change(message.name, message.text)

    @on(Input.Changed)
    def _write_field(self, event: Input.Changed) -> None:
        name = str(event.input.id)
        if name in _WORDS:
            self.draft = self.draft.with_word(name, event.value.strip())
        elif name in _FIELDS:
            before = {option.name: str(option.value) for option in self._options()}
            text = "" if event.value.strip() == before.get(_FIELDS[name]) else event.value
            self.draft = self.draft.with_change(_FIELDS[name], text)

    def _options(self) -> Sequence[Option]:
        return self.checked.options if self.checked else ()

    def watch_checked(self, checked: Checked | None) -> None:
        """Show what comes of what was written."""
        if checked is None:
            return
        self.query_one(OptionLines).checked = checked
        self._show_fields(checked)
        count = len(checked.planned)
        button = self.query_one("#queue", Button)
        button.label = Text(f"Queue {count} run{'s' * (count > 1)} (ctrl+s)" if count else "Queue (ctrl+s)")
        button.refresh(layout=True)  # as wide as its words are now
        button.disabled = not count
        self.query_one("#planned", Static).update(_preview(checked))
        if self._hurry:
            self.action_queue()

    def _show_fields(self, checked: Checked) -> None:
        """Show ways and shots where the run has them, and what is wrong with the fields above the options."""
        values = {option.name: str(option.value) for option in checked.options}
        for name, option in _FIELDS.items():
            field = self.query_one(f"#{name}", Input)
            field.disabled = option not in values
            if not field.has_focus:
                with self.prevent(Input.Changed):
                    field.value = checked.draft.changes.get(option, values.get(option, ""))
        here = ("", *_WORDS, *_FIELDS.values())
        wrong = [line for name, line in checked.faults.items() if name in here]
        self.query_one("#wrong", Static).update(
            Text("\n".join(f"✗ {plain(line)}" for line in wrong), STATUS_STYLES["failed"])
        )

    def action_queue(self) -> None:
        """Queue what is shown, as soon as it is checked."""
        checked = self.checked
        self._hurry = checked is None or checked.draft != self.draft
        if checked is not None and not self._hurry and checked.planned:
            self.dismiss(partial(orders.queue_runs, planned=checked.planned, priority=checked.priority))

    def on_button_pressed(self) -> None:
        """Queue what is shown."""
        self.action_queue()


def _choices(names: Sequence[str]) -> list[tuple[Text, str]]:
    return [(Text(plain(name)), name) for name in names]


def _preview(checked: Checked) -> RenderableType:
    """Return the sweep as a dry run shows it, and what differs from the run it is a copy of."""
    if not checked.planned:
        return Text("nothing to queue: mend what is marked ✗", "dim")
    parts: list[RenderableType] = []
    if checked.draft.source is not None:
        found = ", ".join(differences(checked)) or "nothing yet"
        parts.append(Text(f"differs from run {checked.draft.source}: {plain(found)}"))
    more = len(checked.planned) - SHOWN
    parts.append(sweep_table(checked.planned[:SHOWN]))
    parts += [Text(f"... and {more} more", "dim")] if more > 0 else []
    return Group(*parts, *(Text(plain(line), "dim") for line in checked.says))
