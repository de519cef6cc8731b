"""Memory-augmented network: a task is a sequence of images, each with the label of the one before."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, one_hot

from experiments.config import ImageRun, MannConfig
from experiments.data.augment import jitter
from experiments.data.images import ImageTable
from experiments.data.sequences import in_rounds, presentations, renamed_and_shuffled, with_late_labels
from experiments.data.training import TrainingClasses, episodes_in_batch
from experiments.evaluate import SplitFeatures, backbone_embedding
from experiments.features.adapter import Backbone
from experiments.methods.base import ImageMethod, Metrics, classified
from experiments.models.lrua import MemoryNetwork
from experiments.models.precision import training_forward
from experiments.rng import Key, generator

PIXELS = 20  # side of the images the source shows
EPISODES_AT_ONCE = 20  # while testing: each query has a copy of the memory
SEQUENCES_AT_ONCE = 200


class SmallPixels(nn.Module):
    """Images (batch, 1, 28, 28) as 400 pixels; nothing is learned."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the images (batch, 400), made smaller without aliasing."""
        small = interpolate(images, size=(PIXELS, PIXELS), mode="bilinear", antialias=True)
        return small.flatten(1)


def centred(backbone: Backbone) -> nn.Module:
    """Return a backbone with its features at mean 0, variance 1 each: after ReLU all images look alike."""
    return nn.Sequential(backbone, nn.BatchNorm1d(backbone.features, affine=False))


