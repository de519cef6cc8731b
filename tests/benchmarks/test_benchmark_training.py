import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.training import METHODS, measure

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "training.py"


def test_it_explains_itself_from_any_folder(tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPT), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--rounds" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_images_are_a_part_of_a_step_and_the_operations_are_all_of_it(name: str, tmp_path: Path) -> None:
    speed = measure(name, tmp_path, steps=1, precision="bf16")
    assert speed.images_per_second > 1
    assert 0 < speed.data_ms < 0.5 * speed.step_ms
    assert sum(speed.operations.values()) == pytest.approx(1)
    assert "aten::convolution_backward" in speed.operations
