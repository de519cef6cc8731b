"""The documentation: its reference is up to date, all pages are in its menu, and its blocks run."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from docs.write_reference import FOLDER, pages
from tests.cli.cli_cases import Answer, Case, Typed, environment, in_its_own_process

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a page in a language, the first first."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[list[str]]:
    """Return the words of every fsrun command of a page, without comments."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [each for each in words if each and each[0] == "fsrun"]


@pytest.mark.parametrize("page", pages())
def test_the_reference_says_what_the_code_has(page: str) -> None:
    written = (FOLDER / page).read_text(encoding="utf-8")
    assert written == pages()[page], "type python -m docs.write_reference --write"


def test_every_page_is_in_the_menu_of_the_site_once() -> None:
    menu = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    named = re.findall(r"[\w/-]+\.md", str(menu))
    there = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    assert sorted(named) == sorted(there)


@pytest.mark.parametrize("page", sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")))
def test_no_page_holds_a_place_for_what_is_missing(page: str) -> None:
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if re.fullmatch(r"[A-Z0-9_]{4,}", line)] == []


def shortened(words: list[str]) -> list[str]:
    """Return a command with fewer steps and episodes where it trains on glyphs for minutes."""
    if words[0] not in ("queue", "run") or words[1] != "glyphs" or "--dry-run" in words:
        return words
    trained = [name for name in ("protonet", "MyNet") if name in " ".join(words)]
    settings = [*(f"{name}.steps=20" for name in trained), "episodes=20"]
    return [*words, *(word for each in settings for word in ("--set", each))]


def test_the_tutorial_on_a_method_of_your_own_can_be_followed_word_by_word(
    home: Case, tmp_path: Path
) -> None:
    answers = [
        (words, in_its_own_process(home, *shortened(words), seconds=240, folder=tmp_path))
        for _, *words in commands("tutorials/own-method.md")
        if "omniglot" not in words
    ]
    assert [(words, answer.err) for words, answer in answers if answer.code != 0] == []
    compared = next(answer.out for words, answer in answers if words[0] == "compare")
    assert "MyNet" in compared
    (program,) = blocks("tutorials/own-method.md", "python")
    checked = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr[-2000:]


def test_the_glyphs_tutorial_can_be_followed_word_by_word(
    home: Case, typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answers: list[tuple[list[str], Answer]] = []
    for _, *words in commands("tutorials/glyphs.md"):
        if words[0] == "worker":
            answers.append((words, in_its_own_process(home, *words, seconds=240)))
        elif words[0] != "tui":  # a screen, which the dashboard's tests look at
            answers.append((words, typed(*shortened(words))))
    wrong = [(words, answer.err) for words, answer in answers if answer.code != 0]
    assert wrong == []
    assert len(answers) >= 8
    compared = next(answer.out for words, answer in answers if words[0] == "compare")
    assert "Prototypical Net" in compared


@pytest.mark.parametrize("page", sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")))
def test_every_command_of_a_page_is_one_that_fsrun_has(typed: Typed, page: str) -> None:
    unknown = []
    for _, *words in commands(page):
        name = words[: 2 if words and words[0] in ("data", "db", "new") else 1]
        if not name or name[0].startswith("-"):
            continue
        helped = typed(*name, "--help").out
        options = {word.partition("=")[0] for word in words if re.fullmatch(r"--[a-z].*", word)}
        unknown += [(name, option) for option in sorted(options) if not _has(helped, option)]
    assert unknown == []


def _has(helped: str, option: str) -> bool:
    return re.search(rf"(^|[\s,]){re.escape(option)}($|[\s,])", helped, flags=re.MULTILINE) is not None


def test_the_page_on_formats_reads_the_value_of_each_episode() -> None:
    (block,) = blocks("reference/formats.md", "python")
    known: dict[str, Any] = {}
    exec(block, known)
    runs = json.loads((ROOT / "results" / "omniglot-fair.json").read_text(encoding="utf-8"))["runs"]
    result = next(each for run in runs for each in run["results"] if each["name"] == "test/accuracy")
    values = known["episode_values"](result)
    assert len(values) == result["episodes"]
    assert values.mean() == pytest.approx(result["value"], abs=1e-5)


def test_the_blocks_on_trackers_are_python() -> None:
    parsed = [ast.parse(block) for block in blocks("how-to/trackers.md", "python")]
    assert all(each.body for each in parsed)
    assert parsed


def test_the_notebook_runs_from_top_to_bottom(finished_home: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("FSRUN_HOME", str(finished_home.root))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    notebook = json.loads((DOCS / "tutorials/notebook.ipynb").read_text(encoding="utf-8"))
    known: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), known)
    assert list(known["results"]["run"]) == [1]
    assert known["results"]["value"][0] == known["runs"][0].results["test/loss_ratio"]
    assert known["curve"].steps[-1] == 400


def test_the_python_page_runs_from_top_to_bottom(finished_home: Case, tmp_path: Path) -> None:
    program = "\n".join(blocks("reference/python.md", "python"))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(finished_home) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "test/accuracy" in done.stdout


def test_the_page_on_methods_makes_one_that_trains(tmp_path: Path) -> None:
    for name in ("experiments", "fsrun", "store"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    method, config = blocks("how-to/write-a-method.md", "python")
    (tmp_path / "experiments/methods/cosine_means.py").write_text(method, encoding="utf-8")
    with (tmp_path / "experiments/config/metric.py").open("a", encoding="utf-8") as file:
        file.write("\n\n" + config)
    text = (DOCS / "how-to/write-a-method.md").read_text(encoding="utf-8")
    entries = re.findall(
        r"^\| `(experiments/\S+)` \| (after|before) `(.+?)` \| `(.+)` \|$", text, re.MULTILINE
    )
    assert len(entries) == 10
    for file_name, where, place, added in entries:
        path, mark, line = tmp_path / file_name, place.replace("\\|", "|"), added.replace("\\|", "|")
        before = path.read_text(encoding="utf-8")
        assert before.count(mark) == 1, f"{file_name}: {mark}"
        both = f"{mark} {line}" if where == "after" else f"{line} {mark}"
        path.write_text(before.replace(mark, both), encoding="utf-8")
    small = ["--set", "alphabets=10", "--set", "characters=12", "--set", "episodes=10", "--set", "filters=8"]
    words = ["run", "glyphs", "--method", "cosine-means", "--preset", "quick", *small]
    done = subprocess.run(
        [sys.executable, "-m", "fsrun", *words, "--set", "cosine-means.steps=5", "--n-way", "5"],
        cwd=tmp_path,
        env=os.environ | {"FSRUN_HOME": str(tmp_path / "home"), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Cosine means" in done.stdout
