"""What the user may order about runs, each carried out in the store and answered in one line.

Not here: who asks, by keys (fsrun.tui.orders) or by commands (fsrun.cli).
"""

from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from fsrun.errors import AlreadyThere, NotAll
from store import queue, runs, upkeep
from store.jobs import JobStatus, are, numbered

if TYPE_CHECKING:
    from experiments.sweeps import PlannedRun

REASONS = 5
"""How many runs are named that could not obey."""

TRASH_DAYS = 7.0
"""Days in the trash after which `fsrun gc` frees a run for good."""


def cancel(engine: Engine, now: float, run_ids: Collection[int]) -> str:
    """Cancel queued runs at once, and ask running ones to stop. Raises NotAll."""
    answer = queue.request_cancel(engine, run_ids, now)
    asked = [run_id for run_id, status in answer.statuses.items() if status is JobStatus.RUNNING]
    over = [run_id for run_id in answer.statuses if run_id not in asked]
    said = [f"{numbered(over)} {are(over)} cancelled"] if over else []
    if asked:
        said.append(f"{numbered(asked)} will stop at {'their' if len(asked) > 1 else 'its'} next checkpoint")
    return _told(said, answer)


def retry(engine: Engine, now: float, run_ids: Collection[int]) -> str:
    """Queue failed and cancelled runs again, and those they start from which are so too. Raises NotAll."""
    answer = queue.retry(engine, run_ids, now)
    again = [run_id for run_id in answer.statuses if run_id in run_ids]
    also = sorted(answer.statuses.keys() - set(again))
    start = "they start" if len(again) > 1 else "it starts"
    needs = f", with {numbered(also)} which {start} from" if also else ""
    return _told([f"{numbered(again)} {are(again)} queued again{needs}"] if again else [], answer)


def _told(said: Sequence[str], answer: queue.Answer) -> str:
    """Say what was done; raise NotAll where something could not be, with the first reasons."""
    why = [str(each) for each in answer.refused.values()]
    if not why:
        return "; ".join(said)
    more = f"and {len(why) - REASONS} more could not" if len(why) > REASONS else ""
    raise NotAll("; ".join(filter(None, (*said, *why[:REASONS], more))))


def delete(engine: Engine, now: float, run_ids: Sequence[int]) -> str:
    """Put runs into the trash."""
    upkeep.trash(engine, run_ids, now)
    return (
        f"{numbered(run_ids)} {are(run_ids)} deleted; undo brings {'them' if len(run_ids) > 1 else 'it'} back"
    )


def undo(engine: Engine, _now: float, run_ids: Collection[int] = ()) -> str:
    """Take runs out of the trash, those deleted last where none are named."""
    back = upkeep.undo(engine, run_ids)
    return f"{numbered(back)} {are(back)} back"


def note(engine: Engine, _now: float, run_ids: Sequence[int], text: str) -> str:
    """Put a note to runs, or take theirs away where the text is empty."""
    runs.set_note(engine, run_ids, text)
    return f"the note of {numbered(run_ids)} is {'kept' if text.strip() else 'taken away'}"


def tag(
    engine: Engine, _now: float, run_ids: Sequence[int], add: Sequence[str] = (), remove: Sequence[str] = ()
) -> str:
    """Give tags to runs, and take tags from them."""
    runs.change_tags(engine, run_ids, add=add, remove=remove)
    said = [f"tagged {', '.join(add)}"] if add else []
    said += [f"no longer tagged {', '.join(remove)}"] if remove else []
    return f"{numbered(run_ids)} {are(run_ids)} {' and '.join(said) or 'tagged as before'}"


def prioritise(engine: Engine, _now: float, run_ids: Sequence[int], by: int) -> str:
    """Raise or lower the priority of queued runs."""
    return _reached(run_ids, queue.change_priority(engine, run_ids, by))


def set_priority(engine: Engine, _now: float, run_ids: Sequence[int], priority: int) -> str:
    """Give queued runs this priority."""
    return _reached(run_ids, queue.set_priority(engine, run_ids, priority))


def _reached(run_ids: Sequence[int], priorities: Sequence[int]) -> str:
    levels = ", ".join(str(each) for each in sorted(set(priorities)))
    return f"{numbered(run_ids)} now {'have' if len(run_ids) > 1 else 'has'} priority {levels}"


def pause_or_resume(engine: Engine, now: float) -> str:
    """Let no worker begin another job, or where the queue is paused let them begin again."""
    if queue.pause(engine, now):
        return "the queue is paused: running jobs go on, no other is begun"
    queue.resume(engine)
    return "the queue goes on"


def queue_runs(
    engine: Engine, now: float, planned: "Sequence[PlannedRun]", priority: int = 0, *, again: bool = False
) -> str:
    """Queue a sweep; what is there of it only `again`. Raises AlreadyThere where nothing else is left."""
    from fsrun.planning import enqueue_planned, known_runs, queued_line  # takes long to load

    known = known_runs(engine, planned)
    if again or not known.statuses:
        return queued_line(enqueue_planned(engine, planned, now=now, priority=priority))
    if not known.fresh:
        order = partial(queue_runs, planned=planned, priority=priority, again=True)
        raise AlreadyThere(known.line, order)
    line = queued_line(enqueue_planned(engine, known.fresh, now=now, priority=priority))
    return f"{line}; {known.line}, not queued again"
