from pathlib import Path

import pytest
import torch

from experiments.data.episodes import EpisodeSampler
from experiments.data.glyphs import draw_glyphs, open_glyphs
from experiments.errors import ConfigError, DataError


def test_the_same_seed_draws_the_same_glyphs_and_another_seed_others() -> None:
    first = draw_glyphs(2, 3, seed=0)
    assert first.shape == (6, 20, 28, 28)
    assert first.dtype == torch.uint8
    assert torch.equal(first, draw_glyphs(2, 3, seed=0))
    assert not torch.equal(first, draw_glyphs(2, 3, seed=1))


def test_an_alphabet_stays_the_same_when_more_are_drawn() -> None:
    assert torch.equal(draw_glyphs(3, 4, seed=0)[:4], draw_glyphs(1, 4, seed=0))


def test_every_glyph_has_ink_inside_the_image_and_two_drawers_never_draw_the_same() -> None:
    images = draw_glyphs(4, 10, seed=0).float() / 255
    ink = images.mean(dim=(2, 3))
    assert 0.01 < float(ink.min()) < float(ink.max()) < 0.35
    edges = torch.cat([images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]], dim=-1)
    assert float(edges.mean()) < 0.01
    assert len({image.numpy().tobytes() for image in images.flatten(0, 1)}) == 4 * 10 * 20


def test_glyphs_are_as_hard_for_the_nearest_pixels_as_omniglot_is(glyphs_data_dir: Path) -> None:
    table = open_glyphs(glyphs_data_dir, 10, 12, seed=0, rotations=True)
    sampler = EpisodeSampler(table, n_way=20, k_shot=1, n_query=1, key=("glyphs",))
    episodes = sampler.sample("base", range(300))
    support = table.pixels("base", episodes.support).flatten(2)  # (300, 20, 784)
    query = table.pixels("base", episodes.query).flatten(2)
    nearest = torch.cdist(query, support).argmin(dim=2)
    accuracy = float((nearest == torch.arange(20)).float().mean())
    assert 0.2 < accuracy < 0.45  # 0.05 is chance, Omniglot's is 0.27


def test_characters_of_another_alphabet_are_easier_to_tell_apart(glyphs_data_dir: Path) -> None:
    images = open_glyphs(glyphs_data_dir, 10, 12, seed=0).images.float().mean(dim=1).flatten(1)
    distances = torch.cdist(images, images)  # (120, 120) between mean drawings
    alphabet = torch.arange(120) // 12
    within = (alphabet[:, None] == alphabet) & ~torch.eye(120, dtype=torch.bool)
    across = alphabet[:, None] != alphabet
    assert float(distances[within].mean()) < float(distances[across].mean())


def test_glyphs_are_drawn_once_and_then_opened(glyphs_data_dir: Path) -> None:
    folders = sorted(glyphs_data_dir.iterdir())
    assert [folder.name for folder in folders] == ["glyphs-v1-10x12-seed0"]
    written = (folders[0] / "images.npy").stat().st_mtime_ns
    table = open_glyphs(glyphs_data_dir, 10, 12, seed=0, rotations=True)
    assert (folders[0] / "images.npy").stat().st_mtime_ns == written
    counts = {name: table.class_count(name) for name in table.splits}
    assert counts == {"train": 336, "base": 240, "meta": 96, "val": 48, "test": 96}
    assert torch.equal(table.images, draw_glyphs(10, 12, seed=0))


def test_too_few_alphabets_are_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 4 alphabets"):
        open_glyphs(tmp_path, 3, 5)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"glyphs-v1-4x1-seed0 cannot be written \(.*\): free space"):
        open_glyphs(tmp_path / "file", 4, 1)
