import subprocess
import sys
from itertools import combinations

import pytest

from experiments.config import MiniImageNetData
from experiments.errors import ConfigError
from experiments.splits.miniimagenet import (
    MINIIMAGENET_PROTOCOLS,
    all_classes,
    held_out,
    listed,
    miniimagenet_splits,
)


def sizes(protocol: str, *, holdout: bool) -> dict[str, int]:
    return {name: len(classes) for name, classes in miniimagenet_splits(protocol, holdout=holdout).items()}


def test_the_published_lists_have_64_16_and_20_classes() -> None:
    assert [len(listed(part)) for part in ("train", "val", "test")] == [64, 16, 20]
    assert len(set(all_classes())) == 100
    assert (listed("train")[0], listed("val")[0], listed("test")[0]) == (
        "n01532829",
        "n01855672",
        "n01930112",
    )


def test_every_protocol_tests_on_the_same_20_classes() -> None:
    assert sizes("R-L", holdout=True) == {"train": 64, "val": 16, "test": 20}
    assert sizes("R-L", holdout=False) == {"train": 80, "test": 20}
    assert sizes("R1", holdout=True) == {
        "train": 68, "base": 52, "meta": 16, "val": 12, "test": 20
    }  # fmt: skip
    assert sizes("R1", holdout=False) == {"train": 80, "base": 64, "meta": 16, "test": 20}
    for protocol in MINIIMAGENET_PROTOCOLS:
        for holdout in (True, False):
            assert miniimagenet_splits(protocol, holdout=holdout)["test"] == listed("test")


@pytest.mark.parametrize("protocol", MINIIMAGENET_PROTOCOLS)
def test_no_class_is_in_two_splits(protocol: str) -> None:
    splits = miniimagenet_splits(protocol)
    if "base" in splits:  # train is what base and meta are together
        assert {*splits["base"], *splits["meta"]} == {*splits.pop("train")}
    for one, other in combinations(splits.values(), 2):
        assert not set(one) & set(other)


def test_the_classes_held_out_of_the_base_never_change() -> None:
    assert len(held_out()) == 12
    assert held_out()[:3] == ("n01770081", "n02113712", "n02120079")
    assert set(held_out()) <= set(listed("train"))


def test_an_unknown_protocol_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"^unknown mini-ImageNet protocol 'R2': did you mean 'R1'\?$"):
        miniimagenet_splits("R2")


def test_the_options_say_how_many_classes_and_what_an_image_is() -> None:
    data = MiniImageNetData()
    assert [data.class_count(split) for split in ("train", "val", "test", "base")] == [64, 16, 20, 0]
    assert data.image_shape == (3, 84, 84)
    assert (data.standard.n_way, data.standard.n_query, data.standard.episodes) == (5, 15, 600)


def test_what_is_here_is_looked_at_without_loading_torch_or_numpy() -> None:
    code = (
        "import sys; from pathlib import Path; from experiments.datasets import IMPORTED;"
        "assert not any(each.is_here(Path('.')) for each in IMPORTED.values());"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
