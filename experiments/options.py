"""The options of a run as data, read off the config classes: name, kind, bounds, default.

Not here: the options themselves (config/), and reading values that a user types (values.py).
"""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from experiments.config import RunConfig
from experiments.config.base import Frozen

_KINDS = {int: "whole number", float: "number", bool: "true or false", str: "text"}
_WHAT_RUNS_IT = ("kind", "name", "source", "code")  # of data and method: other ones have other options


@dataclass(frozen=True)
class Option:
    """One option of a run: its dotted name, what it may be in words, and its value, ready for JSON."""

    name: str
    rule: str
    value: Any


def options_of(config: RunConfig) -> tuple[Option, ...]:
    """Return every option of data, method and evaluation with the value it has in this config."""
    sections = ("data", "method", "evaluation")
    return tuple(option for each in sections for option in _options(each, getattr(config, each)))


def _options(prefix: str, model: Frozen) -> Iterator[Option]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, Frozen):
            yield from _options(f"{prefix}.{name}", value)
        elif name not in _WHAT_RUNS_IT:
            yield Option(f"{prefix}.{name}", rule_of(field), model.model_dump(mode="json")[name])


def rule_of(field: FieldInfo) -> str:
    """Return what a value may be: "whole number, 1 to 100", "sgd or lstm"."""
    return ", ".join(part for part in (_kind(field.annotation), _bounds(field.metadata)) if part)


def _kind(annotation: Any) -> str:
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [_kind(each) for each in get_args(annotation)]
        return " or ".join(dict.fromkeys(kinds))
    if get_origin(annotation) is Literal:
        return " or ".join(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        return "list"
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        return "section"
    return _KINDS.get(annotation, "")


def _bounds(metadata: list[Any]) -> str:
    """Return the bounds of a number: "1 to 100", "above 0", "at least 0 and below 1"."""
    low = next((each for each in metadata if isinstance(each, Ge | Gt)), None)
    high = next((each for each in metadata if isinstance(each, Le | Lt)), None)
    if isinstance(low, Ge) and isinstance(high, Le):
        return f"{_number(low.ge)} to {_number(high.le)}"
    parts = []
    if low is not None:
        parts.append(f"at least {_number(low.ge)}" if isinstance(low, Ge) else f"above {_number(low.gt)}")
    if high is not None:
        parts.append(f"at most {_number(high.le)}" if isinstance(high, Le) else f"below {_number(high.lt)}")
    return " and ".join(parts)


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
