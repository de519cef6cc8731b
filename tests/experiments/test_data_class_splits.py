"""How classes become base, meta, val and test; and that none that was seen is tested on."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from experiments.errors import DataError
from experiments.features.index import FeatureClass, FeatureIndex
from experiments.features.novelty import novel_splits, novelty
from experiments.features.seen import Seen, listed, seen_by_tag, seen_from
from experiments.splits.folders import halved, listed_splits, shares

NAMES = [f"class {number}" for number in range(100)]


def test_novel_classes_are_halved_and_a_tenth_of_the_first_half_is_kept_for_choices() -> None:
    splits = halved(NAMES, NAMES[:20])
    assert Counter(splits.values()) == {"base": 20, "meta": 36, "val": 4, "test": 40}
    assert {name for name, split in splits.items() if split == "base"} == set(NAMES[:20])


def test_a_class_keeps_its_half_whichever_others_are_here() -> None:
    every = halved(NAMES, (), universe=NAMES)
    some = halved(NAMES[::3], (), universe=NAMES)
    assert some == {name: every[name] for name in NAMES[::3]}


def test_another_seed_is_another_half() -> None:
    assert halved(NAMES, ()) != halved(NAMES, (), seed=1)


def test_all_of_imagenet_is_the_papers_thousand_and_two_halves() -> None:
    pytest.importorskip("timm")
    splits = novel_splits(listed("imagenet-22k"), seen_from("imagenet-1k"))
    counts = Counter(splits.values())
    # one of the thousand, the teddy bear, is not among the 21,841
    assert counts == {"base": 999, "meta": 9379, "val": 1042, "test": 10_421}


def test_shares_of_drawn_classes_are_imagenets() -> None:
    assert shares(21_841) == {"base": 1000, "meta": 9378, "train": 9378, "val": 1042, "test": 10_421}


def test_nothing_is_tested_on_where_all_was_seen() -> None:
    with pytest.raises(DataError, match=r"0 of 100 classes are left to test on, 100 were seen .*\(all\)"):
        novel_splits(NAMES, Seen(frozenset(NAMES), "all"))


def test_a_list_may_not_test_on_what_was_seen(tmp_path: Path) -> None:
    file = tmp_path / "splits.csv"
    file.write_text("class 1,base\nclass 2,test\nclass 3,val\n")
    with pytest.raises(
        DataError, match="lists 2 classes to test on that the backbone was trained on, class 2"
    ):
        listed_splits(file, NAMES, ["class 1", "class 2", "class 3"])
    assert listed_splits(file, NAMES, ["class 1"]) == {"class 1": "base", "class 2": "test", "class 3": "val"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class 1;test\n", "line 1 is not class,split"),
        ("class 1,test\nclass 2,tset\n", "line 2: unknown split 'tset': did you mean 'test'"),
        ("class 1,test\nother,test\n", "line 2: 'other' is none of the 100 classes"),
        ("class 1,base\nclass 1,test\n", "line 2: 'class 1' is listed twice, in base and in test"),
        ("class 1,test\nclass 1,test\n", "line 2: 'class 1' is listed twice, in test and in test"),
        ("\n", "lists no class"),
    ],
)
def test_a_list_that_says_nothing_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "splits.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=said):
        listed_splits(file, NAMES, ())


BREEDS = ["golden retriever", "caf\u00e9 cat", "a,b", "pug", "boxer", "beagle"]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffgolden retriever\ncaf\u00e9 cat\n",  # as Notepad and Excel write it
        "golden retriever\r\ncaf\u00e9 cat\r\n",
        "golden retriever  \n\n  caf\u00e9 cat\t\n \n",
        "golden retriever\ncafe\u0301 cat",  # as a Mac composes it
        "Golden_Retrievers\ncaf\u00e9-cats\n",
    ],
)
def test_a_list_of_what_was_seen_loses_no_class(tmp_path: Path, text: str) -> None:
    file = tmp_path / "seen.txt"
    file.write_bytes(text.encode())
    assert seen_from(str(file)).among(BREEDS) == {"golden retriever", "caf\u00e9 cat"}
    splits = novel_splits(BREEDS, seen_from(str(file)))
    assert {name for name, split in splits.items() if split == "base"} == {
        "golden retriever",
        "caf\u00e9 cat",
    }


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffgolden retriever,base\ncaf\u00e9 cat,test\n",
        "golden retriever,base\r\ncaf\u00e9 cat,test\r\n",
        " golden retriever , base \n  \ncafe\u0301 cat  ,test",
    ],
)
def test_a_list_of_splits_loses_no_class(tmp_path: Path, text: str) -> None:
    file = tmp_path / "splits.csv"
    file.write_bytes(text.encode())
    assert listed_splits(file, BREEDS, ()) == {"golden retriever": "base", "caf\u00e9 cat": "test"}


def test_a_class_with_a_comma_is_quoted_in_a_list_of_splits(tmp_path: Path) -> None:
    file = tmp_path / "splits.csv"
    file.write_text('"a,b",test\npug,base\n')
    assert listed_splits(file, BREEDS, ()) == {"a,b": "test", "pug": "base"}


def test_folders_whose_names_are_composed_otherwise_than_the_list_are_found(tmp_path: Path) -> None:
    file = tmp_path / "splits.csv"
    file.write_text("caf\u00e9,test\npug,base\n", encoding="utf-8")
    assert listed_splits(file, ["cafe\u0301", "pug"], ()) == {"cafe\u0301": "test", "pug": "base"}


def test_a_name_that_is_no_text_may_be_listed_by_its_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / "seen.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "splits.csv").write_bytes(b"caf\xe9,test\npug,base\n")
    assert seen_from(str(tmp_path / "seen.txt")).among([name, "pug"]) == {name}
    assert listed_splits(tmp_path / "splits.csv", [name, "pug"], ()) == {name: "test", "pug": "base"}
    assert sorted(halved([name, "pug"], ()).values()) == ["meta", "test"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pug\ngolden retriver\n", "'golden retriver' is none of the 6 classes here"),
        ("pug\ngolden retriever,poodle\n", "'golden retriever,poodle' is none of the 6 classes here"),
        ("pug\n pug\n", "lists 'pug' twice"),
        ("pug\ncaf\u00e9 cat\ncafe\u0301 cat\n", "lists 'caf\u00e9 cat' twice"),
    ],
)
def test_a_seen_class_that_is_not_here_or_stands_twice_is_refused_by_name(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "seen.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        novel_splits(BREEDS, seen_from(str(file)))


@pytest.mark.parametrize(
    "name",
    [
        "laptop",  # laptop, laptop computer
        "Laptop_Computers",
        "golden-retriever",
        "Leopards",
        "Granny-Smith",
        "TIMBER WOLVES",
        "panda",  # giant panda, panda, panda bear, ...
        "n02085620",
        "n02085620-Chihuahua",
    ],
)
def test_a_class_counts_as_seen_by_any_synonym_and_spelling(name: str) -> None:
    pytest.importorskip("timm")
    assert seen_from("imagenet-1k").among([name]) == {name}


def test_synsets_that_share_a_synonym_stay_apart() -> None:
    pytest.importorskip("timm")
    bird, machine = "n02012849", "n03126707"  # both a crane
    assert bird in listed("imagenet-1k")
    assert Seen(frozenset({bird}), "the bird").among([bird, machine]) == {bird}
    assert Seen(frozenset({bird}), "the bird").among(["crane"]) == {"crane"}


def test_words_that_a_user_lists_find_folders_named_by_numbers(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    (tmp_path / "seen.txt").write_text("golden retrievers\n")
    folders = ["n02099601", "n02085620", "n01440764"]
    assert seen_from(str(tmp_path / "seen.txt")).among(folders) == {"n02099601"}


def index_of(names: Iterable[str], seen: Seen, splits: Mapping[str, str]) -> FeatureIndex:
    here = [FeatureClass(name, splits[name], 2 * row, 2) for row, name in enumerate(names)]
    return FeatureIndex(
        source="a folder",
        backbone="a backbone",
        seen=seen.words,
        dimension=1,
        shards=(),
        classes=tuple(here),
        seen_certain=seen.certain,
        seen_given=seen.given,
        seen_here=len(seen.among(splits)),
    )


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        (["airplanes", "butterfly", "gerenuk", "okapi"], "not known: no name of yours is among"),
        (["airplanes", "butterfly", "laptop", "okapi"], "not known: 1 of your names are among"),
        (["n00004475", "n00005787", "n00006024", "n00006484"], "none, by WordNet numbers"),
        (["n00004475", "n00005787", "n02085620-Chihuahua", "okapi"], "not known: 1 of your names are"),
    ],
)
def test_only_wordnet_numbers_allow_the_word_none(names: list[str], verdict: str) -> None:
    pytest.importorskip("timm")
    seen = seen_from("imagenet-1k")
    splits = {name: "base" if name in seen.among(names) else "test" for name in names}
    said = novelty(index_of(names, seen, splits))
    assert said.startswith(verdict)
    assert ("give --seen FILE" in said) == verdict.startswith("not known")


def test_a_list_of_the_users_allows_the_word_none(tmp_path: Path) -> None:
    (tmp_path / "seen.txt").write_text("okapi\n")
    splits = {"okapi": "base", "airplanes": "test", "gerenuk": "test"}
    seen = seen_from(str(tmp_path / "seen.txt"))
    assert novelty(index_of(splits, seen, splits)).startswith("none, by the list that was given (1 class of")
    uncertain = Seen(frozenset(), "images of laion", certain=False)
    assert novelty(index_of(splits, uncertain, splits)).startswith(
        "not known: the backbone was trained on more"
    )


def test_tags_of_weights_say_what_was_seen() -> None:
    pytest.importorskip("timm")
    assert len(seen_by_tag("tf_in1k").names) == 1000
    assert len(seen_by_tag("fb_in22k_ft_in1k").names) == 21_842  # the teddy bear too
    assert seen_by_tag("fb_in22k_ft_in1k").certain
    assert not seen_by_tag("openai_ft_in1k").certain
    assert not seen_by_tag("fb_swsl_ig1b_ft_in1k").certain
