"""Write the reference pages from the code they describe: python docs/write_reference.py --write."""

import argparse
import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import typer

from experiments.config import Affine, Jitter, Looks
from experiments.config.base import Frozen
from experiments.options import rule_of
from experiments.presets import DEFAULT_PRESET, PRESETS, preset_options
from experiments.registry import EXPERIMENTS, METHODS, methods_of
from fsrun.cli.app import app

FOLDER = Path(__file__).parent / "reference"
WRITTEN = "This page is written by `docs/write_reference.py`; do not edit it.\n"

_PARTS: Mapping[type[Frozen], str] = {
    Affine: "`view_change`, `change`: a random change of a test image",
    Jitter: "`jitter`: a random change of each training image",
    Looks: "`looks`: how often a test looks at each image",
}

_COMMON: Mapping[str, str] = {
    "adapts": "layers that a task changes",
    "alphabets": "how many alphabets are drawn",
    "angles": "degrees by which test tasks' Sigma is turned, one test each",
    "batch_norm": "whose statistics normalise the queries",
    "batch_size": "images in a batch",
    "change": "how a further look differs: all options of [Affine](#affine)",
    "characters": "characters in each alphabet",
    "classes": "how many classes there are",
    "clip": "the largest norm of the gradient",
    "components": "how many Sigmas the inputs are drawn from",
    "condition_numbers": "condition numbers of the test tasks' Sigma, one test each",
    "degrees": "turned by up to so many degrees either way",
    "dimension": "numbers in each input or feature",
    "distance": "how two images are compared",
    "down": "what halves the maps",
    "embedding_size": "numbers in each image's feature",
    "encoder": "the network that embeds an image",
    "episodes": "how many test episodes are measured",
    "episodes_per_step": "episodes in a training step",
    "fast_learner": "what updates theta: the learned optimiser (lstm) or plain SGD",
    "filters": "filters of each convolution",
    "first_order": "leaves second derivatives out",
    "fit_lr": "the learning rate of the classifier fitted to a task",
    "generator_lr": "the learning rate of the hallucinating network",
    "generator_steps": "training steps of the hallucinating network",
    "halve_lr_every": "steps after which the learning rate is halved; null for never",
    "hidden_size": "units of the LSTM",
    "inner_batch": "what an inner step's loss is of: the support at each step, or a fresh batch",
    "inner_lr": "the learning rate within a task",
    "inner_steps": "gradient steps within a task",
    "jitter": "changes of training images, see [parts](#parts-of-several-methods)",
    "k_shot": "support images of each class",
    "key_size": "numbers in each key of the memory",
    "layers": "layers of the learned optimiser",
    "log_every": "steps between two points of the curves",
    "looks": "looks at each test image, see [parts](#parts-of-several-methods)",
    "lr": "the learning rate",
    "n_query": "queries of each class",
    "n_way": "classes in a test episode",
    "network": "the twin network",
    "output_scale": "factor on what the learned optimiser says",
    "penalty": "what is penalised of the features, see `methods/shrinking.py`",
    "pretrain": "the pre-training it starts from: all options of [`pretrain`](#pretrain)",
    "protocol": "which classes are in which split, see [protocols](../explanation/protocols.md)",
    "schedule": "how the learning rate changes over the steps",
    "seed": "draws the data or the episodes",
    "slot_size": "numbers in each slot of the memory",
    "slots": "slots of the memory",
    "slow_momentum": "momentum of the slow updates",
    "split": "the classes that are measured on",
    "steps": "training steps",
    "train_k_shot": "support images of each class in training; null: as in the test",
    "train_n_query": "queries of each class in training",
    "train_n_way": "classes in a training episode",
    "usage_decay": "what is kept at each step of how much a slot was used",
    "validate_episodes": "episodes of each look at the validation classes",
    "validate_every": "steps between two looks at the validation classes; 0 for never",
    "variant": "the architecture: SNAIL or TCML",
    "view_change": "how a further view differs, see [parts](#parts-of-several-methods)",
    "weight_decay": "decay of the weights, apart from the gradient",
}


@cache
def pages() -> dict[str, str]:
    """Return the text of each page by its name."""
    written = {"commands": _commands(), "options": _options(), "presets": _presets()}
    return {f"{name}.md": "\n".join(lines).rstrip() + "\n" for name, lines in written.items()}


# ---------------------------------------------------------------- commands


def _commands() -> Iterator[str]:
    yield from ("# Commands", "", WRITTEN)
    yield "Every command prints the same with `--help`. Exit codes: see [environment](environment.md)."
    for name, command in _leaves(typer.main.get_command(app), "fsrun"):
        yield from ("", f"## {name}", "", " ".join(str(command.help).split()), "")
        rows = [each for each in command.params if not each.hidden]
        if rows:
            yield from ("| argument or option | meaning | default |", "|---|---|---|")
        yield from (_parameter(each) for each in rows)
        yield from ("", "```text", str(command.epilog).removeprefix("Example:").strip(), "```")


def _leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    for word, each in getattr(command, "commands", {}).items():
        if hasattr(each, "commands"):
            yield from _leaves(each, f"{name} {word}")
        else:
            yield f"{name} {word}", each


def _parameter(each: Any) -> str:
    optional = each.opts[0].startswith("-")
    name = ", ".join(each.opts) if optional else (each.metavar or each.name.upper()).strip("[].")
    value = "" if not optional or each.is_flag else f" {each.metavar or _kind(each)}"
    unsaid = each.default is None or each.default is False or each.default == ()
    default = "required" if each.required else "" if unsaid else _shown(each.default)
    return f"| `{name}{value}` | {_cell(str(each.help) + _range(each))} | {_cell(default)} |"


