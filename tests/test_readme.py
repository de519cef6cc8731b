"""What the README promises about setting up."""

import re
from pathlib import Path

import pytest

from results.write_tables import PAGE, of_table2, page, with_table

ROOT = Path(__file__).parents[1]


def commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## Two commands")[1].split("\n## ")[0]
    return [block.strip() for block in re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)]


def test_there_are_exactly_two_commands_of_one_line_each() -> None:
    run, test = commands()
    assert "\n" not in run + test
    assert "fsrun run synthetic" in run
    assert "pytest" in test


def test_ci_runs_the_readmes_test_command() -> None:
    assert commands()[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_results_are_those_of_the_results_folder() -> None:
    readme, records = (ROOT / "README.md").read_text(encoding="utf-8"), of_table2()
    assert with_table(readme, records) == readme, "type python results/write_tables.py --write"
    assert page(records) == PAGE.read_text(encoding="utf-8"), "type python results/write_tables.py --write"


def test_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150


PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "results/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    here = page.resolve().parent if page.is_symlink() else page.parent
    gone = [link for link in links if "://" not in link and not (here / link).exists()]
    assert gone == []
