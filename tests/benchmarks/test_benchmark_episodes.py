import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.budgets import costs
from benchmarks.episode_candidates import CANDIDATES, measure
from benchmarks.episodes import GOALS, OURS, TITLES, Found, report
from experiments.config import ImageRun
from experiments.sweeps import Sweep, plan

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "episodes.py"


def test_it_explains_itself_from_any_folder(tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPT), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--peers" in done.stdout


@pytest.mark.parametrize("task", TITLES)
def test_ours_does_episodes_of_each_task(task: str, tmp_path: Path) -> None:
    torch.save(torch.randint(0, 256, (24, 20, 28, 28), dtype=torch.uint8), tmp_path / "images.pt")
    found = measure(task, OURS, tmp_path, seconds=0.0)
    assert found["rate"] > 0
    assert found["processor_ms"] > 0


def test_every_task_has_a_goal_and_peers_with_their_packages() -> None:
    assert CANDIDATES.keys() == TITLES.keys() == GOALS.keys()
    packages = {task: {package for package, _ in each.values()} for task, each in CANDIDATES.items()}
    assert packages["protonet"] == packages["loading"] == {"", "easyfsl", "learn2learn"}
    assert packages["maml"] == {"", "learn2learn", "higher"}


def test_the_report_compares_with_the_fastest_and_names_who_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {
        OURS: Found((30.0, 31.0), (33.0, 32.0)),
        "easyfsl": Found((10.0, 10.0), (100.0, 100.0), "1.5.0"),
        "learn2learn": Found(missing="give --peers PYTHON, one that has it"),
    }
    report("protonet", found, threads=1)
    said = capsys.readouterr().out
    assert "ours is 3.05 times easyfsl, 3.08 times by processor time (goal: at least 1.5)" in said
    assert "learn2learn: not measured: give --peers" in said


def test_a_step_and_an_episode_have_their_cost(glyphs_data_dir: Path, tmp_path: Path) -> None:
    small = {"filters": [4], "steps": [20], "n_way": [5], "alphabets": [10], "characters": [12]}
    config = plan(Sweep("glyphs", ("maml",), "quick", settings=small | {"multi_step": [0]}))[0].config
    assert isinstance(config, ImageRun)
    step, episode = costs(config, glyphs_data_dir, tmp_path, seconds=0.0)
    assert 0 < episode < step
