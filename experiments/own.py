"""Methods that somebody wrote outside fsrun: a class in a file or an installed package.

Not here: how a run stores their options (config/own.py), and the contract they keep (method.py).
"""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, distributions, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

from pydantic import create_model
from pydantic_core import PydanticUndefined

from experiments.config import RunConfig, config_from_json, config_to_json
from experiments.config.own import LOADED, OwnMethod
from experiments.config.training import Training
from experiments.errors import ConfigError
from experiments.registry import BUILT_IN, EXPERIMENTS, METHODS, MethodEntry

GROUP = "fsrun.methods"
"""The entry points by which a package offers methods."""

IMAGES = ("omniglot", "glyphs", "miniimagenet")
"""The data on which an own method runs unless its class says otherwise."""


def offered() -> dict[str, EntryPoint]:
    """Return the methods that installed packages offer, by name; nothing is imported."""
    return {each.name: each for each in entry_points(group=GROUP)}


def method_named(word: str) -> str:
    """Return the name of a method, loading it where `word` is a file or a module with a class, or offered.

    Raises ConfigError where there is no such code, or where it is not a method.
    """
    if ":" not in word:
        return load(offered()[word].value, word).name if word not in METHODS and word in offered() else word
    place, _, name = word.rpartition(":")
    if place.endswith(".py"):
        return load(f"{Path(place).expanduser().resolve()}:{name}").name
    return load(word).name


def with_code(config: RunConfig) -> RunConfig:
    """Return a config whose method is of its own class. Raises ConfigError where the code is gone."""
    if not isinstance(config.method, OwnMethod):
        return config
    load(config.method.source, config.method.name)
    return config_from_json(config_to_json(config))


def load(source: str, called: str = "") -> MethodEntry:
    """Import a method, and return its entry in the registry, where it stands from now on.

    source: "/path/file.py:Class" or "module:Class". Raises ConfigError.
    """
    place, _, name = source.rpartition(":")
    code = getattr(_module(place), name, None)
    if not isinstance(code, type):
        raise ConfigError(f"{place} has no class {name!r}: name one that it has, as {place}:CLASS")
    called = called or name
    if called in BUILT_IN:
        raise ConfigError(f"{source}: fsrun has a method {called} of its own: give the class another name")
    options = getattr(code, "Config", None)
    if not (isinstance(options, type) and issubclass(options, Training)):
        raise ConfigError(f"{source} has no options: give the class Config, a subclass of Training")
    for wanted in ("build", "logits"):
        if not callable(getattr(code, wanted, None)):
            raise ConfigError(
                f"{source} is not a method: derive it from experiments.methods.base.ImageMethod"
            )
    config = _named(options, called, source)
    entry = MethodEntry(
        called,
        config,
        "",
        _experiments(code, source),
        row_of_table2=False,
        source=source,
        code=code,
        presets=_presets(code, source),
    )
    METHODS[called], LOADED[source] = entry, config
    return entry


def code_facts(config: RunConfig) -> dict[str, str]:
    """Return which code an own method ran, for a run's provenance; nothing for those of fsrun.

    A file's name and hash, or the package and its version.
    """
    if not isinstance(config.method, OwnMethod):
        return {}
    return {"method's code": _code_of(config.method.source.rpartition(":")[0])}


def _code_of(place: str) -> str:
    """Return what tells code from other code: a file's name and hash, or the package and its version."""
    if place.endswith(".py"):
        return f"{Path(place).name}, {_digest(Path(place).read_bytes())}"
    top = place.partition(".")[0]
    owners = [each for each in distributions() if top in _modules(each.files or ())]
    return f"{owners[0].name} {owners[0].version}" if owners else place


def _modules(files: Iterable[Any]) -> set[str]:
    return {str(file).partition("/")[0].removesuffix(".py") for file in files}


def _named(options: type[Training], name: str, source: str) -> type[OwnMethod]:
    for field, about in options.model_fields.items():
        if about.default is PydanticUndefined and about.default_factory is None and field != "name":
            raise ConfigError(f"{source}: option {field} has no default: give it one")
    kind = Literal[name]  # type: ignore[valid-type]
    code = _code_of(source.rpartition(":")[0])
    fields: dict[str, Any] = {"name": (kind, name), "source": (str, source), "code": (str, code)}
    bases: Any = (options, OwnMethod)  # in this order the defaults are those of the options
    made: Any = create_model(options.__name__, __base__=bases, **fields)
    return cast(type[OwnMethod], made)


def _experiments(code: type, source: str) -> tuple[str, ...]:
    asked = getattr(code, "experiments", IMAGES)
    if not isinstance(asked, tuple | list):
        raise ConfigError(f"{source}: experiments = {asked!r}: use a tuple of names, as {IMAGES}")
    for each in asked:
        if each not in EXPERIMENTS:
            raise ConfigError(
                f"{source}: there is no experiment {each!r}: name some of {', '.join(EXPERIMENTS)}"
            )
    return tuple(asked)


def _presets(code: type, source: str) -> Mapping[str, Mapping[str, Any]]:
    presets = getattr(code, "presets", {})
    if not (isinstance(presets, Mapping) and all(isinstance(each, Mapping) for each in presets.values())):
        wanted = '{"quick": {"steps": 200}}'
        raise ConfigError(f"{source}: presets = {presets!r}: use options by the preset, as {wanted}")
    return presets


_FILES: dict[str, tuple[str, ModuleType]] = {}  # path -> its content's hash, and the module made of it


def _module(place: str) -> ModuleType:
    try:
        return _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except ConfigError:
        raise
    except ModuleNotFoundError as error:
        gone = error.name is not None and place.startswith(error.name)
        what = f"there is no module {place}: install its package" if gone else f"{place} needs {error.name}"
        raise ConfigError(what if gone else f"{what}, which is not installed") from error
    except (Exception, SystemExit) as error:  # whatever a user's file does
        said = str(error).partition("\n")[0]
        raise ConfigError(
            f"{place} cannot be imported: {type(error).__name__}: {said}{_line(error, place)}"
        ) from error


def _from_file(path: Path) -> ModuleType:
    """Import a file, anew where it has changed; what lies beside it can be imported by it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): put the method's file there") from error
    digest = _digest(content)
    if path.name and _FILES.get(str(path), ("",))[0] == digest:
        return _FILES[str(path)][1]
    name = f"fsrun_own_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    _FILES[str(path)] = digest, module
    return module


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _line(error: BaseException, place: str) -> str:
    """Return where in the file an error came from, if it did."""
    if isinstance(error, SyntaxError):
        return ""  # it says so itself
    trace, line = error.__traceback__, None
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == place else line
        trace = trace.tb_next
    return f" (line {line})" if line else ""


def presets_of(entry: MethodEntry, preset: str) -> Mapping[str, Any]:
    """Return what an own method changes in a preset, by dotted options."""
    sets = entry.presets.get(preset, {})
    return {name if "." in name else f"method.{name}": value for name, value in sets.items()}
