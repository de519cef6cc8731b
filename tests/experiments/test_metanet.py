"""Meta networks: two sets of weights at once, gradients of single images, and what is not differentiated."""

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from experiments.config import GlyphsData, ImageRun, MetaNetConfig
from experiments.config.data import EpisodeEvaluation
from experiments.datasets import open_table
from experiments.methods.metanet import MetaNet, mean_of_chunks, mixed
from experiments.models.augmented import connect, convolve, gradients_per_image, key, logits, slow_weights
from experiments.models.generators import FromOne, FromSequence, WeightGenerator, shown
from experiments.rng import generator


def normal(*shape: int, name: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(name))


def weights(name: str, images: int | None = None) -> list[Tensor]:
    """Return a small network's weights, or a set of them for each image."""
    shapes = [weight.shape for weight in slow_weights(4, 3, generator("shapes"))]
    first = () if images is None else (images,)
    return [0.5 * normal(*first, *shape, name=f"{name} {shape}") for shape in shapes]


def test_a_layer_with_fast_weights_adds_two_relus_of_the_same_input_and_the_output_layer_two_logits() -> None:
    """Weights of zero but for one chain of ones, so that a bright image passes 1 through every slow layer."""
    slow, fast = ([torch.zeros_like(weight) for weight in weights("any")] for _ in range(2))
    for weight in slow[:5]:
        weight[0, 0, 1, 1] = 1  # each convolution hands channel 0 on
    slow[5][0, 0] = 1
    slow[6][1, 0] = 1
    image = torch.ones(1, 1, 28, 28)
    assert logits(image, slow).tolist() == [[0, 1, 0]]
    assert logits(image, slow, fast).tolist() == [[0, 1, 0]]
    fast[0][0, 0, 1, 1] = 2  # 1 becomes relu(1) + relu(2) = 3
    fast[1][0, 0, 1, 1] = -5  # relu(3) + relu(-15) = 3: what is negative on one path takes nothing away
    fast[6][2, 0] = -1  # but at the output 1 * 3 and -1 * 3 stand side by side
    assert logits(image, slow, fast).tolist() == [[0, 3, -3]]
    fast[5][0, 0] = -1
    assert key(image, slow, fast)[0, 0] == 0  # 3 - 3: a key is a sum without ReLU
    assert logits(image, slow, fast).tolist() == [[0, 3, -3]]


def test_weights_of_its_own_for_each_image_are_those_images_one_by_one() -> None:
    images, many = normal(3, 2, 7, 7), normal(3, 4, 2, 3, 3, name="many")
    one_by_one = [convolve(image[None], weight) for image, weight in zip(images, many, strict=True)]
    torch.testing.assert_close(convolve(images, many), torch.cat(one_by_one))
    features, maps = normal(3, 5), normal(3, 2, 5, name="maps")
    torch.testing.assert_close(connect(features, maps), torch.einsum("bod,bd->bo", maps, features))


def test_gradients_per_image_are_those_of_autograd_on_each_image_alone() -> None:
    images, labels, network = normal(3, 1, 28, 28), torch.tensor([2, 0, 1]), weights("slow")
    together = gradients_per_image(images, labels, network)
    for index in range(3):
        leaves = [weight.clone().requires_grad_() for weight in network]
        loss = cross_entropy(logits(images[[index]], leaves), labels[[index]])
        for gradient, expected in zip(together, torch.autograd.grad(loss, leaves), strict=True):
            torch.testing.assert_close(gradient[index], expected, rtol=1e-4, atol=1e-6)
    assert not any(gradient.requires_grad for gradient in together)


def test_gradients_are_shown_by_scale_and_sign() -> None:
    numbers = shown(torch.tensor([1.0, -math.exp(-3.5), math.exp(-14), 0.0]))
    expected = torch.tensor([[0.0, 1.0], [-0.5, -1.0], [-1.0, math.exp(-7)], [-1.0, 0.0]])
    torch.testing.assert_close(numbers, expected, rtol=1e-4, atol=1e-5)


