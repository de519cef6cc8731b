import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.synthetic import DELTA, ETA, Limit, PlainLoop, contestants, growth, job_seconds, microseconds
from experiments.linear.direct import fast_gradient, gradient_held

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "synthetic.py"


def test_it_explains_itself_from_any_folder(tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPT), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--repeats" in done.stdout


def test_the_plain_loop_takes_the_step_of_the_samplers() -> None:
    loop, twin = (PlainLoop(3, 5, torch.float64) for _ in range(2))
    w_s = twin.w_s.detach()
    w_bar = twin.normal(1, 3)
    x, y = twin.batch(w_bar)
    w_f = -ETA * fast_gradient(torch.zeros_like(w_bar), w_s, x, y)
    x, y = twin.batch(w_bar)
    change = gradient_held(w_f, w_f @ w_s @ x - y, x)
    assert loop(1) == 1
    torch.testing.assert_close(loop.w_s.detach(), w_s - DELTA * change)


def test_every_contestant_meets_the_tasks_it_is_timed_with() -> None:
    timed = contestants(threads=2)
    assert [name[0] for name in timed] == ["a", "a", "b", "c", "d", "b", "c", "d"]
    found = microseconds(timed, repeats=1, share=0.005)
    assert found.keys() == timed.keys()
    assert min(found.values()) > 0
    assert Limit(4, 6, seeds=3, threads=1)(10) == 30


def test_a_real_job_is_carried_out_and_timed(tmp_path: Path) -> None:
    wall, used = job_seconds(tmp_path, 2, 600)
    assert 0 < wall < 60
    assert 0 < used < 60


@pytest.mark.parametrize("d", [2, 40])
def test_growth_reports_time_and_memory(d: int) -> None:
    taken, before, peak = growth(d, 10, 50)
    assert taken > 0
    assert 0 < before <= peak
