"""The memory of least recently used access worked out by hand, and the order labels come in."""

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from experiments.config import GlyphsData, ImageRun, MannConfig
from experiments.config.data import EpisodeEvaluation
from experiments.data.sequences import with_late_labels
from experiments.datasets import open_table
from experiments.methods.mann import Mann
from experiments.models.lrua import MemoryNetwork, MemoryState, address, least_used, write
from experiments.rng import generator


def small_network(heads: int = 1) -> MemoryNetwork:
    return MemoryNetwork(
        5, 3, hidden_size=4, slots=3, slot_size=2, heads=heads, decay=0.5, generator=generator("weights")
    )


def with_constant_heads(network: MemoryNetwork, key: list[float], added: list[float], gate: float) -> None:
    """Make every head ask for, and write, the same whatever it sees."""
    with torch.no_grad():
        network.head.weight.zero_()
        orders = torch.tensor([*(math.atanh(each) for each in (*key, *added)), math.log(gate / (1 - gate))])
        network.head.bias.copy_(orders.repeat(network.heads))


def test_three_slots_over_three_steps_are_read_written_and_used_as_worked_by_hand() -> None:
    """Key and content (0.6, 0), gate 1/4, usage halved at each step; weights exact, from equations 2 to 8.

    A slot that holds a multiple of (1, 0) has cosine 1 with the key, an unwritten one holds (1e-6, 1e-6) and
    has cosine 1/sqrt(2), an empty one 0.
    """
    network = small_network()
    with_constant_heads(network, [0.6, 0.0], [0.6, 0.0], 0.25)
    states = [network.start(1)]
    for _ in range(3):
        states.append(network(torch.zeros(1, 1, 5), states[-1])[1])
    blank = 1 / math.sqrt(2)

    # Step 1. Usage (1, 0, 0): slot 1 is the least used. w_w = 1/4 (1, 0, 0) + 3/4 (0, 1, 0).
    expect(states[1].memory[0, :, 0], [0.15, 0.45, 0])
    first = softmax(1, 1, blank)
    expect(states[1].read_weights[0, 0], first)
    expect(states[1].usage[0], [0.5 + first[0] + 0.25, first[1] + 0.75, first[2]])
    expect(states[1].read[0], [first[0] * 0.15 + first[1] * 0.45, 0])

    # Step 2. Slot 2 is the least used, with usage first[2].
    written = [0.25 * first[0], 0.25 * first[1], 0.25 * first[2] + 0.75]
    memory = [0.15 + 0.6 * written[0], 0.45 + 0.6 * written[1], 0.6 * written[2]]
    expect(states[2].memory[0, :, 0], memory)
    second = softmax(1, 1, 1)
    expect(states[2].read_weights[0, 0], second)
    usage = [0.5 * float(states[1].usage[0, slot]) + second[slot] + written[slot] for slot in range(3)]
    expect(states[2].usage[0], usage)

    # Step 3. Slot 0 is now the least used (0.5 * 1.113 + 1/3 + 0.091) and is wiped before it is written.
    assert usage.index(min(usage)) == 0
    expect(states[3].memory[0, :, 0], [0.6 * (0.25 / 3 + 0.75), memory[1] + 0.05, memory[2] + 0.05])


def softmax(*cosines: float) -> list[float]:
    total = sum(math.exp(each) for each in cosines)
    return [math.exp(each) / total for each in cosines]


def expect(measured: Tensor, numbers: list[float]) -> None:
    torch.testing.assert_close(measured, torch.tensor(numbers), rtol=1e-4, atol=1e-5)


def test_each_head_gets_a_slot_of_its_own_and_only_the_least_used_is_wiped() -> None:
    least = least_used(torch.tensor([[0.3, 0.1, 0.5, 0.2]]), 2)
    assert least.argmax(-1).tolist() == [[1, 3]]
    memory = torch.ones(1, 4, 2)
    expect(write(memory, 0.5 * least, torch.ones(1, 2, 2), least)[0, :, 0], [1, 0.5, 1, 1.5])


def test_reading_is_a_softmax_over_slots_of_the_cosine() -> None:
    keys, memory = (torch.randn(2, 3, 5, generator=generator(key)) for key in ("keys", "memory"))
    cosines = (normalize(keys, dim=-1)[:, :, None] * normalize(memory, dim=-1)[:, None]).sum(-1)
    torch.testing.assert_close(address(keys, memory), cosines.softmax(-1))


def test_what_is_kept_after_a_support_does_not_depend_on_how_it_is_cut() -> None:
    network = small_network(heads=2)
    inputs = torch.randn(4, 6, 5, generator=generator("inputs"))
    whole, after = network(inputs, network.start(4))
    first, state = network(inputs[:, :4], network.start(4))
    second, end = network(inputs[:, 4:], state)
    torch.testing.assert_close(torch.cat((first, second), dim=1), whole)
    for name in vars(after):
        torch.testing.assert_close(getattr(end, name), getattr(after, name))
    assert isinstance(state.repeated(3), MemoryState)
    assert state.repeated(3).memory.shape == (12, 3, 2)


def test_no_answer_depends_on_its_own_label_or_on_what_comes_later() -> None:
    network = small_network(heads=2)
    features = torch.randn(1, 4, 2, generator=generator("features"))
    labels = torch.tensor([[0, 1, 2, 0]])
    answers, _ = network(with_late_labels(features, labels, 3), network.start(1))
    for place in range(4):
        others = labels.clone()
        others[0, place] = (labels[0, place] + 1) % 3
        changed, _ = network(with_late_labels(features, others, 3), network.start(1))
        assert torch.equal(changed[:, : place + 1], answers[:, : place + 1])
        assert place == 3 or not torch.allclose(changed[:, place + 1], answers[:, place + 1])


def test_a_curriculum_grows_by_five_classes_until_it_ends() -> None:
    method = MannConfig(curriculum=100)
    assert [method.ways_at(20, step) for step in (0, 24, 25, 50, 75, 99, 100, 5000)] == [
        *(5, 5, 10, 15, 20, 20, 20, 20)
    ]
    assert method.ways_at(5, 0) == 5
    assert MannConfig().ways_at(20, 0) == 20


def small(data_dir: Path, seed: int = 0) -> Mann:
    config = ImageRun(
        experiment="glyphs",
        seed=seed,
        data=GlyphsData(alphabets=10, characters=12),
        method=MannConfig(hidden_size=8, slots=12, instances=3, episodes_per_step=2),
        evaluation=EpisodeEvaluation(n_way=4),
    )
    return Mann(config, open_table(config.data, data_dir), torch.device("cpu"))


def test_sequences_are_measured_by_presentation_and_the_same_for_every_run(glyphs_data_dir: Path) -> None:
    method, other = (small(glyphs_data_dir, seed) for seed in (0, 1))
    assert set(method.train(0, 1)) == {"train/loss", "train/accuracy", "train/first_presentation"}
    measured = method.evaluate("test", range(8))
    for turn in ("first_presentation", "second_presentation"):
        shares = measured[turn] * 4  # each of 4 classes has one first and one second image
        torch.testing.assert_close(shares, shares.round())
    other.load_state_dict(method.state_dict())
    for name, values in other.evaluate("test", range(8)).items():
        assert torch.equal(values, measured[name])