def test_every_coordinate_is_made_into_a_weight_alone_and_back_into_its_place() -> None:
    gradients = [normal(2, *weight.shape, name=str(weight.shape)) for weight in weights("slow")]
    for maker in (FromOne, FromSequence):
        generated = WeightGenerator(maker, 5, generator("maker"))
        made = generated(gradients)
        alone = generated.convolutions(gradients[1][:, 3, 2, 1, 1][:, None])
        torch.testing.assert_close(made[1][..., 3, 2, 1, 1], alone.squeeze(-1))
        alone = generated.connections(gradients[6][:, 2, 1][:, None])
        torch.testing.assert_close(made[6][..., 2, 1], alone.squeeze(-1))
        first = 2 if maker is FromOne else None  # of a sequence only what its end tells
        shapes = [weight.shape if first is None else (first, *weight.shape) for weight in weights("slow")]
        assert [each.shape for each in made] == shapes


def test_chunks_are_means_of_consecutive_images_and_a_mixture_is_weighted_by_attention() -> None:
    gradients = torch.arange(5.0)[:, None]
    assert mean_of_chunks([gradients], 2)[0].tolist() == [[1.0], [3.5]]
    fast = mixed(torch.tensor([[0.25, 0.75]]), [torch.tensor([[[1.0, 2.0]], [[5.0, 6.0]]])])
    assert fast[0].tolist() == [[[4.0, 5.0]]]


def small(data_dir: Path, **options: bool) -> MetaNet:
    config = ImageRun(
        experiment="glyphs",
        data=GlyphsData(alphabets=10, characters=12),
        method=MetaNetConfig(filters=4, hidden_size=5, train_n_query=1, **options),
        evaluation=EpisodeEvaluation(n_way=3),
    )
    return MetaNet(config, open_table(config.data, data_dir), torch.device("cpu"))


def answers(method: MetaNet, support: Tensor, query: Tensor) -> Tensor:
    images = torch.arange(len(support))  # one of each class
    logits: Tensor = method.parts(support, images, images, query)
    return logits


def test_gradients_are_inputs_so_what_only_they_depend_on_is_never_trained(glyphs_data_dir: Path) -> None:
    """u's classifier serves only to make gradients; through them the loss would reach it."""
    method = small(glyphs_data_dir)
    support, query = normal(3, 1, 28, 28).abs(), normal(4, 1, 28, 28, name="q").abs()
    answers(method, support, query).square().sum().backward()
    reached = {name: weight.grad is not None for name, weight in method.parts.named_parameters()}
    assert [name for name, was in reached.items() if not was] == ["embedding.6"]


def test_a_query_is_answered_alike_alone_and_among_others(glyphs_data_dir: Path) -> None:
    method = small(glyphs_data_dir)
    support, query = normal(3, 1, 28, 28).abs(), normal(4, 1, 28, 28, name="q").abs()
    together = answers(method, support, query)
    alone = torch.cat([answers(method, support, query[[each]]) for each in range(4)])
    torch.testing.assert_close(together, alone)
    assert not torch.allclose(together[0], together[1])


def test_fast_weights_of_the_task_change_the_answers_and_can_be_left_out(glyphs_data_dir: Path) -> None:
    support, query = normal(3, 1, 28, 28).abs(), normal(4, 1, 28, 28, name="q").abs()
    both = [answers(small(glyphs_data_dir, task_weights=on), support, query) for on in (True, False)]
    assert not torch.equal(*both)


def test_full_network_has_as_many_weights_to_make_as_the_source() -> None:
    assert sum(weight.numel() for weight in slow_weights(64, 20, generator("weights"))) == 153_408


def test_with_images_of_a_class_a_task_asks_about_all_that_are_not_its_support(glyphs_data_dir: Path) -> None:
    method = MetaNetConfig(filters=4, hidden_size=4, train_images=5)
    run = ImageRun(
        experiment="glyphs",
        data=GlyphsData(alphabets=10, characters=12),
        method=method,
        evaluation=EpisodeEvaluation(n_way=3, k_shot=2),
    )
    net = MetaNet(run, open_table(run.data, glyphs_data_dir), torch.device("cpu"))
    seen: list[tuple[int, ...]] = []
    net.parts.register_forward_pre_hook(lambda module, inputs: seen.append((len(inputs[0]), len(inputs[3]))))
    loss, metrics = net.loss(0)
    assert seen == [(6, 9)]  # three classes of two images, and of three
    torch.testing.assert_close(loss, 9 * metrics["train/loss"])
