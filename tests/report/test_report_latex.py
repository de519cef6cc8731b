"""Tables for a paper: what LaTeX is given, and that it takes it where there is one."""

import re
import shutil
import subprocess
from operator import itemgetter
from pathlib import Path

import pytest

from fsrun.report.formats import Format
from fsrun.report.latex import PREAMBLE, escaped, to_latex
from fsrun.report.linear_reports import figure4_report, theory_report
from fsrun.report.render import Column, Table
from fsrun.report.report import Report, of_table, written
from fsrun.report.table2 import table2
from tests.report.linear_cases import finished
from tests.report.report_cases import Filled, fill

HOSTILE = '100 % & $5 #1_x {y} ~ ^ \\end <a|b> "q" -- `--all x_1` θ Σ⁻¹ W̄ é ą 日本 \x1b ± − “x”'


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def table_of(*rows: tuple[str, str], notes: tuple[str, ...] = ()) -> Table:
    columns = (Column("what_ever", itemgetter(0)), Column("±", itemgetter(1), "value", numeric=True))
    return Table.of("Table 9: of 100 %", columns, rows, lambda row: {"value": row[1]}, notes=notes)


def test_a_table_has_rules_caption_label_and_notes() -> None:
    lines = to_latex(table_of(("a & b", "-1.5 ± 0.2"), notes=("why: `fsrun ls`",)), "mine").splitlines()
    text = "\n".join(line.strip() for line in lines)
    assert text.startswith("\\begin{table}")
    assert text.endswith("\\end{table}")
    assert "\\caption{Of 100 \\%}\n\\label{tab:mine}\n\\begin{tabular}{@{}lr@{}}\n\\toprule" in text
    assert "what\\_ever & $\\pm$ \\\\\n\\midrule\na \\& b & $-$1.5\\,$\\pm$\\,0.2 \\\\\n\\bottomrule" in text
    assert "\\item why: \\texttt{fsrun ls}\n\\end{tablenotes}" in text


def test_what_begins_and_ends_does_so_in_order() -> None:
    open_now: list[str] = []
    for kind, name in re.findall(
        r"\\(begin|end)\{(\w+)\}", to_latex(table_of(("a", "1"), notes=("b",)), "x")
    ):
        if kind == "begin":
            open_now.append(name)
        else:
            assert open_now.pop() == name
    assert open_now == []


@pytest.mark.parametrize(
    ("plain", "latex"),
    [
        ("50 % of $x_1 & #2 {a}", r"50 \% of \$x\_1 \& \#2 \{a\}"),
        ("a\\b ~ ^", r"a\textbackslash{}b \textasciitilde{} \textasciicircum{}"),
        ("θ' to Σ⁻¹/η", r"$\theta$' to $\Sigma$$^{-}$$^{1}$/$\eta$"),
        ("|W_f W_s - W̄|", r"$|$W\_f W\_s - $\bar{W}$$|$"),
        ("type `fsrun report --all`", r"type \texttt{fsrun report -{}-all}"),
        ("Über, naïve", "Über, naïve"),
        ("日\x07", "[U+65E5] "),
    ],
)
def test_plain_text_is_escaped(plain: str, latex: str) -> None:
    assert escaped(plain) == latex


def test_columns_without_room_are_left_out_and_named(filled: Filled) -> None:
    filled.measure("protonet", 0.92)
    text = to_latex(table2(filled.engine), "table2")
    comment, *_ = text.splitlines()
    assert comment.startswith("% Left out: ")
    assert "Source measured" in comment
    names = "\\multicolumn{3}{c}{Omniglot 20-way 1-shot} & \\multicolumn{3}{c}{mini-ImageNet 5-way 1-shot}"
    assert names in text
    assert "\\cmidrule(lr){2-4} \\cmidrule(lr){5-7}" in text
    assert "paper & ours & $\\Delta$ & paper & ours & $\\Delta$ " in text
    assert "\\textbf{92.00\\,$\\pm$\\,0.40}" in text
    assert "92.00\\,$\\pm$\\,0.40" in text
    assert "caption{Omniglot and mini-ImageNet accuracy, \\%}" in text


def test_the_runs_behind_the_numbers_are_named_in_comments(filled: Filled) -> None:
    run_id = filled.measure("protonet", 0.92)
    text = written(of_table("report --table2", table2(filled.engine)), Format.LATEX)
    assert "(fsrun report --table2); it needs " + PREAMBLE in text.splitlines()[0]
    assert (
        f"% run {run_id}, seed 0, preset paper, measured 0.9200 ± 0.0040, episodes 1,000, commit c0ffee"
        in text
    )


def test_a_figure_says_how_it_is_drawn_and_has_a_label_for_each_table(filled: Filled) -> None:
    finished(filled)
    text = written(figure4_report(filled.engine), Format.LATEX)
    assert "% its figure: fsrun report --figure4 --out figure4.pdf" in text
    assert re.findall(r"\\label\{(.*?)\}", text) == ["tab:figure4", "tab:figure4-1"]


def test_latex_compiles_all_of_it(filled: Filled, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None or not _knows("threeparttable.sty"):
        pytest.skip("no pdflatex with threeparttable here: apt-get install texlive-latex-extra")
    finished(filled)
    filled.measure("fastslow", 0.97)
    hostile = Report("x", (table_of((HOSTILE, "-1"), notes=(HOSTILE,)),), dict)
    reports = [
        of_table("report --table2", table2(filled.engine)),
        figure4_report(filled.engine),
        theory_report(filled.engine),
        hostile,
    ]
    body = "\n\n".join(written(each, Format.LATEX) for each in reports)
    document = f"\\documentclass{{article}}\n{PREAMBLE}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (tmp_path / "paper.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    wide = [float(each) for each in re.findall(r"Overfull \\hbox \((\S+)pt too wide\)", done.stdout)]
    assert max(wide, default=0) < 60  # the hostile line aside, tables keep to the page


def _knows(package: str) -> bool:
    return subprocess.run(["kpsewhich", package], capture_output=True, check=False).returncode == 0
