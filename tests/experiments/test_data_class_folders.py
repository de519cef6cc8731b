"""Classes as folders and tar files, read where they lie."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from experiments.data.class_folders import ImageFile, find_classes
from experiments.errors import DataError
from experiments.features.imagenet import import_imagenet, read_listing, verify_imagenet
from tests.experiments.imagenet_cases import leave_litter, write_classes, write_tars


@pytest.mark.parametrize("ending", [".tar", ".TAR", ".tar.gz", ".tgz", ".Tar.GZ"])
def test_folders_and_tars_hold_the_same_images(tmp_path: Path, ending: str) -> None:
    folders = write_classes(tmp_path / "folders", {"n01": 3, "n02": 2})
    tars = write_tars(tmp_path / "tars", folders, ending)
    one, other = find_classes(folders), find_classes(tars)
    assert one.names == other.names == ("n01", "n02")
    assert one.counts == other.counts == (3, 2)
    for here, there in zip(one.places, other.places, strict=True):
        read = [[(image.name, image.read()) for image in place.images()] for place in (here, there)]
        assert read[0] == read[1]


def test_images_may_lie_one_folder_deeper(tmp_path: Path) -> None:
    write_classes(tmp_path / "n01", {"images": 2})
    write_classes(tmp_path / "n02", {"images": 4})
    assert find_classes(tmp_path).counts == (2, 4)


def test_a_compressed_tar_is_read_by_several_threads_in_any_order(tmp_path: Path) -> None:
    folders = write_classes(tmp_path / "folders", {f"n0{number}": 4 for number in range(4)})
    packed = find_classes(write_tars(tmp_path / "tars", folders, ".tar.gz"))
    images = [image for place in packed.places for image in place.images()] * 5
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(ImageFile.read, images[::-1]))
    assert read == [(folders / image.name[:3] / image.name).read_bytes() for image in images[::-1]]


def test_what_desktops_leave_is_neither_a_class_nor_an_image_and_is_counted(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "in", {"n01": 3, "n02": 2})
    plain = find_classes(root)
    left = sum(leave_litter(folder) for folder in (root, root / "n01", root / "n02"))
    found = find_classes(root)
    assert found == plain
    assert (found.counts, plain.litter, found.litter) == ((3, 2), 0, left)
    assert import_imagenet(root, tmp_path / "data").litter == left
    assert read_listing(tmp_path / "data").litter == left


def test_litter_in_a_tar_is_no_image(tmp_path: Path) -> None:
    folders = write_classes(tmp_path / "folders", {"n01": 3, "n02": 2})
    leave_litter(folders / "n01")
    found = find_classes(write_tars(tmp_path / "tars", folders))
    assert (found.counts, found.litter) == ((3, 2), 6)  # a tar names the thumbnail, not its folder


def test_lists_beside_images_are_no_images(tmp_path: Path) -> None:
    write_classes(tmp_path, {"n01": 2, "n02": 2})
    (tmp_path / "n01" / "n01_boxes.txt").write_text("1 2 3 4")
    assert find_classes(tmp_path).counts == (2, 2)


def test_one_class_is_refused(tmp_path: Path) -> None:
    write_classes(tmp_path, {"n01": 3})
    with pytest.raises(DataError, match="holds only one class, n01: name a folder that holds one folder"):
        find_classes(tmp_path)


def test_a_folder_of_splits_is_refused(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_classes(tmp_path / split, {"n01": 1, "n02": 1})
    with pytest.raises(DataError, match="train holds folders of its own"):
        find_classes(tmp_path)


def test_no_images_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no folders of images and no tar files"):
        find_classes(tmp_path)


def test_a_tar_that_ends_early_is_refused_by_name(tmp_path: Path) -> None:
    tars = write_tars(tmp_path / "tars", write_classes(tmp_path / "folders", {"n01": 3, "n02": 2}))
    whole = (tars / "n02.tar").read_bytes()
    (tars / "n02.tar").write_bytes(whole[:700])
    with pytest.raises(DataError, match=r"n02\.tar cannot be read"):
        find_classes(tars)


def test_a_compressed_tar_that_ends_early_is_refused_by_name(tmp_path: Path) -> None:
    tars = write_tars(tmp_path / "tars", write_classes(tmp_path / "in", {"n01": 3, "n02": 2}), ".tar.gz")
    whole = (tars / "n02.tar.gz").read_bytes()
    (tars / "n02.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"n02\.tar\.gz cannot be read"):
        find_classes(tars)


def test_import_lists_and_copies_nothing(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "in", {"n01": 3, "n02": 2})
    summary = import_imagenet(root, tmp_path / "data")
    assert (summary.classes, summary.images, summary.written) == (2, 5, True)
    assert read_listing(tmp_path / "data") == find_classes(root)
    assert [each.name for each in (tmp_path / "data" / "imagenet").iterdir()] == ["listing.json"]
    assert not import_imagenet(root, tmp_path / "data").written


def test_verify_names_a_class_that_has_changed(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "in", {"n01": 3, "n02": 2})
    import_imagenet(root, tmp_path / "data")
    verify_imagenet(tmp_path / "data")
    (root / "n02" / "n02_000.JPEG").unlink()
    with pytest.raises(DataError, match="has changed in 1 classes, n02 the first"):
        verify_imagenet(tmp_path / "data")
