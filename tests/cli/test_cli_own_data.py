"""Own data sets at the command line: imported under a name, queued and reported by it, and removed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from experiments.config import config_from_json, config_hash
from experiments.data import own_images
from experiments.data.storage import read_index
from experiments.datasets import BUILT_IN, load_own
from experiments.errors import DataError
from experiments.registry import EXPERIMENTS
from experiments.sweeps import PlannedRun
from fsrun.planning import require_data
from store.jobs import JobStatus
from tests.cli.cli_cases import Case, Typed, assert_refused, in_its_own_process
from tests.experiments.imagenet_cases import write_classes

FEW = ("--preset", "quick", "--set", "episodes=5")


@pytest.fixture(autouse=True)
def _the_built_in_data_alone_afterwards(tmp_path: Path) -> Iterator[None]:
    yield
    load_own(tmp_path / "nothing")


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """Twelve classes of six photographs."""
    return write_classes(tmp_path / "birds", {f"bird-{number:02}": 6 for number in range(12)})


def splits_of(home: Case, name: str) -> dict[str, str]:
    """Return the split of each class as it was imported."""
    splits: dict[str, str] = read_index(home.data / name)["own"]["splits"]
    return splits


@pytest.mark.slow
def test_a_folder_is_imported_trained_on_and_reported_by_its_name(
    home: Case, typed: Typed, birds: Path
) -> None:
    imported = typed("data", "import", "birds", str(birds))
    assert imported.code == 0, imported.err
    assert "Imported birds: 12 classes, 72 images" in imported.words
    assert "Already imported" in typed("data", "import", "birds", str(birds)).words
    assert typed("data", "verify", "birds").code == 0
    (listed,) = [
        row for row in json.loads(typed("data", "list", "--json").out)["data"] if row["name"] == "birds"
    ]
    assert listed["state"] == "imported"
    words = ("--method", "protonet,fastslow", *FEW, "--n-way", "3")
    steps = [word for name in ("protonet", "fastslow", "pretrain") for word in ("--set", f"{name}.steps=2")]
    queued = typed("queue", "birds", *words, *steps)
    assert queued.code == 0, queued.err
    assert in_its_own_process(home, "worker", "--drain", "--device", "cpu").code == 0
    assert home.statuses() == [JobStatus.DONE] * 3
    assert typed("data", "rm", "birds", "--yes").code == 0
    assert not (home.data / "birds").exists()
    for command in (("ls",), ("show", "1"), ("report", "--classes", "birds"), ("report", "--figure5")):
        answer = typed(*command)
        assert answer.code == 0, answer.err
        assert "birds" in answer.out.lower()
        assert "imagenet" not in answer.out.lower()
    assert "steps=2" in typed("ls").out  # what differs from the preset is still known
    assert "birds" in typed("queue", "birds", "--method", "protonet").err


def test_a_stored_config_of_own_data_is_understood_without_the_data(
    home: Case, typed: Typed, birds: Path
) -> None:
    typed("data", "import", "birds", str(birds), "--colour")
    assert typed("queue", "birds", "--method", "protonet", *FEW).code == 0
    spec = home.run(1).spec
    typed("data", "rm", "birds", "--yes")
    load_own(home.data)
    assert "birds" not in EXPERIMENTS
    config = config_from_json(spec.config)
    assert config_hash(config) == spec.config_hash
    assert (config.experiment, config.data.image_shape) == ("birds", (3, 84, 84))  # type: ignore[union-attr]


def test_data_imported_anew_with_other_splits_refuse_a_run_that_was_queued_before(
    home: Case, typed: Typed, birds: Path
) -> None:
    typed("data", "import", "birds", str(birds))
    typed("queue", "birds", "--method", "pixel-knn", *FEW)
    typed("data", "import", "birds", str(birds), "--split-seed", "1", "--replace")
    planned = PlannedRun(config_from_json(home.run(1).spec.config), "quick")
    with pytest.raises(DataError, match="imported anew"):
        require_data([planned], home, stored=True)


def test_splits_come_from_a_csv_a_folder_of_lists_or_a_seed(home: Case, typed: Typed, birds: Path) -> None:
    wanted = {
        f"bird-{number:02}": "test"
        if number < 3
        else "val"
        if number < 5
        else "meta"
        if number < 8
        else "base"
        for number in range(12)
    }
    table = birds.parent / "splits.csv"
    table.write_text("".join(f"{name},{split}\n" for name, split in wanted.items()))
    assert typed("data", "import", "by-csv", str(birds), "--splits", str(table)).code == 0
    assert splits_of(home, "by-csv") == wanted
    lists = birds.parent / "lists"
    lists.mkdir()
    for split in ("train", "val", "test"):
        chosen = [
            name for name, each in wanted.items() if (each if each in ("val", "test") else "train") == split
        ]
        (lists / f"{split}.txt").write_text("\n".join(chosen))
    assert typed("data", "import", "by-list", str(birds), "--splits", str(lists)).code == 0
    found = splits_of(home, "by-list")
    assert {name for name, split in found.items() if split == "test"} == {"bird-00", "bird-01", "bird-02"}
    assert sorted(found.values()).count("base") + sorted(found.values()).count("meta") == 7
    for name, seed in (("one", "0"), ("same", "0"), ("other", "1")):
        shares = ("--test", "0.5", "--val", "0", "--split-seed", seed)
        assert typed("data", "import", name, str(birds), *shares).code == 0
    assert splits_of(home, "one") == splits_of(home, "same") != splits_of(home, "other")
    assert list(splits_of(home, "one").values()).count("test") == 6


def test_a_csv_of_file_and_label_is_imported_and_what_cannot_be_read_is_counted(
    home: Case, typed: Typed, birds: Path
) -> None:
    (birds / "bird-03" / "bird-03_000.JPEG").write_text("no image")
    rows = [f"{path.relative_to(birds.parent)},{path.parent.name}" for path in sorted(birds.rglob("*.JPEG"))]
    table = birds.parent / "birds.csv"
    table.write_text("\n".join(["file,label", *rows]))
    imported = typed("data", "import", "birds", str(table), "--per-class", "5")
    assert imported.code == 0, imported.err
    assert "12 classes, 60 images" in imported.words
    assert "left out: 1 image that cannot be read, " in imported.words
    table.write_text("\n".join([*rows, "gone.png,bird-00", "lost.png,bird-01"]))
    refused = typed("data", "import", "others", str(table))
    assert refused.code == 1
    assert "2 of 74 files are not there, gone.png the first" in refused.err


@pytest.mark.parametrize("name", ["omniglots/..", "synthetic2 x", "-x", "table2", "features", ""])
def test_a_name_that_is_no_good_is_refused_and_nothing_is_written(
    home: Case, typed: Typed, birds: Path, name: str
) -> None:
    refused = typed("data", "import", "--", name, str(birds))
    assert refused.code in (1, 2)
    assert refused.err.count("\n") <= 4
    assert "Traceback" not in refused.err
    assert not home.data.exists() or not any(home.data.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--test", "0.9", "--val", "0.2"), "not fractions"),
        (("--per-class", "7"), "0 classes are left to learn from and 0 to test on"),
        (("--splits", "SPLITS"), "listed twice"),
    ],
)
def test_splits_and_images_that_cannot_be_are_refused_in_one_line(
    home: Case, typed: Typed, birds: Path, options: tuple[str, ...], said: str
) -> None:
    table = birds.parent / "splits.csv"
    table.write_text("bird-00,test\nbird-00,train\n")
    words = [str(table) if word == "SPLITS" else word for word in options]
    refused = typed("data", "import", "birds", str(birds), *words)
    assert refused.code == 1
    assert said in refused.err
    assert not (home.data / "birds").exists()


def test_a_script_must_say_yes_before_data_are_removed(home: Case, typed: Typed, birds: Path) -> None:
    typed("data", "import", "birds", str(birds))
    assert_refused(typed("data", "rm", "birds"), "--yes")
    assert (home.data / "birds").is_dir()
    assert_refused(typed("data", "rm", "bees", "--yes"), "bees is not here")


def test_an_import_with_other_options_is_not_taken_for_the_one_that_is_there(
    home: Case, typed: Typed, birds: Path
) -> None:
    assert "Imported" in typed("data", "import", "birds", str(birds)).out
    assert "Already imported" in typed("data", "import", "birds", str(birds)).out
    assert_refused(
        typed("data", "import", "birds", str(birds), "--test", "0.5"), "other options", "--replace"
    )
    assert_refused(typed("data", "import", "birds", str(birds), "--colour"), "other options")
    assert "Imported" in typed("data", "import", "birds", str(birds), "--test", "0.5", "--replace").out


def test_options_of_own_data_are_refused_of_a_built_in_data_set(typed: Typed, birds: Path) -> None:
    assert typed("data", "import", "omniglot", str(birds), "--colour").code == 2
    assert typed("data", "import", "birds").code == 2  # where from?


@pytest.mark.parametrize("form", [(), ("--colour",)])
def test_the_recipes_of_all_presets_fit_a_small_data_set(
    home: Case, typed: Typed, birds: Path, form: tuple[str, ...]
) -> None:
    typed("data", "import", "birds", str(birds), *form)
    for preset in ("fair", "quick"):
        for method in ("pixel-knn", "protonet", "fastslow", "maml", "cnn", "matching", "siamese", "snail"):
            words = ("--method", method, "--preset", preset, "--n-way", "3", "--dry-run")
            assert typed("queue", "birds", *words).err == ""


def test_grey_images_are_ink_on_paper(home: Case, typed: Typed, tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / "marks" / f"mark-{number}"
        folder.mkdir(parents=True)
        for each in range(2):
            image = Image.new("L", (28, 28), 255)
            image.paste(0, (8 + number, 8, 12 + number, 20 + each))
            image.save(folder / f"{each}.png")
    assert typed("data", "import", "marks", str(tmp_path / "marks"), "--val", "0").code == 0
    table = own_images.open_own(home.data, "marks")
    assert table.image_shape == (1, 28, 28)
    assert (int(table.images[0, 0, 10, 9]), int(table.images[0, 0, 0, 0])) == (255, 0)
    assert set(BUILT_IN) <= set(EXPERIMENTS)
