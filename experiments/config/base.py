"""What every config class shares: its base, and the bounds of a seed.

Not here: any option.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

MAX_SEED = 2**63 - 1
"""The largest whole number that a database keeps, and that a random source is seeded with."""

STORED = {"stored": True}
"""The context in which a config is read that was stored, maybe before there were all options of today."""


class AllBut:
    """All values but these."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def __contains__(self, value: Any) -> bool:
        return value not in self.values


Need = Mapping[str, "Collection[Any] | AllBut"]
"""Options by their dotted names, of which any one must have one of the values given; {} is never met."""


@dataclass(frozen=True)
class Unmet:
    """What keeps an option from changing anything: another option, its value, and the values it needs.

    No other option where nothing can change that.
    """

    option: str | None
    value: Any
    needed: "Collection[Any] | AllBut"


class Frozen(BaseModel):
    """A value that never changes and refuses names it does not know.

    `needs` are options that change something only where others have certain values: all of the needs listed.
    Whoever sets such an option elsewhere is told so; a stored config or a preset may hold it.

    `later` are options that came after runs had been stored, each with the value that means what such runs
    did, whatever the default. At that value it is no part of what a run is named by, and a stored config
    that does not know the option has it: so runs keep being found and keep their meaning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    later: ClassVar[Mapping[str, Any]] = {}
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _as_it_was(cls, raw: Any, info: ValidationInfo) -> Any:
        return {**cls.later, **raw} if info.context == STORED and isinstance(raw, dict) else raw

    def naming(self) -> dict[str, Any]:
        """Return the options that tell this value from others, ready for JSON."""
        return {
            name: value.naming() if isinstance(value, Frozen) else value
            for name, value in ((name, getattr(self, name)) for name in type(self).model_fields)
            if not (name in self.later and value == self.later[name])
        }

    def inert(self, option: str) -> Unmet | None:
        """Return what keeps an option, by its dotted name, from changing anything; None where it counts."""
        name, _, rest = option.partition(".")
        parts = option.split(".")
        for place in range(1, len(parts) + 1):
            for need in self.needs.get(".".join(parts[:place]), ()):
                if not any(self._at(other) in values for other, values in need.items()):
                    other, values = next(iter(need.items()), (None, ()))
                    return Unmet(other, other and self._at(other), values)
        inner = getattr(self, name, None)
        unmet = inner.inert(rest) if rest and isinstance(inner, Frozen) else None
        return unmet and Unmet(unmet.option and f"{name}.{unmet.option}", unmet.value, unmet.needed)

    def _at(self, option: str) -> Any:
        """Return the value of an option by its dotted name, None where there is none."""
        value: Any = self
        for part in option.split("."):
            value = getattr(value, part, None)
        return value
