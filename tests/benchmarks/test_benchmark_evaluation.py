import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.evaluation import OURS, PLAIN, Bench, candidates, compare
from experiments.config import EpisodeEvaluation
from experiments.data.glyphs import open_glyphs
from experiments.models.conv4 import Conv4
from experiments.rng import generator
from tests.conftest import GLYPH_ALPHABETS, GLYPH_CHARACTERS

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "evaluation.py"


def test_it_explains_itself_from_any_folder(tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPT), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--episodes" in done.stdout


def test_both_ways_measure_the_same_and_a_peer_that_is_not_there_is_named(glyphs_data_dir: Path) -> None:
    images = open_glyphs(glyphs_data_dir, GLYPH_ALPHABETS, GLYPH_CHARACTERS, rotations=True)
    shape = EpisodeEvaluation(n_way=5, k_shot=2, n_query=3)
    able, missing = candidates(Bench(images, Conv4(8, generator("benchmark")), shape))
    assert able.keys() | missing.keys() == {OURS, PLAIN, "easyfsl", "learn2learn"}
    found = compare({name: able[name] for name in (OURS, PLAIN)}, episodes=10, trials=2)
    (rates, accuracy), (_, plainly) = found[OURS], found[PLAIN]
    assert accuracy == plainly
    assert len(rates) == 2
    assert all(rate > 0 for rate in rates)
    assert torch.is_grad_enabled()
