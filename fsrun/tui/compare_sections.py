"""What is said of compared runs beside their curves, as text.

Not here: the numbers themselves (outcomes.py, comparing.py).
"""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from fsrun.stored_options import different_options, is_seed
from fsrun.tui.comparing import Member
from fsrun.tui.outcomes import outcomes
from fsrun.words import plain, status_text, status_word

_NAME_WIDTH = 40


def heading(members: Sequence[Member], count: int, metric: str, metrics: Sequence[str]) -> Text:
    """Return what is compared, and which metric of how many is drawn."""
    text = Text(f" {count} runs", "bold")
    if len(members) < count:
        text.append(
            f" of {len(members)} configs: means over their seeds, bands from lowest to highest", "not bold"
        )
    if metric in metrics:
        text.append(
            f" · {plain(metric)}, metric {metrics.index(metric) + 1} of {len(metrics)}: tab", "not bold dim"
        )
    return text


def results(members: Sequence[Member]) -> Text:
    """Return each result of every member with its 95 % interval, and how far it is ahead of the first."""
    names = [
        set_cell_size(member.name, min(_NAME_WIDTH, max(cell_len(each.name) for each in members)))
        for member in members
    ]
    found = outcomes(members)
    lines = []
    for name, row in found:
        lines.append(Text(name, "bold"))
        width = max(len(outcome.value) for outcome in row)
        for short, outcome in zip(names, row, strict=True):
            line = Text(f"  {short}  {outcome.value or '–':<{width}}")
            if outcome.difference:
                line.append(f"  Δ {outcome.difference}", "dim")
            lines.append(line)
        lines.append(Text())
    if not found:
        lines += [Text("measured when the runs end", "dim"), Text()]
    lines.append(Text("Runs", "bold"))
    for name, member in zip(names, members, strict=True):
        by_status: dict[str, list[int]] = {}
        for run in member.runs:
            by_status.setdefault(status_word(run.row), []).append(run.row.id)
        line = Text(f"  {name}")
        for word, run_ids in by_status.items():
            line.append("  ").append_text(status_text(word))
            line.append("".join(f" #{run_id}" for run_id in run_ids), "not bold dim")
        lines.append(line)
    if any(outcome.difference for _, row in found for outcome in row):
        lines += [
            Text(),
            Text("Δ: ahead of the first, episode by episode; ± half of the 95 % interval", "dim"),
        ]
    return Text("\n").join(lines)


def options(members: Sequence[Member], search: str) -> Text:
    """Return the options that differ, each with its value for every config."""
    found = different_options([member.runs[0].config for member in members])
    words = search.casefold().split()
    lines = []
    for name, values in found:
        if is_seed(name):
            continue
        block = [Text(name, "bold")]
        for member, value in zip(members, values, strict=True):
            block.append(Text(f"  {value}", "").append(f"  {member.name}", "dim"))
        if all(word in "\n".join(line.plain for line in block).casefold() for word in words):
            lines += block
    if not lines:
        return Text("no option differs but the seed" if not words else "nothing found", "dim")
    return Text("\n").join(lines)
