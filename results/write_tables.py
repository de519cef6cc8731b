"""Write the tables of README and docs/results/tables.md: python results/write_tables.py --write."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fsrun.archive import import_runs
from fsrun.report.equal_features import equal_features, equal_features_table
from fsrun.report.table2 import table2
from fsrun.report.table2_columns import images
from store.engine import open_store

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
PAGE = HERE.parent / "docs" / "results" / "tables.md"
BEGIN, END = "<!-- results/write_tables.py -->\n", "<!-- end -->\n"
FILES = (
    "omniglot",
    "omniglot-fair",
    "omniglot-looks",
    "miniimagenet",
    "miniimagenet-looks",
    "miniimagenet-fair",
)

Record = Mapping[str, Any]


def of_table2() -> Sequence[Record]:
    """Return the rows of Table 2 as the files of runs give them."""
    return _with_runs(FILES, lambda engine: table2(engine).records)


def _with_runs(files: Sequence[str], read: Any) -> Sequence[Record]:
    with tempfile.TemporaryDirectory() as folder:
        engine = open_store(Path(folder) / "fsrun.db")
        for name in files:
            if (path := HERE / f"{name}.json").exists():
                import_runs(engine, path)
        records: Sequence[Record] = read(engine)
        engine.dispose()
    return records


def with_table(readme: str, records: Sequence[Record]) -> str:
    """Return README with its table written anew."""
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}{readme_table(records)}{END}{rest.split(END)[1]}"


def readme_table(records: Sequence[Record]) -> str:
    """Return the paper's Table 2 with our numbers: the two columns of the paper."""
    lines = [
        (
            record["title"],
            *_both(record, "paper_percent", "20w1s"),
            *_both(record, "paper_mini_percent", "mini"),
        )
        for record in records
        if _measured(record, "20w1s") or _measured(record, "mini")
    ]
    heads = ("accuracy in %", "paper", "Omniglot 20-way 1-shot", "paper", "mini-ImageNet 5-way 1-shot")
    return _markdown(heads, lines)


def page(records: Sequence[Record]) -> str:
    """Return the page of all tables, each with the commands that print it."""
    return "\n".join(_sections(records))


def _sections(records: Sequence[Record]) -> Iterator[str]:
    yield "# Tables\n"
    yield "This page is written by `results/write_tables.py` from the files in results/; do not edit it."
    yield "± is half of the 95 % interval over test episodes, and over seeds where there are several.\n"
    yield "## Table 2\n"
    yield _commands(
        [*(f"fsrun import results/{name}.json" for name in FILES), "fsrun report --table2 --extra"]
    )
    columns = ("20w1s", "5w1s", "5w5s", "20w5s")
    yield "Omniglot, 20w1s: 20 ways, 1 shot. Images are those that training embeds, pre-training included.\n"
    heads = ("accuracy in %", "paper", *columns, "images", "core minutes")
    yield _markdown(
        heads,
        [
            (
                record["title"],
                _paper(record, "paper_percent"),
                *(_measured(record, column) for column in columns),
                images(record["main_images"]),
                f"{record['main_core_minutes']:.0f}" if record["main_core_minutes"] else "",
            )
            for record in records
            if any(_measured(record, column) for column in columns)
        ],
    )
    yield "mini-ImageNet:\n"
    yield _markdown(
        ("accuracy in %", "paper, 5w1s", "5w1s", "5w5s"),
        [
            (record["title"], *_both(record, "paper_mini_percent", "mini"), _measured(record, "mini_five"))
            for record in records
            if _measured(record, "mini") or _measured(record, "mini_five")
        ],
    )
    yield from _equal_features()
    yield from _classes()
    yield from _ablations()
    yield from _linear()


def _equal_features() -> Iterator[str]:
    files = ("omniglot-looks", "equal-features")
    if not (HERE / "equal-features.json").exists():
        return
    records = _with_runs(files, lambda engine: equal_features_table(equal_features(engine)).records)
    yield "## Table 2 on equal features\n"
    yield "All rows start from the pre-training of Fast/Slow. In parentheses: the difference to nearest mean"
    yield "with the same looks, paired over episodes, in points.\n"
    yield _commands(
        [*(f"fsrun import results/{name}.json" for name in files), "fsrun report --equal-features"]
    )
    columns = ("20w1s", "5w1s", "5w5s", "20w5s")
    yield _markdown(
        ("accuracy in %", *columns),
        [
            (record["title"], *(_ahead(record, column) for column in columns))
            for record in records
            if record["run_ids"]
        ],
    )


