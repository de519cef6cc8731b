"""The base of every config class.

Not here: any option.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

STORED = {"stored": True}
"""The context in which a config is read that was stored, maybe before there were all options of today."""


class Frozen(BaseModel):
    """A value that never changes and refuses names it does not know.

    `later` are options that came after runs had been stored, each with the value that means what such runs
    did, whatever the default. At that value it is no part of what a run is named by, and a stored config
    that does not know the option has it: so runs keep being found and keep their meaning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    later: ClassVar[Mapping[str, Any]] = {}

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
