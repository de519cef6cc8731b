"""The keys on offer, read off the bindings: for the help sheet and the command palette.

Not here: any key; each screen and widget binds its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial

from textual.app import SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

EVERYWHERE = "Everywhere"
_PALETTE = "command_palette"


@dataclass(frozen=True)
class Key:
    """One thing that can be done, with every key that does it; `node` is where its action is looked up."""

    group: str
    shown: tuple[str, ...]
    name: str
    does: str
    action: str
    node: DOMNode
    enabled: bool
    fold: str  # what it goes by, together with others, where there is no room


def keys_of(screen: Screen[object]) -> Iterator[Key]:
    """Return what the screen and whatever has the focus offer now, the innermost first, once each.

    Bindings of the library's own classes are left out: scrolling and editing are as everywhere.
    """
    active = screen.active_bindings
    for node in dict.fromkeys(each.node for each in active.values()):
        group = EVERYWHERE if node is screen.app else node.BINDING_GROUP_TITLE or "This screen"
        for keys, binding in _own_bindings(type(node)):
            mine = [key for key in keys if key in active and active[key].node is node]
            if mine and binding.description:
                shown = tuple(screen.app.get_key_display(binding.with_key(key)) for key in mine)
                does = binding.tooltip or binding.description
                enabled = active[mine[0]].enabled
                fold = binding.group.description if binding.group else ""
                yield Key(group, shown, binding.description, does, binding.action, node, enabled, fold)


def commands(screen: Screen[object]) -> Iterator[SystemCommand]:
    """Return what the keys offer now as entries of the command palette."""
    for key in keys_of(screen):
        if key.enabled and key.action != _PALETTE:
            run = partial(screen.app.run_action, key.action, key.node)
            yield SystemCommand(key.name, f"{key.does}  ({' '.join(key.shown)})", run)


@cache
def _own_bindings(kind: type[DOMNode]) -> tuple[tuple[tuple[str, ...], Binding], ...]:
    """Return the bindings of our own classes as they are written, each with all of its keys."""
    own = (base for base in kind.__mro__ if base.__module__.startswith("fsrun."))
    gathered: dict[tuple[str, str], tuple[list[str], Binding]] = {}
    for base in own:
        for binding in Binding.make_bindings(base.__dict__.get("BINDINGS", ())):
            keys, _ = gathered.setdefault((binding.action, binding.description), ([], binding))
            keys.append(binding.key)
    return tuple((tuple(keys), binding) for keys, binding in gathered.values())
