"""Methods that somebody wrote outside fsrun: queued, trained, reported and repeated like the others."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from experiments.registry import METHODS
from fsrun.testing import BrokenPromiseError, check_method
from store.jobs import JobStatus
from tests.cli.cli_cases import Case, Typed, assert_refused, in_its_own_process

SMALL = ("--preset", "quick", "--set", "MyNet.steps=4", "--set", "MyNet.filters=8", "--set", "episodes=20")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def own(home: Case, tmp_path: Path) -> Path:
    """Return the file of a method that `fsrun new` wrote."""
    path = tmp_path / "mynet.py"
    wrote = in_its_own_process(home, "new", "method", "MyNet", "--out", str(path))
    assert wrote.code == 0, wrote.err
    return path


def test_a_method_in_a_file_is_trained_compared_repeated_and_reported(
    home: Case, own: Path, tmp_path: Path
) -> None:
    method = f"{own}:MyNet"
    queued = in_its_own_process(home, "queue", "glyphs", "--method", f"{method},pixel-knn", *SMALL)
    assert queued.code == 0, queued.err
    worked = in_its_own_process(home, "worker", "--drain", "--device", "cpu")
    assert worked.code == 0, worked.err
    assert home.statuses() == [JobStatus.DONE, JobStatus.DONE]
    run = home.run(1)
    assert run.spec.method == "MyNet"
    assert json.loads(run.spec.config)["method"]["source"] == method
    assert run.attempts[-1].provenance["method's code"].startswith("mynet.py, ")

    own.write_text(own.read_text(encoding="utf-8") + "\n# a later thought\n", encoding="utf-8")
    again = in_its_own_process(home, "rerun", "1")
    assert again.code == 0, again.err
    assert in_its_own_process(home, "worker", "--drain", "--device", "cpu").code == 0
    assert home.numbers(1) == home.numbers(3)
    checked = in_its_own_process(home, "rerun", "1", "--check")
    assert "method's code: mynet.py, " in checked.out

    own.unlink()  # what was measured stays
    for words in (["ls"], ["show", "1"], ["compare", "1", "2"], ["report", "--protocols", "MyNet"]):
        answer = in_its_own_process(home, *words)
        assert answer.code == 0, (words, answer.err)
        assert "MyNet" in answer.out
    out = tmp_path / "runs.json"
    assert in_its_own_process(home, "export", "1", "--format", "runs", "--out", str(out)).code == 0
    assert json.loads(out.read_text(encoding="utf-8"))["runs"][0]["config"]["method"]["name"] == "MyNet"


def test_an_own_method_has_a_row_of_its_own_below_those_of_table_2(
    home: Case, own: Path, tmp_path: Path
) -> None:
    method = f"{own}:MyNet"
    assert in_its_own_process(home, "queue", "glyphs", "--method", method, *SMALL).code == 0
    assert in_its_own_process(home, "worker", "--drain", "--device", "cpu").code == 0
    out = tmp_path / "runs.json"
    assert in_its_own_process(home, "export", "1", "--format", "runs", "--out", str(out)).code == 0
    exported = json.loads(out.read_text(encoding="utf-8"))
    for run in exported["runs"]:  # as if it had been Omniglot, of which tests have only pieces
        run["config"]["experiment"] = "omniglot"
        run["config"]["data"] = {"kind": "omniglot", "protocol": "P-V", "holdout": True, "rotations": True}
    out.write_text(json.dumps(exported), encoding="utf-8")
    there = Case(tmp_path / "there")
    assert in_its_own_process(there, "import", str(out)).code == 0
    table = in_its_own_process(there, "report", "--table2", "--extra")
    assert table.code == 0, table.err
    row = next(line for line in table.out.splitlines() if line.startswith("MyNet"))
    assert "±" in row
    assert table.out.index("Fast/Slow") < table.out.index("MyNet")


def test_a_run_whose_code_is_gone_fails_with_one_line_and_goes_on_where_it_is_back(
    home: Case, own: Path
) -> None:
    text = own.read_text(encoding="utf-8")
    assert in_its_own_process(home, "queue", "glyphs", "--method", f"{own}:MyNet", *SMALL).code == 0
    own.unlink()
    in_its_own_process(home, "worker", "--drain", "--device", "cpu")
    run = home.run(1)
    assert run.status is JobStatus.FAILED
    assert run.error is not None
    assert str(own) in run.error
    assert "Traceback" not in run.error
    own.write_text(text, encoding="utf-8")
    assert in_its_own_process(home, "retry", "1").code == 0
    assert in_its_own_process(home, "worker", "--drain", "--device", "cpu").code == 0
    assert home.statuses() == [JobStatus.DONE]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise RuntimeError('out of tea')", ("RuntimeError", "out of tea", "line 1")),
        ("x = (", ("SyntaxError", "line 1")),
        ("import sys\nsys.exit('out of tea')", ("SystemExit", "out of tea", "line 2")),
        ("import no_such_library", ("no_such_library", "not installed")),
        ("", ("no class 'MyNet'",)),
        ("class MyNet: pass", ("Config",)),
        (
            "from experiments.config.training import Training\n"
            "class MyNet:\n    class Config(Training):\n        size: int = 3",
            ("is not a method",),
        ),
        (
            "from experiments.methods.base import ImageMethod\n"
            "from experiments.config.training import Training\n"
            "class MyNet(ImageMethod):\n    class Config(Training):\n        size: int\n"
            "    def logits(self, *each): ...",
            ("size", "no default"),
        ),
        (
            "from experiments.methods.base import ImageMethod\n"
            "from experiments.config.training import Training\n"
            "class MyNet(ImageMethod):\n    class Config(Training): pass\n"
            "    def logits(self, *each): ...\n    experiments = ('mnist',)",
            ("'mnist'", "omniglot"),
        ),
        (
            "from experiments.methods.base import ImageMethod\n"
            "from experiments.config.training import Training\n"
            "class MyNet(ImageMethod):\n    class Config(Training): pass\n"
            "    def logits(self, *each): ...\n    experiments = 7",
            ("experiments = 7",),
        ),
        (
            "from experiments.methods.base import ImageMethod\n"
            "from experiments.config.training import Training\n"
            "class MyNet(ImageMethod):\n    class Config(Training): pass\n"
            "    def logits(self, *each): ...\n    presets = {'quick': 7}",
            ("presets = {'quick': 7}",),
        ),
    ],
)
def test_code_that_is_no_method_is_refused_with_one_line(
    home: Case, typed: Typed, tmp_path: Path, code: str, said: tuple[str, ...]
) -> None:
    path = tmp_path / "mynet.py"
    path.write_text(code, encoding="utf-8")
    assert_refused(typed("queue", "glyphs", "--method", f"{path}:MyNet"), str(path), *said)
    assert home.statuses() == []


def test_two_methods_of_one_name_are_not_queued_together(home: Case, own: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(own.read_text(encoding="utf-8"), encoding="utf-8")
    words = ("queue", "glyphs", *SMALL, "--method")
    assert_refused(
        in_its_own_process(home, *words, f"{own}:MyNet,{other}:MyNet"), f"{own}:MyNet", f"{other}:MyNet"
    )
    assert home.statuses() == []


def test_changed_code_is_another_method_and_moved_code_is_the_same(
    home: Case, own: Path, tmp_path: Path
) -> None:
    words = ("queue", "glyphs", *SMALL, "--method")
    assert in_its_own_process(home, *words, f"{own}:MyNet").code == 0
    moved = tmp_path / "elsewhere" / "mynet.py"
    moved.parent.mkdir()
    moved.write_bytes(own.read_bytes())
    assert_refused(in_its_own_process(home, *words, f"{moved}:MyNet"), "run 1")
    moved.write_text(own.read_text(encoding="utf-8").replace("scale: float = 10.0", "scale: float = 9.0"))
    assert in_its_own_process(home, *words, f"{moved}:MyNet").code == 0
    one, other = home.run(1), home.run(2)
    assert one.spec.group_hash != other.spec.group_hash  # no report takes one for the other


def test_a_wrong_option_of_an_own_method_is_refused_when_it_is_queued(home: Case, own: Path) -> None:
    words = ("queue", "glyphs", "--method", f"{own}:MyNet", "--preset", "quick", "--set")
    assert_refused(in_its_own_process(home, *words, "lr=-1"), "lr = -1")
    assert_refused(in_its_own_process(home, *words, "speed=3"), "speed")
    assert home.statuses() == []


@pytest.fixture
def with_package(tmp_path: Path) -> dict[str, str]:
    """Install the example package into a folder; return the environment in which Python finds it."""
    target, source = tmp_path / "site", tmp_path / "plugin_example"  # pip builds beside the sources
    shutil.copytree(ROOT / "tests" / "plugin_example", source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--no-index", "--target", str(target), str(source)], check=True, timeout=300)
    return {"PYTHONPATH": f"{ROOT}:{target}"}


def test_a_package_offers_a_method_and_a_data_set_by_name(
    home: Case, with_package: dict[str, str], tmp_path: Path
) -> None:
    for kind in range(8):
        for each in range(3):
            image = Image.new("L", (28, 28), 255)
            image.paste(0, (kind, 4, kind + 6, 20 + each))
            image.save(tmp_path / f"kind{kind}-{each}.png")
    imported = in_its_own_process(home, "data", "import", "finches", str(tmp_path), settings=with_package)
    assert "8 classes, 24 images" in imported.words, imported.err
    words = ("queue", "glyphs", "--method", "RandomNet", "--set", "episodes=20")
    queued = in_its_own_process(home, *words, settings=with_package)
    assert queued.code == 0, queued.err
    worked = in_its_own_process(home, "worker", "--drain", "--device", "cpu", settings=with_package)
    assert worked.code == 0, worked.err
    run = home.run(1)
    assert run.status is JobStatus.DONE
    assert run.attempts[-1].provenance["method's code"] == "example-plugin 1.5"
    assert "RandomNet" in in_its_own_process(home, "ls").out  # without the package, too
    assert "finches" in in_its_own_process(home, "data", "list").out
    assert_refused(in_its_own_process(home, *words), "RandomNet")


BROKEN = """
from {module} import MyNet


class Forgetful(MyNet):
    saved = ("backbone",)


class Noisy(MyNet):
    def logits(self, support, labels, query):
        import torch

        logits = super().logits(support, labels, query)
        return logits + torch.rand_like(logits)


class Peeking(MyNet):
    def logits(self, support, labels, query):
        return super().logits(support, labels, query - query.mean(1, keepdim=True))
"""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Forgetful", "checkpoint"),
        ("Noisy", "measured otherwise|other metrics"),
        ("Peeking", "other queries"),
    ],
)
def test_the_contract_finds_what_a_method_does_wrong(
    own: Path, tmp_path: Path, name: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "broken.py"
    path.write_text(BROKEN.format(module="mynet"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        check_method(f"{own}:MyNet", options={"lr": 0.01})
        with pytest.raises(BrokenPromiseError, match=says):
            check_method(f"{path}:{name}", options={"lr": 0.01})
    finally:
        for loaded in ("MyNet", name):
            METHODS.pop(loaded, None)
        sys.modules.pop("mynet", None)