def _kind(each: Any) -> str:
    annotation = each.type_descriptor.annotation
    inner = get_args(annotation)[0] if get_origin(annotation) is list else annotation
    if isinstance(inner, type) and issubclass(inner, Enum):
        return "\\|".join(str(member.value) for member in inner)
    return {int: "INTEGER", float: "NUMBER", Path: "PATH"}.get(inner, "TEXT")


def _range(each: Any) -> str:
    if each.min is not None and each.max is not None:
        return f" ({each.min:,} to {each.max:,})"
    return "" if each.min is None else f" (at least {each.min:g})"


# ---------------------------------------------------------------- options


def _options() -> Iterator[str]:
    yield from ("# Options", "", WRITTEN)
    yield "Set any option with `--set NAME=VALUE`. Where two sections have the same name, write both:"
    yield "`--set evaluation.seed=3`. Defaults are those of the preset `paper`;"
    yield "another [preset](presets.md) changes some. `fsrun show RUN` lists what a run has."
    yield from ("", "## Evaluation", "")
    for evaluation, who in (("omniglot", "images and features"), ("synthetic", "the linear case study")):
        yield from (f"### Evaluation of {who}", "", *_table(EXPERIMENTS[evaluation].evaluation), "")
    yield from ("## Data", "")
    for name, experiment in EXPERIMENTS.items():
        yield from (f"### {name}", "", *_table(experiment.data), "")
    yield from ("## Methods", "")
    for name, method in METHODS.items():
        data = ", ".join(f"`{each}`" for each in method.experiments)
        yield from (f"### {name}", "", f"{method.title}. Data: {data}.", "", *_table(method.config), "")
    yield from ("## Parts of several methods", "")
    for part, title in _PARTS.items():
        yield from (f"### {part.__name__}", "", f"{title}.", "", *_table(part), "")


def _table(config: type[Frozen]) -> Iterator[str]:
    yield from ("| option | default | values | meaning |", "|---|---|---|---|")
    for name, field in config.model_fields.items():
        if name not in ("kind", "name"):
            default = field.get_default(call_default_factory=True)
            shown = "its defaults" if isinstance(default, Frozen) else _shown(default)
            meaning = meaning_of(config, name)
            yield f"| `{name}` | {_cell(shown)} | {_cell(rule_of(field))} | {_cell(meaning)} |"


def meaning_of(config: type[Frozen], name: str) -> str:
    """Return what an option means: the words that many share, and the comment at it in the code."""
    owners = [owner for owner in config.__mro__ if issubclass(owner, Frozen) and owner is not Frozen]
    said = next((words for owner in owners if (words := _comments(owner).get(name))), "")
    shared = _COMMON.get(name, "")
    own = "" if said in shared or (shared and said.startswith("steps")) else said
    return "; ".join(filter(None, (shared, own))).replace("None", "null")


@cache
def _comments(owner: type) -> dict[str, str]:
    """Return the comment of each option of a class: behind it, else the lines just above it."""
    lines = textwrap.dedent(inspect.getsource(owner)).splitlines()
    (tree,) = ast.parse("\n".join(lines)).body
    found = {}
    for node in tree.body if isinstance(tree, ast.ClassDef) else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.end_lineno:
            behind = lines[node.end_lineno - 1][node.end_col_offset or 0 :].strip()
            above: list[str] = []
            for line in reversed(lines[: node.lineno - 1]):
                if not line.strip().startswith("#"):
                    break
                above.insert(0, line.strip())
            words = " ".join(each.lstrip("# ") for each in (above if not behind else [behind]))
            found[node.target.id] = words
    return found


# ---------------------------------------------------------------- presets


def _presets() -> Iterator[str]:
    yield from ("# Presets", "", WRITTEN)
    yield f"A preset is a named set of options. `--preset {DEFAULT_PRESET}` is the default."
    yield from ("", "| preset | for |", "|---|---|")
    yield "| `fair` | the recipes behind the results here: every embedded image serves in every comparison |"
    yield "| `quick` | minutes on a CPU |"
    yield "| `cpu` | the sources' own sampling, about an hour a row |"
    yield "| `paper` | the sources' own lengths, for a GPU or a night |"
    yield from ("", "What each changes from the [defaults](options.md):")
    for experiment in EXPERIMENTS:
        yield from ("", f"## {experiment}", "", "| method | preset | changes |", "|---|---|---|")
        for method in methods_of(experiment):
            alike: dict[str, list[str]] = {}
            for preset in PRESETS:
                changes = preset_options(experiment, method, preset).items()
                said = [f"`{name.removeprefix('method.')}={_shown(value)}`" for name, value in changes]
                alike.setdefault(", ".join(said) or "nothing", []).append(preset)
            yield from (f"| `{method}` | {', '.join(names)} | {said} |" for said, names in alike.items())


def _shown(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    plain = {True: "true", False: "false", None: "null"}
    return plain[value] if isinstance(value, bool) or value is None else str(value)


def _cell(text: str) -> str:
    return text.replace("\\|", "|").replace("|", "\\|")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--write", action="store_true", help="write the pages; else say which are out of date"
    )
    write = parser.parse_args().write
    stale = [
        each
        for each, text in pages().items()
        if not (FOLDER / each).exists() or (FOLDER / each).read_text() != text
    ]
    for page in stale:
        if write:
            (FOLDER / page).write_text(pages()[page], encoding="utf-8")
        sys.stdout.write(f"{page}: {'written' if write else 'out of date'}\n")
    sys.exit(bool(stale) and not write)
