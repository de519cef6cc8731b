import pytest
import torch
from torch import Tensor

from experiments.config import Affine, Jitter
from experiments.data.augment import affine, colour, crop, flip, jitter, shift, stroke, views

DOT = torch.zeros(1, 1, 28, 28)
DOT[0, 0, 14, 20] = 1


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def centre_of_ink(images: Tensor) -> Tensor:
    """Return (n, 2): mean row and column, weighted by ink."""
    weights = images.flatten(1) / images.flatten(1).sum(dim=1, keepdim=True)
    rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    return weights @ torch.stack([rows.flatten(), columns.flatten()], dim=1)


def test_a_shift_moves_whole_pixels_each_way_and_no_further() -> None:
    moved = shift(DOT.expand(500, 1, 28, 28), seeded(), 2)
    moves = (centre_of_ink(moved) - torch.tensor([14.0, 20.0])).round()
    assert {tuple(move) for move in moves.int().tolist()} == {
        (down, right) for down in range(-2, 3) for right in range(-2, 3)
    }
    assert moved.sum(dim=(1, 2, 3)).tolist() == [1.0] * 500


def test_ink_shifted_over_the_edge_does_not_come_back_on_the_other_side() -> None:
    edge = torch.zeros(200, 1, 28, 28)
    edge[..., 27] = 1
    assert float(shift(edge, seeded(), 3)[..., :20].sum()) == 0


def test_no_change_asked_is_no_change_made() -> None:
    images = torch.rand(4, 1, 28, 28, generator=seeded(1))
    assert torch.equal(shift(images, seeded(), 0), images)
    unchanged = affine(images, seeded(), Jitter())
    torch.testing.assert_close(unchanged, images, atol=1e-5, rtol=0)


def test_a_turn_keeps_the_distance_from_the_middle_and_stays_within_its_degrees() -> None:
    turned = affine(DOT.expand(300, 1, 28, 28), seeded(), Jitter(degrees=30))
    offset = centre_of_ink(turned) - 13.5
    torch.testing.assert_close(offset.norm(dim=1), torch.full((300,), 6.52), atol=0.25, rtol=0)
    angle = torch.rad2deg(torch.atan2(offset[:, 0], offset[:, 1]))
    assert float((angle - 4.4).abs().max()) == pytest.approx(30, abs=3)


def test_an_affine_shift_is_in_pixels() -> None:
    moved = affine(DOT.expand(300, 1, 28, 28), seeded(), Jitter(shift=3))
    moves = centre_of_ink(moved) - torch.tensor([14.0, 20.0])
    assert moves.abs().amax(dim=0).tolist() == pytest.approx([3, 3], abs=0.2)


def test_a_scale_is_a_factor_around_one() -> None:
    square = torch.zeros(300, 1, 28, 28)
    square[..., 8:20, 8:20] = 1
    scaled = affine(square, seeded(), Jitter(scale=0.25))
    height = scaled.amax(dim=3).sum(dim=2).squeeze(1)
    assert float(height.min()) == pytest.approx(12 * 0.75, abs=0.6)
    assert float(height.max()) == pytest.approx(12 * 1.25, abs=0.6)


def test_a_warp_moves_ink_by_about_its_pixels_and_alike_near_by() -> None:
    dots = torch.zeros(400, 1, 28, 28)
    dots[..., 9, 9] = 1
    neighbours = dots.roll(1, dims=3)
    moved, beside = (affine(images, seeded(), Jitter(warp=1.0)) for images in (dots, neighbours))
    seen = (moved.sum((1, 2, 3)) > 0.2) & (beside.sum((1, 2, 3)) > 0.2)
    assert int(seen.sum()) > 350
    move = centre_of_ink(moved[seen]) - torch.tensor([9.0, 9.0])
    assert float(move.std()) == pytest.approx(1.0, abs=0.3)
    also = centre_of_ink(beside[seen]) - torch.tensor([9.0, 10.0])
    assert float((also - move).std()) < 0.4 * float(move.std())