class Mann(ImageMethod[MannConfig]):
    """Encoder and memory are trained end to end; the support of a new task is shown to a blank memory.

    Source: Santoro et al. 2016.
    """

    saved = ("encoder", "network", "measured_encoder", "measured_network", "optimizer")
    table: ImageTable

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        super().__init__(run, table, device)
        method, n_way = self.config, self.n_way
        shots, queries = 1, method.instances - 1
        if method.training == "episodes":
            shots, queries = run.evaluation.k_shot, method.train_n_query
        self.train_sampler = self.training_sampler(n_way, shots, queries)
        self.sequence_key: tuple[Key, ...] = ("presentations", run.evaluation.seed)
        weights = generator(run.seed, "weights")
        pixels = method.encoder == "pixels"
        backbone = None if pixels else self.new_backbone(method.filters, weights)
        self.encoder = (SmallPixels() if backbone is None else centred(backbone)).to(device)
        self.classes = TrainingClasses(self.examples, ("train",), method.mirrored, method.jitter)
        self.forward = training_forward(self.encoder, method, device)
        self.network = MemoryNetwork(
            n_way + (PIXELS**2 if backbone is None else backbone.features),
            n_way,
            hidden_size=method.hidden_size,
            slots=method.slots,
            slot_size=method.slot_size,
            heads=method.heads,
            decay=method.usage_decay,
            generator=weights,
        ).to(device)
        self.measured_encoder = self.averaged(self.encoder, method.averaging)
        self.measured_network = self.averaged(self.network, method.averaging)
        self.learn([*self.encoder.parameters(), *self.network.parameters()], method.lr, clip=method.clip)

    # ------------------------------------------------------------ training

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return what a batch of tasks costs; accuracy is that of queries or of second presentations."""
        return self._sequence_loss(step) if self.config.training == "sequences" else self._episode_loss(step)

    def _sequence_loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the summed cross-entropy of shuffled sequences, as its source minimises it."""
        support, query, source = self._drawn(step)
        index = torch.cat((support, query), dim=-1)
        index, labels = renamed_and_shuffled(index, self.n_way, [source] * len(index))
        features = self._features(index, step)
        labels = labels.to(self.device)
        logits = self._answers(self.network, features, labels)
        loss = cross_entropy(logits.flatten(0, 1), labels.flatten())
        right, before = logits.detach().argmax(-1) == labels, presentations(labels)
        return loss * index.shape[1], {
            "train/loss": loss.detach(),
            "train/accuracy": right[before == 1].double().mean(),
            "train/first_presentation": right[before == 0].double().mean(),
        }

    def _episode_loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the cross-entropy of queries alone, met as in the test."""
        support, query, source = self._drawn(step)
        count, ways, shots = support.shape
        features = self._features(torch.cat((support.flatten(1), query.flatten(1)), dim=1), step)
        names = torch.rand(count, self.n_way, generator=source).argsort(1)[:, :ways]  # of the classes
        classes = torch.arange(ways).repeat_interleave(shots)
        order = in_rounds(classes, count, source)
        labels = names.gather(1, classes[order]).to(self.device)
        examples, questions = features.split([ways * shots, query[0].numel()], dim=1)
        shown = examples.gather(1, order.to(self.device)[..., None].expand_as(examples))
        logits = self._asked(self.network, shown, labels, questions)
        truth = names.repeat_interleave(query.shape[2], dim=1).to(self.device)
        return classified(logits.flatten(0, 1), truth.flatten())

    def _drawn(self, step: int) -> tuple[Tensor, Tensor, torch.Generator]:
        """Return image indices (episodes, ways, images) of support and query, and a random source.

        Indices are into the training images, or with train_images into the step's batch.
        """
        method = self.config
        if method.train_images:
            source = generator(self.seed, "task", step)
            ways = method.ways_at(self.n_way, step)
            shots, queries = self.train_sampler.sizes
            sizes = method.train_n_way, method.train_images, ways, shots
            drawn = episodes_in_batch(*sizes, method.episodes_per_step, source)
            return drawn.support, drawn.query[..., :queries], source
        numbers = range(step * method.episodes_per_step, (step + 1) * method.episodes_per_step)
        drawn = self.train_sampler.sample("train", numbers)
        ways = method.ways_at(self.n_way, step)
        return drawn.support[:, :ways], drawn.query[:, :ways], generator(self.seed, "task", step)

    def _features(self, index: Tensor, step: int) -> Tensor:
        """Return what the network sees of training images, or of a step's batch, (episodes, images)."""
        method = self.config
        if method.train_images:
            images = self.class_images(self.classes, method.train_n_way, method.train_images, step)
            return self.forward(images)[index.to(self.device)]
        source = generator(self.seed, "jitter", step)
        images = jitter(self.examples.pixels("train", index.flatten()), source, self.config.jitter)
        return self.forward(images.to(self.device)).view(*index.shape, -1)

    def _answers(self, network: MemoryNetwork, features: Tensor, labels: Tensor) -> Tensor:
        """Return logits (batch, length, n_way) of the elements of whole sequences."""
        inputs = with_late_labels(features, labels, self.n_way)
        logits: Tensor = network(inputs, network.start(len(inputs)))[0]
        return logits

    # ------------------------------------------------------------ testing

    def evaluate(self, split: str, episodes: range) -> Metrics:
        """Return accuracy per numbered episode; where trained on sequences, by presentation too.

        accuracy: of each query alone, after the support. first_presentation and second_presentation: the
        source's protocol, on sequences like those of training.
        """
        measured = super().evaluate(split, episodes)
        if self.config.training == "sequences":
            first, second = self._by_presentation(split, episodes).unbind(1)
            measured |= {"first_presentation": first, "second_presentation": second}
        return measured

    def embed(self, images: Tensor) -> Tensor:
        """Return what the network sees of images (batch, 1, 28, 28)."""
        return backbone_embedding(self.measured_encoder, self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way): each query alone meets the memory the support left.

        The support is shown in rounds, in an order fixed by its size.
        """
        order = in_rounds(labels.cpu(), 1, generator("order", len(labels)))[0].to(labels.device)
        parts = zip(support[:, order].split(EPISODES_AT_ONCE), query.split(EPISODES_AT_ONCE), strict=True)
        with torch.no_grad():
            return torch.cat(
                [
                    self._asked(self.measured_network, shown, labels[order].expand(len(shown), -1), asked)
                    for shown, asked in parts
                ]
            )

    def _asked(self, network: MemoryNetwork, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) after a support with these labels (episodes, images)."""
        inputs = with_late_labels(support, labels, self.n_way)
        _, state = network(inputs, network.start(len(inputs)))
        last = one_hot(labels[:, -1:], self.n_way).to(query).expand(-1, query.shape[1], -1)
        asked = torch.cat((query, last), dim=-1).flatten(0, 1)[:, None]  # sequences of one element
        logits, _ = network(asked, state.repeated(query.shape[1]))
        answers: Tensor = logits.view(*query.shape[:2], self.n_way)
        return answers

    def _by_presentation(self, split: str, episodes: range) -> Tensor:
        """Return the accuracy (episodes, 2) of the first and of the second image of each class."""
        sampler = replace(self.train_sampler, key=self.sequence_key)
        features = SplitFeatures(self.table, split, self.embed)
        rows = []
        for start in range(0, len(episodes), SEQUENCES_AT_ONCE):
            part = episodes[start : start + SEQUENCES_AT_ONCE]
            drawn = sampler.sample(split, part)
            sources = (generator(*self.sequence_key, "order", split, number) for number in part)
            index = torch.cat((drawn.support, drawn.query), dim=-1)
            index, labels = renamed_and_shuffled(index, self.n_way, sources)
            with torch.no_grad():
                logits = self._answers(self.measured_network, features(index), labels.to(self.device))
            right, before = logits.argmax(-1).cpu() == labels, presentations(labels)
            rows.append(torch.stack([(right & (before == turn)).sum(1) for turn in (0, 1)], dim=1))
        return torch.cat(rows).double() / self.n_way
