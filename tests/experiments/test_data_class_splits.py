"""How classes become base, meta, val and test; and that none that was seen is tested on."""

from collections import Counter
from pathlib import Path

import pytest

from experiments.data.class_splits import halved, listed_splits, shares
from experiments.data.novelty import novel_splits
from experiments.errors import DataError
from experiments.models.seen import Seen, listed, seen_by_tag, seen_from

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
        ("other,test\n", "names none of the 100 classes"),
    ],
)
def test_a_list_that_says_nothing_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "splits.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=said):
        listed_splits(file, NAMES, ())


def test_tags_of_weights_say_what_was_seen() -> None:
    pytest.importorskip("timm")
    assert len(seen_by_tag("tf_in1k").names) == 1000
    assert len(seen_by_tag("fb_in22k_ft_in1k").names) == 21_842  # the teddy bear too
    assert seen_by_tag("fb_in22k_ft_in1k").certain
    assert not seen_by_tag("openai_ft_in1k").certain
    assert not seen_by_tag("fb_swsl_ig1b_ft_in1k").certain
