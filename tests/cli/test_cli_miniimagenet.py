import json
from pathlib import Path

import pytest

from experiments.config import ImageRun, MiniImageNetData, config_from_json
from experiments.splits.miniimagenet import listed
from store.jobs import JobStatus
from tests.cli.cli_cases import Case, Typed
from tests.experiments.miniimagenet_cases import (
    PAIR,
    file_name,
    png,
    write_folders,
    write_published,
    write_zip,
)


@pytest.fixture
def with_data(home: Case, miniimagenet_data_dir: Path) -> Case:
    """A home whose data folder has the stand-in for mini-ImageNet."""
    home.data.mkdir(parents=True)
    (home.data / "miniimagenet").symlink_to(miniimagenet_data_dir / "miniimagenet")
    return home


def test_what_there_is_is_imported_and_what_is_missing_is_said(
    typed: Typed, home: Case, tmp_path: Path
) -> None:
    source = write_published(tmp_path / "source", 5)
    write_zip(source / "train.zip", PAIR["train"], range(3))
    imported = typed("data", "import", "miniimagenet", str(source))
    assert (imported.code, imported.err) == (0, "")
    first, *parts = imported.out.splitlines()
    assert first.startswith("Imported miniimagenet: 100 classes, 26 images")
    assert [part.split()[:4] for part in parts] == [
        ["train", "6", "of", "38,400"],
        ["val", "10", "of", "9,600"],
        ["test", "10", "of", "12,000"],
    ]
    assert "38,394 missing: import again when they are there" in parts[0]
    write_zip(source / "more.zip", PAIR["train"], (3, 4))
    assert "train  10 of 38,400 images" in typed("data", "import", "miniimagenet", str(source)).out
    assert "Already imported" in typed("data", "import", "miniimagenet", str(source)).out
    assert "imported" in typed("data", "list").out.splitlines()[1]


def test_verifying_names_the_equal_images(typed: Typed, home: Case, tmp_path: Path) -> None:
    source = write_folders(tmp_path / "source", PAIR["test"], 2)
    one, other = PAIR["test"]
    (source / other / "again.png").write_bytes(png(one, 1))
    assert typed("data", "import", "miniimagenet", str(source)).code == 0
    verified = typed("data", "verify", "miniimagenet")
    assert (verified.code, verified.err) == (0, "")
    assert "1 pair of equal images, 0 of them across lists" in verified.out
    assert f"test/{one}/{file_name(one, 1)} = test/{other}/again.png" in verified.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("data", "fetch", "miniimagenet"),
            "no official place to fetch it from: fsrun data import miniimagenet",
        ),
        (
            ("data", "verify", "miniimagenet"),
            "mini-ImageNet is not imported: run `fsrun data import miniimagenet",
        ),
        (
            ("data", "import", "miniimagnet", "x"),
            "unknown data set 'miniimagnet': did you mean 'miniimagenet'?",
        ),
        (("queue", "miniimagenet", "--method", "protonet"), "mini-ImageNet is not imported"),
        (("queue", "miniimagenet", "--method", "mann"), "unknown method of miniimagenet 'mann'"),
        (("queue", "miniimagenet", "--n-way", "21"), "n_way 21 is more than the 20 test classes"),
        (("queue", "miniimagenet", "--k-shot", "590"), "each class has 600: lower one of them"),
        (
            ("queue", "miniimagenet", "--method", "fastslow", "--set", "protocol=R-L"),
            "fastslow learns from 'meta' classes and this protocol has none: use --set protocol=R1",
        ),
        (
            ("queue", "miniimagenet", "--set", "sampling=within-alphabet"),
            "miniimagenet has no alphabets: use --set sampling=mixed",
        ),
    ],
)
def test_what_cannot_be_is_one_line_that_says_what_to_do(
    typed: Typed, home: Case, words: tuple[str, ...], expected: str
) -> None:
    answer = typed(*words)
    assert answer.code in (1, 2)
    assert expected in answer.err
    assert "Traceback" not in answer.err
    assert len(answer.err.splitlines()) == 1
    assert home.statuses() == []


def test_too_few_images_are_refused_before_anything_is_queued(typed: Typed, with_data: Case) -> None:
    answer = typed("queue", "miniimagenet", "--method", "pixel-knn", "--k-shot", "5")
    assert (
        "k_shot + n_query is 20 images a class, and mini-ImageNet has only 16 of some test class"
        in answer.err
    )
    assert with_data.statuses() == []


def test_a_run_is_stored_as_one_on_mini_imagenet_and_its_model_labels_photographs(
    typed: Typed, with_data: Case, tmp_path: Path
) -> None:
    done = typed("run", "miniimagenet", "--method", "pixel-knn", "--set", "episodes=20")
    assert (done.code, done.err) == (0, "")
    run = with_data.run(1)
    assert run.status is JobStatus.DONE
    config = config_from_json(run.spec.config)
    assert isinstance(config, ImageRun)
    assert isinstance(config.data, MiniImageNetData)
    assert (run.spec.experiment, run.spec.n_way, run.spec.k_shot) == ("miniimagenet", 5, 1)
    (result,) = run.results
    assert (result.name, result.episodes) == ("test/accuracy", 20)
    assert result.value > 0.9  # a class of the stand-in is told by its colours

    support = write_folders(tmp_path / "support", listed("test")[:3], 2)
    new = tmp_path / "new"
    new.mkdir()
    for name in listed("test")[:3]:
        (new / f"{name}.png").write_bytes(png(name, 9))
    answer = typed(
        "classify", "--run", "1", "--support", str(support), "--images", str(new), "--format", "json"
    )
    assert (answer.code, answer.err) == (0, "")
    labelled = {Path(each["image"]).stem: each["class"] for each in json.loads(answer.out)["rows"]}
    assert labelled == {name: name for name in listed("test")[:3]}