def _ahead(record: Record, column: str) -> str:
    measured, ahead = _measured(record, column), record[f"{column}_to_mean_points"]
    if not measured or ahead is None:
        return measured
    return f"{measured} ({ahead:+.2f} ± {record[f'{column}_to_mean_interval']:.2f})"


def _classes() -> Iterator[str]:
    rows = _rows("classes-omniglot")
    ways = sorted({row["n_way"] for row in rows})
    titles = dict.fromkeys(row["title"] for row in rows)
    by_place = {(row["title"], row["n_way"]): row for row in rows}
    yield "## Accuracy by number of classes\n"
    yield "Omniglot, one shot. Fast/Slow looks twelve times at each test image, 1-NN once.\n"
    yield _commands(["fsrun report --classes omniglot"])
    yield _markdown(
        ("accuracy in %", *(f"{each:,}" for each in ways)),
        [(title, *(_mean(by_place.get((title, each))) for each in ways)) for title in titles],
    )


def _ablations() -> Iterator[str]:
    yield "## What each part of Fast/Slow is worth\n"
    yield "Validation classes, 20 ways, 1 shot, a short pre-training; differences are paired over episodes.\n"
    yield _commands(["fsrun queue ablations", "fsrun report --ablations"])
    yield _markdown(
        ("question", "option", "accuracy in %", "difference in points"),
        [
            (
                row["question"],
                row["option"],
                _mean(row),
                ""
                if row["ahead_percent"] is None
                else _with(row["ahead_percent"], row["ahead_interval_percent"], "+"),
            )
            for row in _rows("ablations")
        ],
    )


def _linear() -> Iterator[str]:
    yield "## The linear case study\n"
    yield "32 seeds of 100,000 tasks in one run.\n"
    yield _commands(["fsrun run synthetic --seeds 32", "fsrun report --figure4", "fsrun report --theory"])
    yield _markdown(
        ("Figure 4", "paper", "theory, corrected", "measured"),
        [
            (
                row["quantity"],
                row["paper"],
                f"{row['expected']:.5g}",
                _with(row["measured"], row["interval"], form=".5g"),
            )
            for row in _rows("figure4")
        ],
    )
    yield _markdown(
        ("formula", "source", "as printed", "corrected", "measured"),
        [
            (
                row["quantity"],
                row["source"],
                *(
                    "" if row[name] is None else f"{row[name]:.4g}"
                    for name in ("printed", "corrected", "measured")
                ),
            )
            for row in _rows("theory")
        ],
    )


def _rows(name: str) -> list[Record]:
    rows: list[Record] = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))["rows"]
    return rows


def _mean(row: Record | None) -> str:
    if row is None or row["mean_percent"] is None:
        return ""
    return _with(row["mean_percent"], row["interval_percent"])


def _with(value: float, interval: float | None, sign: str = "", form: str = ".2f") -> str:
    spread = "" if interval is None else f" ± {interval:{'.2g' if form != '.2f' else form}}"
    return f"{value:{sign}{form}}{spread}"


def _both(record: Record, paper: str, column: str) -> tuple[str, str]:
    return _paper(record, paper), _measured(record, column)


def _paper(record: Record, name: str) -> str:
    return f"{record[name]:.1f}" if record[name] else ""


def _measured(record: Record, column: str) -> str:
    mean = record[f"{column}_percent"]
    return "" if mean is None else _with(mean, record[f"{column}_interval"])


def _commands(lines: Sequence[str]) -> str:
    return "\n".join(["```sh", *lines, "```", ""])


def _markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    cells = [heads, ["---"] * len(heads), *lines]
    return "".join(
        f"| {' | '.join(str(each).replace('|', chr(92) + '|') for each in line)} |\n" for line in cells
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write README.md and docs/results/tables.md")
    found = of_table2()
    texts = {README: with_table(README.read_text(encoding="utf-8"), found), PAGE: page(found)}
    for path, text in texts.items():
        if parser.parse_args().write:
            path.write_text(text, encoding="utf-8")
        else:
            sys.stdout.write(text)
