"""What the search line understands: free words and key:value pairs, all of which must hold.

Not here: the line itself (fsrun.tui.widgets.search_line).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from fsrun.words import method_title, short_task, status_word, task_text
from store.views import RunRow


@dataclass(frozen=True)
class Entry:
    """A run as it is listed: its line of the snapshot, the device it runs on, and whether it is marked."""

    row: RunRow
    device: str = ""
    marked: bool = False

    @cached_property
    def everything(self) -> str:
        """All that a free word is looked for in."""
        return "\n".join(text for field in _FIELDS.values() for text in field(self)).lower()


_WHOLE = frozenset({"id", "seed"})
"""Keys whose value must be met in full: seed:1 does not mean seed 10."""

_FIELDS: Mapping[str, Callable[[Entry], Iterable[str]]] = {
    "id": lambda entry: (str(entry.row.id),),
    "experiment": lambda entry: (entry.row.experiment,),
    "method": lambda entry: (entry.row.method, method_title(entry.row.method)),
    "task": lambda entry: (short_task(entry.row), task_text(entry.row)),
    "preset": lambda entry: (entry.row.preset,),
    "variant": lambda entry: (entry.row.variant,),
    "seed": lambda entry: map(str, entry.row.all_seeds),
    "status": lambda entry: (status_word(entry.row), entry.row.status.value),
    "device": lambda entry: (entry.device,),
    "tag": lambda entry: entry.row.tags,
    "note": lambda entry: (entry.row.note,),
    "error": lambda entry: (entry.row.error or "",),
    "is": lambda entry: ("marked",) if entry.marked else (),
}
KEYS = tuple(_FIELDS)
"""What may stand before a colon."""

Test = Callable[[Entry], bool]


def matcher(query: str) -> Test:
    """Return the test a run must pass to be shown: status:failed,running method:maml -glyphs lr.

    Commas part alternatives, a minus turns a word round, capitals do not matter. What has an unknown key
    before its colon is a free word; free words are looked for everywhere.
    """
    tests = [_test(word) for word in query.lower().split()]
    return lambda entry: all(test(entry) for test in tests)


def _test(word: str) -> Test:
    if word.startswith("-") and len(word) > 1:
        holds = _test(word[1:])
        return lambda entry: not holds(entry)
    key, colon, value = word.partition(":")
    if not colon or key not in _FIELDS:
        return lambda entry: word in entry.everything
    wanted = [each for each in value.split(",") if each]
    if not wanted:  # the value has yet to be typed
        return lambda entry: True
    field, whole = _FIELDS[key], key in _WHOLE
    return lambda entry: any(_meets(text, wanted, whole=whole) for text in field(entry))


def _meets(text: str, wanted: Iterable[str], *, whole: bool) -> bool:
    text = text.lower()
    return any(each == text if whole else each in text for each in wanted)