def test_a_stroke_gets_thicker_or_thinner_by_parts_of_a_pixel_on_either_side() -> None:
    bar = torch.zeros(300, 1, 28, 28)
    bar[..., 10:14] = 1  # 4 pixels wide
    widths = stroke(bar, seeded(), 0.5).sum(dim=3).mean(dim=2).squeeze(1)
    assert float(widths.min()) == pytest.approx(3, abs=0.05)
    assert float(widths.max()) == pytest.approx(5, abs=0.05)
    assert float(widths.mean()) == pytest.approx(4, abs=0.1)


def test_jitter_does_all_that_is_asked_and_nothing_else() -> None:
    images = torch.rand(4, 1, 28, 28, generator=seeded(1))
    assert jitter(images, seeded(), Jitter()) is images
    assert torch.equal(jitter(images, seeded(), Jitter(shift=2)), shift(images, seeded(), 2))
    of_drawings = (Jitter(warp=1), Jitter(stroke=0.5), Jitter(degrees=5), Jitter(scale=0.1), Jitter(shear=5))
    for asked in (*of_drawings, Jitter(flip=True), Jitter(crop=0.2), Jitter(colour=0.2)):
        assert not torch.equal(jitter(images, seeded(), asked), images)


def test_views_begin_with_the_image_itself_and_show_one_image_alike_in_any_company() -> None:
    images = torch.rand(6, 1, 28, 28, generator=seeded(1))
    change = Affine(degrees=10, scale=0.1, shear=5, shift=1)
    together, alone = list(views(images, 4, change)), list(views(images[4:5], 4, change))
    assert torch.equal(together[0], images)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[4:5], other)
    assert len({float(view.sum()) for view in together}) == 4


def test_the_same_generator_state_gives_the_same_changes() -> None:
    images = torch.rand(8, 1, 28, 28, generator=seeded(1))
    for seed in (0, 1):
        one = affine(images, seeded(seed), Jitter(degrees=10, scale=0.1, shear=10, shift=2))
        other = affine(images, seeded(seed), Jitter(degrees=10, scale=0.1, shear=10, shift=2))
        assert torch.equal(one, other)
        assert torch.equal(shift(images, seeded(seed), 2), shift(images, seeded(seed), 2))
    assert not torch.equal(shift(images, seeded(0), 2), shift(images, seeded(1), 2))


def test_about_every_other_image_is_turned_over_and_none_otherwise_changed() -> None:
    images = torch.rand(400, 3, 6, 6, generator=seeded(1))
    flipped = flip(images, seeded())
    same = (flipped == images).flatten(1).all(1)
    assert 160 < int(same.sum()) < 240
    assert torch.equal(flipped[~same], images[~same].flip(-1))


def test_a_crop_keeps_a_part_of_at_least_the_side_asked_for_and_enlarges_it() -> None:
    ramp = torch.linspace(0, 1, 84).expand(300, 3, 84, 84)  # brighter to the right
    cropped = crop(ramp, seeded(), 0.5)
    assert cropped.shape == ramp.shape
    kept = cropped[:, 0, 40, -1] - cropped[:, 0, 40, 0]  # how much of the ramp is seen
    assert float(kept.min()) == pytest.approx(0.5, abs=0.02)
    assert float(kept.max()) == pytest.approx(1.0, abs=0.02)
    assert float(cropped.min()) < 0.05  # some parts reach to either side
    assert float(cropped.max()) > 0.95


def test_colours_change_by_no_more_than_asked_and_grey_stays_grey() -> None:
    grey = torch.full((300, 3, 8, 8), 0.5)
    changed = colour(grey, seeded(), 0.4)
    assert torch.equal(changed[:, 0], changed[:, 1])
    assert float(changed.min()) == pytest.approx(0.3, abs=0.01)
    assert float(changed.max()) == pytest.approx(0.7, abs=0.01)
    any_colours = torch.rand(50, 3, 8, 8, generator=seeded(1))
    assert bool(((shown := colour(any_colours, seeded(), 0.9)) >= 0).all() & (shown <= 1).all())
    spread = colour(any_colours, seeded(), 0.4).std(1).mean((1, 2)) / any_colours.std(1).mean((1, 2))
    assert 0.2 < float(spread.min()) < 1 < float(spread.max()) < 2.8


def test_what_photographs_need_is_no_part_of_a_stored_runs_name_where_it_is_off() -> None:
    assert Jitter(shift=2).naming().keys() & {"flip", "crop", "colour"} == set()
    assert Jitter(flip=True).naming()["flip"] is True
