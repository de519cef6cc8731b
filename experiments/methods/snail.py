"""Temporal convolutions: the support as a sequence of images and labels, the query as its next element."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot, pad

from experiments.config import ImageRun, SnailConfig
from experiments.config.model_based import FIRST_WAYS
from experiments.data.augment import jitter
from experiments.data.episodes import Episodes
from experiments.data.images import ImageTable
from experiments.data.training import TrainingClasses, episodes_in_batch
from experiments.evaluate import backbone_embedding
from experiments.methods.base import ImageMethod, Metrics, class_of_each, classified
from experiments.models import snail
from experiments.models.precision import Forward, training_forward
from experiments.models.weights import draw_weights
from experiments.rng import generator

EPISODES_AT_ONCE = 50  # while testing: bounds the memory of the channels


def sequence(support: Tensor, labels: Tensor, order: Tensor, n_way: int) -> Tensor:
    """Return the labelled support in a given order.

    support (episodes, images, d), labels (images,) or (episodes, images), order (episodes, images), each row
    a permutation -> (episodes, images, d + n_way).
    """
    examples = support.gather(1, order[..., None].expand_as(support))
    shown = labels.expand_as(order).gather(1, order)
    return torch.cat((examples, one_hot(shown, n_way).to(support)), dim=-1)


class UnitLength(nn.Module):
    """Embeddings (batch, d) centred and scaled by BatchNorm, then brought to length sqrt(d)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(size, affine=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return the embeddings (batch, d)."""
        return normalize(self.norm(embeddings), dim=-1) * math.sqrt(embeddings.shape[-1])


class Snail(ImageMethod[SnailConfig]):
    """Encoder and sequence network are trained end to end; a new task is one pass over its support.

    Source: Mishra et al. 2018, section 3; with variant=tcml their report of 2017, without attention.
    """

    saved = ("encoder", "body", "measured_encoder", "measured_body", "optimizer")
    table: ImageTable

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        self.most_shots = method.most_shots(run.evaluation.k_shot)
        self.labels = method.most_ways(self.n_way)
        self.train_sampler = self.training_sampler(self.n_way, self.most_shots, 1)
        weights = generator(run.seed, "weights")
        conv4 = self.new_backbone(method.filters, weights)
        linear = nn.Linear(conv4.features, method.embedding_size)
        draw_weights(linear, weights)
        unit = [UnitLength(method.embedding_size)] if method.embedding == "unit" else []
        self.encoder = nn.Sequential(conv4, linear, *unit).to(device)
        self.classes = TrainingClasses(self.examples, ("train",), method.mirrored, method.jitter)
        self.forward = training_forward(self.encoder, method, device)
        longest = self.labels * self.most_shots + 1  # the support and a query
        dilations = snail.dilation_series(longest, printed=method.dilations == "printed")
        body = snail.Snail if method.variant == "snail" else snail.Tcml
        inputs = method.embedding_size + self.labels
        self.body = body(inputs, self.labels, dilations, method.dense_filters, weights).to(device)
        self.forward_body = training_forward(self.body, method, device)
        self.measured_encoder = self.averaged(self.encoder, method.averaging)
        self.measured_body = self.averaged(self.body, method.averaging)
        self.learn([*self.encoder.parameters(), *self.body.parameters()], method.lr)

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the cross-entropy of the queries of a batch of episodes, each the end of its sequence."""
        if self.config.train_images:
            return self._shared_loss(step)
        support_index, query_index, truth = self._episodes(step)
        index = torch.cat((support_index.flatten(1), query_index), dim=1)  # (episodes, images)
        source = generator(self.seed, "jitter", step)
        images = jitter(self.examples.pixels("train", index.flatten()), source, self.config.jitter)
        features = self.forward(images.to(self.device)).view(*index.shape, -1)
        examples, query = features.split([support_index[0].numel(), query_index.shape[1]], dim=1)
        order = torch.rand(examples.shape[:2], generator=generator(self.seed, "order", step)).argsort(1)
        logits = self._answers(self.body, examples, class_of_each(examples, self.n_way), query, order)
        return classified(logits.flatten(0, 1), truth.to(self.device).flatten())

    def _shared_loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the same for episodes of the images of one batch, which are embedded once.

        The softmax is over the labels of an episode's classes: no query can get another one.
        """
        method = self.config
        images = self.class_images(self.classes, method.train_n_way, method.train_images or 0, step)
        features = self.forward(images)
        drawn, names, order = self.episodes_of_batch(step)
        support = features[drawn.support.flatten(1).to(self.device)]
        labels = names.repeat_interleave(drawn.support.shape[-1], dim=1).to(self.device)
        # The classes of an episode come in random order, so any of them may be the one that is asked for.
        asked = torch.arange(1 if method.train_queries == "one" else names.shape[1])
        query = features[drawn.query[:, asked, 0].to(self.device)]
        logits = self._answers(self.forward_body, support, labels, query, order)
        used = names[:, None].expand(-1, len(asked), -1).to(self.device)
        truth = asked.expand(len(used), -1).to(self.device)
        return classified(logits.gather(-1, used).flatten(0, 1), truth.flatten())

    def episodes_of_batch(self, step: int) -> tuple[Episodes, Tensor, Tensor]:
        """Return the episodes of a step's batch, what their classes are called, and how supports are shown.

        Image indices are into the batch. Names (episodes, ways) are labels, drawn anew for each episode;
        orders (episodes, images) are permutations. All steps show about as many images: of short sequences
        there are more.
        """
        method, source = self.config, generator(self.seed, "task", step)
        few = method.label_slots is not None and bool(torch.rand((), generator=source) < 0.5)
        ways, shots = FIRST_WAYS if few else self.labels, self._shots(source)
        longest = self.labels * (self.most_shots + 1)
        count = method.episodes_per_step * longest // (ways * (shots + 1))
        sizes = method.train_n_way, method.train_images or 0, ways, shots
        drawn = episodes_in_batch(*sizes, count, source)
        names = torch.rand(count, self.labels, generator=source).argsort(1)[:, :ways]
        return drawn, names, torch.rand(count, ways * shots, generator=source).argsort(1)

    def _episodes(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return a step's image indices of support and query, and the class of each query.

        Shapes (episodes, n_way, k_shot), (episodes, queries), (episodes, queries).
        """
        count = self.config.episodes_per_step
        drawn = self.train_sampler.sample("train", range(step * count, (step + 1) * count))
        source = generator(self.seed, "task", step)
        shots = self._shots(source)
        classes = torch.rand(count, self.n_way, generator=source).argsort(1)
        asked = classes[:, :1] if self.config.train_queries == "one" else classes
        return drawn.support[..., :shots], drawn.query.squeeze(-1).gather(1, asked), asked

    def _shots(self, source: torch.Generator) -> int:
        """Return the support images of a class in a step's episodes."""
        if self.config.train_shots == "k_shot":
            return self.most_shots
        if self.config.train_shots == "1-or-5":
            return 1 if torch.rand((), generator=source) < 0.5 else self.most_shots
        return int(torch.randint(1, self.most_shots + 1, (), generator=source))

    def _answers(
        self, body: Forward, support: Tensor, labels: Tensor, query: Tensor, order: Tensor
    ) -> Tensor:
        """Return logits (episodes, queries, labels) of features, each support shown in its own order."""
        shown = sequence(support, labels, order.to(support.device), self.labels)
        return body(shown, pad(query, (0, self.labels)))  # a query has no label

    def embed(self, images: Tensor) -> Tensor:
        """Return what the sequence network sees of images (batch, *image)."""
        return backbone_embedding(self.measured_encoder, self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way); the support is shown in an order fixed by its size.

        Where there are more labels than classes, the first ones are used.
        """
        order = torch.randperm(len(labels), generator=generator("order", len(labels)))
        orders = order.expand(len(support), -1)
        parts = zip(*(each.split(EPISODES_AT_ONCE) for each in (support, query, orders)), strict=True)
        body, n_way = self.measured_body, int(labels[-1]) + 1
        with torch.no_grad():
            answers = [self._answers(body, part, labels, asked, order) for part, asked, order in parts]
        return torch.cat(answers)[..., :n_way]
