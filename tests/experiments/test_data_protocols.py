from collections import Counter
from itertools import combinations

import pytest

from experiments.errors import ConfigError
from experiments.splits.omniglot import (
    OMNIGLOT_PROTOCOLS,
    all_characters,
    alphabets,
    characters,
    class_count,
    glyph_splits,
    protocol_splits,
)

PV_TEST_ALPHABETS = {
    "Malayalam": 47,
    "Oriya": 46,
    "Old_Church_Slavonic_(Cyrillic)": 45,
    "Tibetan": 42,
    "Kannada": 41,
    "Manipuri": 40,
    "Mongolian": 30,
    "Sylheti": 28,
    "Keble": 26,
    "ULOG": 26,
    "Tengwar": 25,
    "Syriac_(Serto)": 23,
    "Gurmukhi": 4,
}


def sizes(protocol: str, *, holdout: bool) -> dict[str, int]:
    return {name: len(members) for name, members in protocol_splits(protocol, holdout=holdout).items()}


def test_omniglot_has_1623_characters_of_50_alphabets() -> None:
    assert len(alphabets("background")) == 30
    assert len(alphabets("evaluation")) == 20
    assert len(characters("background")) == 964
    assert len(characters("evaluation")) == 659
    assert len(set(all_characters())) == 1623


@pytest.mark.parametrize(
    ("protocol", "with_holdout", "without"),
    [
        ("P-V", {"train": 1028, "val": 172, "test": 423}, {"train": 1200, "test": 423}),
        (
            "P-B",
            {"train": 792, "base": 553, "meta": 239, "val": 172, "test": 659},
            {"train": 964, "base": 725, "meta": 239, "test": 659},
        ),
        (
            "R1",
            {"train": 1028, "base": 792, "meta": 236, "val": 172, "test": 423},
            {"train": 1200, "base": 964, "meta": 236, "test": 423},
        ),
        (
            "R2",
            {"train": 1122, "base": 792, "meta": 330, "val": 172, "test": 329},
            {"train": 1294, "base": 964, "meta": 330, "test": 329},
        ),
    ],
)
def test_each_protocol_has_its_published_sizes(
    protocol: str, with_holdout: dict[str, int], without: dict[str, int]
) -> None:
    assert sizes(protocol, holdout=True) == with_holdout
    assert sizes(protocol, holdout=False) == without


@pytest.mark.parametrize("holdout", [True, False])
@pytest.mark.parametrize("protocol", OMNIGLOT_PROTOCOLS)
def test_no_character_is_in_two_splits_and_none_is_lost(protocol: str, holdout: bool) -> None:
    splits = dict(protocol_splits(protocol, holdout=holdout))
    if "base" in splits:  # train is what base and meta are together
        assert {*splits["base"], *splits["meta"]} == {*splits.pop("train")}
    for one, other in combinations(splits.values(), 2):
        assert not set(one) & set(other)
    assert {c for members in splits.values() for c in members} == set(all_characters())


def test_p_b_meta_trains_on_nine_whole_background_alphabets() -> None:
    meta = {character.alphabet for character in protocol_splits("P-B")["meta"]}
    assert len(meta) == 9
    assert sum(alphabets("background")[alphabet] for alphabet in meta) == 239


def test_the_test_characters_of_vinyals_protocol_are_the_released_list() -> None:
    test = protocol_splits("P-V")["test"]
    assert Counter(character.alphabet for character in test) == PV_TEST_ALPHABETS
    assert [c.number for c in test if c.alphabet == "Gurmukhi"] == [42, 43, 44, 45]


def test_the_validation_characters_are_five_whole_background_alphabets() -> None:
    val = protocol_splits("P-V")["val"]
    assert Counter(character.alphabet for character in val) == {
        "Hebrew": 22,
        "Mkhedruli_(Georgian)": 41,
        "Armenian": 41,
        "Early_Aramaic": 22,
        "Bengali": 46,
    }


def test_r1_tests_on_exactly_the_characters_of_vinyals_protocol() -> None:
    r1, pv = protocol_splits("R1", holdout=False), protocol_splits("P-V", holdout=False)
    assert r1["test"] == pv["test"]
    assert r1["base"] + r1["meta"] == pv["train"]


def test_the_halves_of_r2_are_always_the_same_and_mix_alphabets() -> None:
    splits = protocol_splits("R2")
    assert [c.number for c in splits["test"][:6] if c.alphabet == "Angelic"] == [8, 10, 11, 12, 13, 15]
    assert len({c.alphabet for c in splits["meta"]}) == len({c.alphabet for c in splits["test"]}) == 20


def test_each_quarter_turn_counts_as_a_class() -> None:
    assert class_count("P-V", "test") == 423
    assert class_count("P-V", "train", holdout=False, rotations=True) == 4800
    assert class_count("R1", "meta", rotations=True) == 944


def test_an_unknown_protocol_or_split_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"unknown Omniglot protocol 'P-W': did you mean 'P-[VB]'\?"):
        protocol_splits("P-W")
    with pytest.raises(ConfigError, match=r"unknown split of P-V 'tests': did you mean 'test'\?"):
        class_count("P-V", "tests")
    with pytest.raises(ConfigError, match="unknown split of P-V 'val'"):
        class_count("P-V", "val", holdout=False)


def test_glyphs_are_divided_by_whole_alphabets() -> None:
    assert glyph_splits(50, 25) == {
        "train": range(875),
        "base": range(625),
        "meta": range(625, 875),
        "val": range(875, 1000),
        "test": range(1000, 1250),
    }


@pytest.mark.parametrize("count", [4, 5, 9, 11, 30])
def test_however_many_alphabets_every_glyph_split_has_one_and_none_is_shared(count: int) -> None:
    splits = glyph_splits(count, 3)
    parts = [splits[name] for name in ("base", "meta", "val", "test")]
    assert all(len(part) >= 3 for part in parts)
    assert [number for part in parts for number in part] == list(range(3 * count))


@pytest.mark.parametrize(("count", "each"), [(3, 20), (10, 0)])
def test_too_few_glyphs_to_divide_are_refused(count: int, each: int) -> None:
    with pytest.raises(ConfigError, match="glyphs need at least 4 alphabets"):
        glyph_splits(count, each)
