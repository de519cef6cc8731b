"""The rules of the architecture, checked on the source itself and on what a fresh process loads."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("experiments", "store", "fsrun")

# What may import what; the longest name that fits decides. fsrun's own modules (paths, ...) are its base.
BASE = ("experiments", "store", "fsrun")
ARROWS: dict[str, tuple[str, ...]] = {
    "experiments": ("experiments",),
    "store": ("store",),
    "fsrun": BASE,
    "fsrun.worker": (*BASE, "fsrun.worker"),
    "fsrun.report": (*BASE, "fsrun.report"),
    "fsrun.tui": (*BASE, "fsrun.tui", "fsrun.report"),  # the screen shows the report's table
    "fsrun.cli": (*BASE, "fsrun.cli", "fsrun.tui", "fsrun.report", "fsrun.worker"),
    "fsrun.__main__": ("fsrun.cli",),
}

# Libraries with one home: what knows torch, the database, the screen.
HOMES: dict[str, tuple[str, ...]] = {
    "plotext": ("fsrun.plot.frame",),
    "textual": ("fsrun.tui",),
    "textual_serve": ("fsrun.tui.serving",),
    "psutil": ("fsrun.tui.resources", "fsrun.worker.examination"),
    "jinja2": ("fsrun.report.web",),
    "matplotlib": ("fsrun.report.canvas",),
    "typer": ("fsrun.cli",),
    "sqlmodel": ("store",),
    "alembic": ("store",),
    "sqlalchemy": ("store", "fsrun"),
    "pydantic": ("experiments", "fsrun.archive"),
    "torch": (
        "experiments",
        "fsrun.worker",
        "fsrun.cli.doctor",
        "fsrun.exports.peers",
        "fsrun.testing",
        "fsrun.templates",
    ),
    "torchvision": ("experiments",),
    "safetensors": ("experiments",),
    "timm": ("experiments.features",),
    "pandas": ("fsrun.api",),
    "pyarrow": ("fsrun.exports",),
    "trackio": ("fsrun.exports",),
    "wandb": ("fsrun.exports",),
    "apprise": ("fsrun.worker.notices",),
    "optuna": ("fsrun.searching",),
    "ray": ("fsrun.worker.ray_engine",),
    "fsspec": ("fsrun.object_store",),
    "submitit": ("fsrun.worker.slurm_engine",),
}

HEAVY = {
    "torch",
    "torchvision",
    "sqlmodel",
    "sqlalchemy",
    "textual",
    "pydantic",
    "numpy",
    "alembic",
    "plotext",
    "jinja2",
    "matplotlib",
}


@cache
def modules() -> dict[str, ast.Module]:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in files}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(module: str, *, also_for_types: bool = True) -> set[str]:
    tree = modules()[module]
    if not also_for_types:
        tree = ast.Module([node for node in tree.body if not _is_for_types(node)], [])
    return {name for node in ast.walk(tree) for name in _imported(node)}


def _is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are written in full"
        assert node.module is not None
        inner = (f"{node.module}.{alias.name}" for alias in node.names)
        yield from (name if name in modules() else node.module for name in inner)


def within(module: str, packages: tuple[str, ...] | dict[str, tuple[str, ...]]) -> str | None:
    """Return the longest of the packages that a module lies in."""
    fitting = [each for each in packages if module == each or module.startswith(f"{each}.")]
    return max(fitting, key=len, default=None)


def test_imports_follow_the_arrows() -> None:
    wrong = []
    for module in modules():
        here = within(module, ARROWS)
        assert here is not None
        for imported in imports(module):
            there = within(imported, ARROWS)
            if there is not None and there not in ARROWS[here]:
                wrong.append(f"{module} imports {imported}")
    assert wrong == []


def test_every_library_is_known_only_where_it_belongs() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module in modules()
        for imported in imports(module, also_for_types=False)
        if (library := imported.partition(".")[0]) in HOMES and within(module, HOMES[library]) is None
    ]
    assert wrong == []


def graph_without_leaves(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Take away what imports nothing else, and what then imports nothing else: circles are left."""
    while leaves := [name for name, needs in graph.items() if not needs]:
        for leaf in leaves:
            del graph[leaf]
        for needs in graph.values():
            needs.difference_update(leaves)
    return graph


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert graph_without_leaves({module: imports(module) & modules().keys() for module in modules()}) == {}


def test_no_packages_of_experiments_import_each_other_in_a_circle() -> None:
    packages = {
        name.split(".")[1] for name in modules() if name.startswith("experiments.") and name.count(".") > 1
    }
    graph: dict[str, set[str]] = {package: set() for package in packages}
    for module in modules():
        if module.startswith("experiments.") and module.count(".") > 1:
            own = module.split(".")[1]
            theirs = {name.split(".")[1] for name in imports(module) if name.startswith("experiments.")}
            graph[own] |= (theirs & packages) - {own}
    assert {"splits", "config", "data", "models", "features", "methods", "linear"} <= packages
    assert graph_without_leaves(graph) == {}


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_says_in_a_line_or_two_what_it_is_for(module: str) -> None:
    docstring = ast.get_docstring(modules()[module])
    assert docstring, f"{module} has no docstring"
    first = docstring.split("\n\n")[0]
    assert first.count("\n") < 2, f"{module} says what it is for in more than two lines"


def test_no_function_is_longer_than_a_screen_and_no_file_longer_than_a_subject() -> None:
    for module, tree in modules().items():
        last = max((node.end_lineno or 0 for node in tree.body), default=0)
        assert last <= 500, f"{module} has {last} lines"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 60, f"{module}.{node.name} has {length} lines"


def test_no_file_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "common", "misc"}
    assert [module for module in modules() if module.rpartition(".")[2] in drawers] == []


def loaded_by(statements: str) -> set[str]:
    """Return the top-level names of all modules that a fresh process has loaded after the statements."""
    script = f"{statements}\nimport json, sys\nsys.stderr.write(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=120
    )
    return {name.partition(".")[0] for name in json.loads(done.stderr)}


@pytest.mark.parametrize(
    "module",
    [
        "experiments.sweeps",
        "store.snapshot",
        "store.queue",
        "fsrun.cli.app",
        "fsrun.report.table2",
        "fsrun.report.figure4",
        "fsrun.tui.app",
        "fsrun.worker.supervisor",
        "fsrun.cli.clusters",
    ],
)
def test_what_only_lists_shows_or_supervises_loads_without_torch(module: str) -> None:
    assert loaded_by(f"import {module}") & {"torch", "torchvision"} == set()


def loaded_by_typing(*words: str) -> set[str]:
    return loaded_by(
        f"import sys\nsys.argv = {['fsrun', *words]!r}\nfrom fsrun.cli import main\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code, done.code"
    )


def test_importing_the_api_loads_nothing_that_takes_long() -> None:
    assert loaded_by("import fsrun") & HEAVY == set()


def test_help_loads_nothing_that_takes_long() -> None:
    assert loaded_by_typing("--help") & HEAVY == set()


@pytest.mark.parametrize("command", ["queue", "run", "report", "data", "tui"])
def test_help_of_a_command_loads_nothing_of_ours_that_takes_long(command: str) -> None:
    # typer itself checks options with pydantic, where that is installed
    assert loaded_by_typing(command, "--help") & HEAVY <= {"pydantic"}


def test_the_dashboard_loads_neither_forms_nor_reports_before_its_first_picture() -> None:
    assert loaded_by("import fsrun.tui.start") & {"numpy", "alembic", "torch"} == set()
