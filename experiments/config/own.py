"""The options of a method that somebody wrote outside fsrun, as a run stores them.

Not here: loading its code, which checks the options (experiments/own.py).
"""

from typing import Any

from pydantic import ConfigDict, ValidationInfo, ValidatorFunctionWrapHandler

from experiments.config.training import Training


class OwnMethod(Training):
    """What the options of all own methods have: a name, where the code lies, and which code it is.

    The source is no part of what a run is named by: the file may move. The code is: two files with one class
    name, or one file before and after a change, are two methods.
    """

    name: str
    source: str  # "/path/file.py:Class" or "module:Class"
    code: str  # a file's name and hash, or a package and its version, when the run was queued

    def naming(self) -> dict[str, Any]:
        """Return all options but the source, alike with and without the code at hand."""
        return {name: value for name, value in self.model_dump(mode="json").items() if name != "source"}


class StoredOptions(OwnMethod):
    """The options as they were when the code had checked them, for where the code is not loaded."""

    model_config = ConfigDict(extra="allow")


LOADED: dict[str, type[OwnMethod]] = {}
"""Source -> the config class of its method, for what this process has loaded."""


def is_own(value: Any) -> bool:
    """Return whether a raw config of a method, or the config, is of an own method."""
    return "source" in value if isinstance(value, dict) else isinstance(value, OwnMethod)


def read_own(value: Any, _: ValidatorFunctionWrapHandler, info: ValidationInfo) -> OwnMethod:
    """Return the config of an own method: checked by its class where that is loaded, else as it is."""
    if isinstance(value, OwnMethod):
        return value
    return LOADED.get(value["source"], StoredOptions).model_validate(value, context=info.context)
