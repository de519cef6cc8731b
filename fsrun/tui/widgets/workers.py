"""Who works, and how busy this machine is: a line where room is scarce, else a line each.

Not here: measuring (fsrun.tui.resources).
"""

from collections.abc import Sequence

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from fsrun.tui.resources import Resources
from fsrun.words import LOST_AFTER, STATUS_STYLES, duration, living, plain
from store.views import WorkerRow

_BARS = " ▁▂▃▄▅▆▇█"
_MOST = 6  # lines of workers
_GIB = 1024**3


class Workers(Widget):
    """Workers with their heartbeats; processors, memory and GPUs of this machine."""

    lines: reactive[tuple[Text, ...]] = reactive(())

    def show(
        self, workers: Sequence[WorkerRow], resources: Resources | None, *, width: int, roomy: bool
    ) -> None:
        """Describe them; drawn anew only if that changes anything."""
        machine = machine_text(resources, spark=12 if roomy else 0 if width < 80 else 6)
        if roomy:
            shown = tuple(_worker(worker) for worker in workers[:_MOST])
            more = len(workers) - len(shown)
            rest = (Text(f"and {more} more workers", "dim"),) if more > 0 else ()
            none = (
                () if workers else (Text("no workers: start one in another terminal: `fsrun worker`", "dim"),)
            )
            self.lines = (machine, *none, *shown, *rest)
        else:
            self.lines = (Text("  ").join([machine, _in_short(workers)]),)

    def watch_lines(self, lines: tuple[Text, ...]) -> None:
        """Take as much room as there are lines."""
        self.styles.height = len(lines)

    def render(self) -> Text:
        """Draw the lines."""
        lines = [Text(" ").append_text(line) for line in self.lines]
        for line in lines:
            line.truncate(self.size.width, overflow="ellipsis")
        return Text("\n").join(lines)


def sparkline(shares: Sequence[float], width: int) -> str:
    """Return shares from 0 to 1 as bars, the newest at the right end."""
    last = shares[-width:] if width else []
    bars = "".join(_BARS[max(min(round(share * 8), 8), 0)] for share in last)
    return bars.rjust(width)


def machine_text(resources: Resources | None, *, spark: int) -> Text:
    """Return how busy the machine is: cpu 61% ▂▃▅, mem 5.1/23 GiB, gpu 98% ▇██ 10/80 GiB."""
    if resources is None:
        return Text("this machine: being measured", "dim")
    text = Text("cpu ", "dim")
    text.append(_share(resources.cpu, resources.cpu_before, spark), "not dim")
    text.append(" mem ").append(_of(resources.memory_used, resources.memory), "not dim")
    for index, gpu in enumerate(resources.gpus):
        before = resources.gpu_before if index == 0 else ()
        memory = _of(gpu.memory_used, gpu.memory)
        text.append("  gpu ").append(_share(gpu.busy, before, spark) + memory, "not dim")
    return text


def _share(now: float, before: Sequence[float], width: int) -> str:
    return f"{100 * now:3.0f}% {sparkline(before, width)} "


def _of(used: int, whole: int) -> str:
    return f"{used / _GIB:.1f}/{whole / _GIB:.0f} GiB"


def _worker(worker: WorkerRow) -> Text:
    """Return who it is, where, when it was last heard of, and what it does."""
    place = f"{plain(worker.host)} · {plain(worker.device)} · pid {worker.pid}"
    text = Text(plain(worker.id).ljust(12)).append(f"  {place}", "dim")
    text.append("  ").append_text(_heartbeat(worker))
    return text.append("  idle" if worker.run_id is None else f"  run {worker.run_id}", "not dim")


def _in_short(workers: Sequence[WorkerRow]) -> Text:
    """Return the workers as they fit beside the machine, those heard of last first."""
    if not workers:
        return Text("no workers", "dim")
    text = Text(f"{living(workers)} of {len(workers)} " if len(workers) > 1 else "")
    for worker in workers[:_MOST]:
        doing = "idle" if worker.run_id is None else f"#{worker.run_id}"
        text.append(f"{plain(worker.device)} {doing} ").append_text(_heartbeat(worker)).append("  ")
    return text


def _heartbeat(worker: WorkerRow) -> Text:
    age = duration(worker.heartbeat_age)
    if worker.died:
        return Text(f"died, silent {age}", STATUS_STYLES["lost"])
    if worker.heartbeat_age > LOST_AFTER:
        return Text(f"silent {age}", STATUS_STYLES["lost"])
    return Text(f"♥ {age}", "dim")
