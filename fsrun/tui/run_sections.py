"""All that is known about one run beside its curves, section by section, as text.

Not here: which section is on the screen (screens/run.py).
"""

from datetime import datetime

from rich.text import Text

from fsrun.stored_options import options_of
from fsrun.tui.closely import LogTail
from fsrun.tui.widgets.facts import result_words, tellingly
from fsrun.words import STATUS_STYLES, duration, plain
from store.jobs import JobStatus
from store.runs import AttemptRecord
from store.views import RunDetail

_NOT_OVER = (JobStatus.QUEUED, JobStatus.RUNNING)


def results(detail: RunDetail) -> Text:
    """Return what the run measured, each with its 95 % interval, or why there is nothing yet."""
    lines = [Text(result_words(result)) for result in tellingly(detail.results)]
    if not lines:
        waiting = detail.row.status in _NOT_OVER
        return Text(
            "measured when the run ends" if waiting else "the run ended before it measured anything", "dim"
        )
    return _joined([*lines, Text(), Text("± is half of the 95 % interval", "dim")])


def summary(detail: RunDetail, tail: LogTail | None, height: int) -> Text:
    """Return what the overview says of a run besides its curves, in at most so many lines.

    Results, what differs from the preset, note and tags, what it starts from, where it ran; then the end of
    its log.
    """
    row = detail.row
    measured = [result_words(each) for each in tellingly(detail.results)]
    facts = {
        "Results": "; ".join(measured) if len(measured) > 1 else "",
        "Differs": row.variant,
        "Note": " ".join(row.note.split()),
        "Tags": " ".join(row.tags),
        "Starts from": ", ".join(f"run {parent}" for parent in detail.parents),
    }
    if detail.attempts:
        last = detail.attempts[-1]
        made = last.provenance.get("commit", "")[:12]
        where = (last.device, last.worker_id, f"commit {made}" if made else "")
        facts["Ran on"] = " · ".join(plain(each) for each in where if each)
    lines = [
        Text(f"{name:<12}", "dim").append(plain(value), "not dim") for name, value in facts.items() if value
    ]
    trace = plain(detail.error or "").splitlines()[-4:-1]  # what the last line says stands above
    lines += [Text(line, STATUS_STYLES["failed"]) for line in trace]
    room = height - len(lines) - 2
    if tail is not None and tail.run_id == row.id and tail.lines and room > 0:
        lines += [Text(), Text("Log", "bold"), *map(Text, tail.lines[-room:])]
    return _joined(lines[:height])


def config(detail: RunDetail, search: str) -> Text:
    """Return the options, those only that have all words of the search in their line."""
    options = options_of(detail.config)
    words = search.casefold().split()
    lines = [
        Text(f"{name} = ", "dim").append(value, "not dim")
        for name, value in options.items()
        if all(word in f"{name} = {value}".casefold() for word in words)
    ]
    shown = f"{len(lines)} of {len(options)} options" if words else f"{len(options)} options"
    return _joined([Text(f"{shown} · / searches", "dim"), *lines])


def error(detail: RunDetail) -> Text:
    """Return why the run failed, with the traceback."""
    if not detail.error:
        return Text("no error", "dim")
    return _joined([Text(line, STATUS_STYLES["failed"]) for line in plain(detail.error).splitlines()])


def attempts(detail: RunDetail, now: float) -> Text:
    """Return each execution of the run, the newest last."""
    lines = [_attempt(attempt, now) for attempt in detail.attempts]
    if detail.parents:
        named = ", ".join(f"run {parent}" for parent in detail.parents)
        lines += [Text(), Text(f"starts from {named}")]
    return _joined(lines) if lines else Text("no worker has begun with it yet", "dim")


def provenance(detail: RunDetail) -> Text:
    """Return what made the numbers: commit, versions, machine; and the note and tags given to the run."""
    row = detail.row
    facts = {"created": _clock(row.created), "group": row.group_hash[:12]}
    facts |= dict(detail.attempts[-1].provenance) if detail.attempts else {}
    if row.note:
        facts = {"note": row.note} | facts
    if row.tags:
        facts = {"tags": " ".join(row.tags)} | facts
    width = max(len(plain(name)) for name in facts)
    return _joined(
        [
            Text(f"{plain(name):<{width}}  ", "dim").append(plain(value), "not dim")
            for name, value in facts.items()
        ]
    )


def log(detail: RunDetail, tail: LogTail | None) -> Text:
    """Return the end of the log, or where it is."""
    if tail is None or tail.run_id != detail.row.id:
        return Text("reading the log …", "dim")
    if tail.lines is None:
        if not detail.attempts:
            return Text("no log yet: no worker has begun with the run", "dim")
        worker = plain(detail.attempts[-1].worker_id)
        return Text(f"no log on this machine ({tail.path}): worker {worker} keeps it where it ran", "dim")
    first = [Text(f"the end of {tail.path}", "dim")] if tail.is_cut else []
    return _joined([*first, *map(Text, tail.lines)]) if tail.lines else Text("the log is empty", "dim")


def _attempt(attempt: AttemptRecord, now: float) -> Text:
    took = duration((attempt.ended or now) - attempt.started)
    outcome = "under way for" if attempt.outcome is None else f"{attempt.outcome} after"
    parts = [f"{attempt.number}  {outcome} {took}", f"from step {attempt.from_step:,}"]
    parts += [part for part in (plain(attempt.device), plain(attempt.worker_id)) if part]
    text = Text(" · ".join(parts))
    lines = (attempt.error or "").strip().splitlines()
    return text.append(f" · {plain(lines[-1])}", "dim") if lines else text


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _joined(lines: list[Text]) -> Text:
    return Text("\n").join(lines)
