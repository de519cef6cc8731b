"""Write README's table from the results in this folder: python results/readme_table.py --write."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fsrun.archive import import_runs
from fsrun.report.table2 import table2
from store.engine import open_store

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- results/readme_table.py -->\n", "<!-- end -->\n"
FILES = ("omniglot", "omniglot-fair", "omniglot-looks", "miniimagenet", "miniimagenet-looks")


def table() -> str:
    """Return the paper's Table 2 with our numbers as Markdown: the two columns of the paper."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_store(Path(folder) / "fsrun.db")
        for name in FILES:
            path = HERE / f"{name}.json"
            if path.exists():
                import_runs(engine, path)
        records = table2(engine).records
        engine.dispose()
    return "\n".join(_lines(records)) + "\n"


def _lines(records: Any) -> Iterator[str]:
    yield "| accuracy in % | paper | Omniglot 20-way 1-shot | paper | mini-ImageNet 5-way 1-shot |"
    yield "|---|---|---|---|---|"
    for record in records:
        ours = _measured(record, "20w1s"), _measured(record, "mini")
        if any(ours):
            papers = record["paper_percent"], record["paper_mini_percent"]
            cells = [f"{paper:.1f}" if paper else "" for paper in papers]
            yield f"| {record['title']} | {cells[0]} | {ours[0]} | {cells[1]} | {ours[1]} |"


def _measured(record: dict[str, Any], column: str) -> str:
    mean, interval = record[f"{column}_percent"], record[f"{column}_interval"]
    return "" if mean is None else f"{mean:.2f} ± {interval:.2f}"


def with_table(readme: str) -> str:
    """Return README with its table written anew."""
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put it into README.md; else print it")
    if parser.parse_args().write:
        README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write(table())
