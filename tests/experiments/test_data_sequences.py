"""Episodes as sequences: what comes before what, which label comes with it, and what is left to chance."""

import torch

from experiments.data.sequences import in_rounds, presentations, renamed_and_shuffled, with_late_labels
from experiments.rng import generator


def test_in_rounds_every_class_comes_once_before_any_comes_again() -> None:
    labels = torch.tensor([0, 0, 1, 2, 2, 2])
    orders = in_rounds(labels, 40, generator("order"))
    for order in orders:
        shown = labels[order].tolist()
        assert sorted(order.tolist()) == list(range(6))
        assert [sorted(part) for part in (shown[:3], shown[3:5], shown[5:])] == [[0, 1, 2], [0, 2], [2]]
    assert len({tuple(labels[order].tolist()) for order in orders}) > 8  # of the 12 that there are


def test_images_of_a_class_share_a_label_that_another_episode_gives_to_another_class() -> None:
    index = torch.arange(12).view(1, 3, 4).expand(30, -1, -1)  # image // 4 is its class
    shown, labels = renamed_and_shuffled(index, 5, [generator(number) for number in range(30)])
    names = set()
    for images, given in zip(shown, labels, strict=True):
        assert sorted(images.tolist()) == list(range(12))
        by_class = [given[images // 4 == each].unique().tolist() for each in range(3)]
        assert [len(each) for each in by_class] == [1, 1, 1]
        names.add(tuple(each[0] for each in by_class))
    assert {len(set(each)) for each in names} == {3}
    assert len(names) > 20  # of the 60 that there are
    assert len({tuple(images.tolist()) for images in shown}) == 30


def test_a_label_arrives_one_element_late_and_the_first_element_has_none() -> None:
    labels = torch.tensor([[2, 0, 2, 1]])
    inputs = with_late_labels(torch.zeros(1, 4, 1), labels, 3)
    assert inputs[0, :, 1:].tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1]]
    assert presentations(labels).tolist() == [[0, 0, 1, 0]]
