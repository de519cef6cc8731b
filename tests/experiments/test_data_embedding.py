"""Features embedded once: right, resumable, shared, and honest about what was skipped."""

import json
import multiprocessing
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from experiments.data.class_folders import find_classes
from experiments.data.decoding import DECODER
from experiments.errors import DataError
from experiments.features import shards
from experiments.features.decoding_ahead import decode
from experiments.features.embedding import Embedder, Progress, embed_images
from experiments.features.imagenet import import_imagenet, read_listing
from experiments.features.index import features_folder, read_feature_index
from experiments.features.shards import Embedding
from experiments.features.table import open_feature_table
from experiments.splits.folders import halved
from tests.experiments.imagenet_cases import (
    DIMENSION,
    embedding_of,
    jpeg,
    small_backbone,
    write_classes,
    write_tars,
)

SIZES = {"a": 3, "b": 4, "c": 2, "d": 5}
SPLITS = {"a": "base", "b": "meta", "c": "val", "d": "test"}
CPU = torch.device("cpu")


def embedder(batch: int = 4) -> Embedder:
    return Embedder(small_backbone(), CPU, batch=batch, threads=2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "in", SIZES)


@pytest.fixture
def short_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard ends with every class."""
    monkeypatch.setattr(shards, "SHARD_IMAGES", 1)


def test_features_are_those_of_the_images_one_by_one(root: Path, tmp_path: Path) -> None:
    embedding = embedding_of(root, tmp_path / "data", SPLITS)
    index = embed_images(embedding, embedder())
    table = open_feature_table(embedding.folder, index, train_images=2)
    backbone = small_backbone()
    images = next(place for place in embedding.listing.places if place.name == "d").images()
    for number, image in enumerate(images):
        pixels, _ = decode(image, backbone.preprocessing)
        assert pixels is not None
        shown = backbone.preprocessing.normalised(torch.from_numpy(pixels.copy())[None], CPU)
        expected = backbone.module(shown)[0]
        assert torch.allclose(table.pixels("test", torch.tensor(number)), expected, rtol=2e-3, atol=2e-3)


def test_tar_files_give_the_same_features_as_folders(root: Path, tmp_path: Path) -> None:
    tars = write_tars(tmp_path / "tars", root)
    rows = []
    for name, source in (("one", root), ("other", tars)):
        embedding = embedding_of(source, tmp_path / "data", SPLITS, name=name)
        index = embed_images(embedding, embedder())
        rows.append(np.concatenate([np.load(embedding.folder / file) for file, _ in index.shards]))
    assert np.array_equal(rows[0], rows[1])


def test_what_cannot_be_read_is_skipped_counted_and_named(root: Path, tmp_path: Path) -> None:
    (root / "a" / "a_000.JPEG").write_bytes(b"no image")
    (root / "b" / "b_001.JPEG").write_bytes(jpeg(1)[:300])
    (root / "c" / "c_000.JPEG").write_bytes(b"")  # c keeps one image
    (root / "d" / "d_001.JPEG").write_bytes(jpeg(2, mode="L"))
    (root / "d" / "d_002.JPEG").write_bytes(jpeg(3, mode="CMYK"))
    index = embed_images(embedding_of(root, tmp_path / "data", SPLITS), embedder())
    assert index.skipped == {"no JPEG or PNG": 2, "damaged": 1}
    assert dict(index.trouble)["b/b_001.JPEG"] == "damaged"
    assert index.converted == {"grey, shown as colour": 1, "CMYK, made red, green and blue": 1}
    assert index.left_out == ("c",)
    assert {each.name: each.images for each in index.classes} == {"a": 2, "b": 3, "d": 5}
    assert index.images == 2 + 3 + 1 + 5


def test_rows_of_classes_are_theirs_also_after_skipped_images(root: Path, tmp_path: Path) -> None:
    whole = embed_images(embedding_of(root, tmp_path / "data", SPLITS, name="whole"), embedder())
    (root / "a" / "a_001.JPEG").write_bytes(b"no image")
    holed = embed_images(embedding_of(root, tmp_path / "data", SPLITS, name="holed"), embedder(batch=3))
    tables = [
        open_feature_table(features_folder(tmp_path / "data", name), index, 2)
        for name, index in (("whole", whole), ("holed", holed))
    ]
    every = torch.arange(5)
    assert torch.equal(tables[0].pixels("test", every), tables[1].pixels("test", every))


@pytest.mark.usefixtures("short_shards")
def test_an_embedding_that_was_stopped_goes_on_after_its_whole_shards(root: Path, tmp_path: Path) -> None:
    class Stopped(Exception):  # noqa: N818 (it is no error)
        pass

    def stop_in_the_second(progress: Progress) -> None:
        if progress.done > SIZES["a"]:
            raise Stopped

    embedding = embedding_of(root, tmp_path / "data", SPLITS)
    with pytest.raises(Stopped):
        embed_images(embedding, embedder(), stop_in_the_second)
    with pytest.raises(DataError, match="'small' are not complete: go on with `fsrun data embed"):
        read_feature_index(tmp_path / "data", "small")
    seen: list[Progress] = []
    index = embed_images(embedding, embedder(), seen.append)
    assert seen[-1].own == sum(SIZES.values()) - SIZES["a"]
    assert seen[-1].done == seen[-1].total == sum(SIZES.values())
    undisturbed = embedding_of(root, tmp_path / "other", SPLITS)
    assert embed_images(undisturbed, embedder()) == index
    for file, _ in index.shards:
        assert (embedding.folder / file).read_bytes() == (undisturbed.folder / file).read_bytes()


def _embed_in_a_process(
    root: Path, data_dir: Path, own: "multiprocessing.Queue[int]", start: Barrier
) -> None:
    torch.set_num_threads(1)
    shards.SHARD_IMAGES = 1
    seen: list[Progress] = []
    start.wait(60)  # else the first may be through before the second has begun
    embed_images(embedding_of(root, data_dir, SPLITS), embedder(batch=1), seen.append)
    own.put(seen[-1].own if seen else 0)  # the other may have been given all the time there was


def test_two_processes_share_one_embedding_and_no_image_is_embedded_twice(root: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    own: multiprocessing.Queue[int] = context.Queue()
    arguments = (root, tmp_path / "data", own, context.Barrier(2))
    processes = [context.Process(target=_embed_in_a_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert own.get() + own.get() == sum(SIZES.values())
    index = read_feature_index(tmp_path / "data", "small")
    assert index.images == sum(SIZES.values())
    assert not list(features_folder(tmp_path / "data", "small").glob("shard-*.lock"))


def _begin(embedding: Embedding, start: threading.Barrier) -> bool:
    """Say whether it could begin, or another plan was there first."""
    start.wait(60)
    try:
        embedding.begin()
    except DataError as error:
        if "were embedded otherwise" not in str(error):
            raise
        return False
    return True


def test_many_may_begin_one_embedding_at_the_same_moment(root: Path, tmp_path: Path) -> None:
    embeddings = [embedding_of(root, tmp_path / "data", SPLITS) for _ in range(8)]
    with ThreadPoolExecutor(len(embeddings)) as pool:
        for _ in range(20):
            start = threading.Barrier(len(embeddings))
            for begun in [pool.submit(_begin, embedding, start) for embedding in embeddings]:
                assert begun.result()
            shutil.rmtree(embeddings[0].folder)


def test_one_that_begins_while_others_weights_are_planned_is_refused(root: Path, tmp_path: Path) -> None:
    embedding = embedding_of(root, tmp_path / "data", SPLITS)
    other = embedding_of(root, tmp_path / "data", SPLITS, small_backbone(seed=1))
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            start = threading.Barrier(2)
            both = [pool.submit(_begin, one, start) for one in (embedding, other)]
            assert sorted(begun.result() for begun in both) == [False, True]
            shutil.rmtree(embedding.folder)


def test_a_shard_somebody_is_at_is_left_to_them(root: Path, tmp_path: Path) -> None:
    one, other = (embedding_of(root, tmp_path / "data", SPLITS) for _ in range(2))
    one.begin()
    (shard,) = one.shards
    with one.claimed(shard) as mine, other.claimed(shard) as theirs:
        assert mine
        assert not theirs
    with other.claimed(shard) as theirs:
        assert theirs


@pytest.mark.usefixtures("short_shards")
def test_an_image_that_was_repaired_is_embedded_by_the_same_command(root: Path, tmp_path: Path) -> None:
    whole = (root / "b" / "b_001.JPEG").read_bytes()
    (root / "b" / "b_001.JPEG").write_bytes(whole[:300])
    (root / "d" / "d_000.JPEG").write_bytes(b"no image")
    embedding = embedding_of(root, tmp_path / "data", SPLITS)
    before = embed_images(embedding, embedder())
    assert (before.skipped, before.repaired) == ({"damaged": 1, "no JPEG or PNG": 1}, 0)
    (root / "b" / "b_001.JPEG").write_bytes(whole)
    seen: list[Progress] = []
    after = embed_images(embedding_of(root, tmp_path / "data", SPLITS), embedder(), seen.append)
    assert (after.skipped, after.repaired) == ({"no JPEG or PNG": 1}, 1)
    assert seen[-1].own == SIZES["b"]  # no other shard is touched
    assert embed_images(embedding_of(root, tmp_path / "data", SPLITS), embedder()) == after
    (root / "d" / "d_000.JPEG").write_bytes(jpeg(3000))
    embed_images(embedding_of(root, tmp_path / "data", SPLITS), embedder())
    undisturbed = embedding_of(write_classes(tmp_path / "again", SIZES), tmp_path / "other", SPLITS)
    for file, rows in embed_images(undisturbed, embedder()).shards:
        assert rows == len(np.load(embedding.folder / file))
        assert (embedding.folder / file).read_bytes() == (undisturbed.folder / file).read_bytes()


def test_features_stay_where_their_images_have_gone(root: Path, tmp_path: Path) -> None:
    (root / "b" / "b_001.JPEG").write_bytes(b"no image")
    embedding = embedding_of(root, tmp_path / "data", SPLITS)
    index = embed_images(embedding, embedder())
    shutil.rmtree(root)
    assert embed_images(embedding, embedder()) == index


def test_names_that_are_no_text_are_embedded_as_others_are(tmp_path: Path) -> None:
    names = [os.fsdecode(b"gr\xfcn-%d" % number) for number in range(6)]
    root = write_classes(tmp_path / os.fsdecode(b"caf\xe9"), dict.fromkeys(names, 3))
    splits = halved(names, ())
    embedding = shards.Embedding(tmp_path, "cafe", find_classes(root), splits, small_backbone(), 2)
    embed_images(embedding, embedder())
    index = read_feature_index(tmp_path, "cafe")
    assert {each.name: each.split for each in index.classes} == splits
    assert index.source == str(root)
    import_imagenet(root, tmp_path)
    assert read_listing(tmp_path).names == tuple(sorted(names))


def test_features_of_an_earlier_decoder_say_so(root: Path, tmp_path: Path) -> None:
    embedding = embedding_of(root, tmp_path / "data", SPLITS)
    assert embed_images(embedding, embedder()).decoder == DECODER
    (facts,) = embedding.folder.glob("shard-*.json")
    old = json.loads(facts.read_text())
    del old["decoder"]
    facts.write_text(json.dumps(old))
    (embedding.folder / "index.json").unlink()
    assert embed_images(embedding, embedder()).decoder == 1


def test_other_weights_under_the_same_name_are_refused(root: Path, tmp_path: Path) -> None:
    embed_images(embedding_of(root, tmp_path / "data", SPLITS), embedder())
    other = embedding_of(root, tmp_path / "data", SPLITS, small_backbone(seed=1))
    with pytest.raises(DataError, match=r"'small' were embedded otherwise .*weights differ.*add --name"):
        embed_images(other, embedder())


def test_a_class_that_changed_since_it_was_listed_is_named(root: Path, tmp_path: Path) -> None:
    embedding = embedding_of(root, tmp_path / "data", SPLITS)
    (root / "d" / "d_004.JPEG").unlink()
    with pytest.raises(DataError, match="had 5 images when it was listed and has 4 now"):
        embed_images(embedding, embedder())


def test_a_full_disk_is_told_before_anything_is_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(DataError, match=r"the features of 14 images take 0\.0 GB and .* has 0\.0 GB free"):
        embed_images(embedding_of(root, tmp_path / "data", SPLITS), embedder())
    assert not (tmp_path / "data").exists()


def test_at_most_so_many_images_of_a_class_are_always_the_same_ones(root: Path, tmp_path: Path) -> None:
    first, again = (
        shards.Embedding(
            tmp_path, "few", embedding_of(root, tmp_path, SPLITS).listing, SPLITS, small_backbone(), 2
        )
        for _ in range(2)
    )
    chosen = [[image.name for image in images] for images in first.shards[0].images()]
    assert [len(images) for images in chosen] == [2, 2, 2, 2]
    assert chosen == [[image.name for image in images] for images in again.shards[0].images()]


def test_features_float16_cannot_hold_are_refused(root: Path, tmp_path: Path) -> None:
    backbone = small_backbone()
    with torch.no_grad():
        next(backbone.module.parameters()).mul_(1e6)
    with pytest.raises(DataError, match="float16 cannot hold"):
        embed_images(embedding_of(root, tmp_path / "data", SPLITS, backbone), Embedder(backbone, CPU))


def test_a_damaged_index_is_told(root: Path, tmp_path: Path) -> None:
    embedding = embedding_of(root, tmp_path / "data", SPLITS)
    embed_images(embedding, embedder())
    raw = json.loads((embedding.folder / "index.json").read_text())
    del raw["classes"]
    (embedding.folder / "index.json").write_text(json.dumps(raw))
    with pytest.raises(DataError, match="is damaged: embed the images again"):
        read_feature_index(tmp_path / "data", "small")


def test_dimension_is_the_backbones(root: Path, tmp_path: Path) -> None:
    assert embed_images(embedding_of(root, tmp_path / "data", SPLITS), embedder()).dimension == DIMENSION
