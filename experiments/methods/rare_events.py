"""Learning to remember rare events: a query is what its nearest key in a memory says it is."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from experiments.config import ImageRun, RareEventsConfig
from experiments.data.augment import jitter
from experiments.data.episodes import Episodes
from experiments.data.images import ImageTable
from experiments.data.sequences import in_rounds
from experiments.data.training import TrainingClasses
from experiments.descent import descend
from experiments.evaluate import SplitFeatures, backbone_embedding, episode_accuracy
from experiments.methods.base import (
    ImageMethod,
    Metrics,
    class_of_each,
    each_in_turn,
    share_right,
    truth_in_turn,
)
from experiments.models.kaiser import KaiserEncoder
from experiments.models.key_memory import EMPTY, KeyMemory, margin_loss
from experiments.models.precision import training_forward
from experiments.models.weights import draw_weights
from experiments.rng import generator

IMAGES_AT_ONCE = 20_000  # while testing: bounds the memory of the features


class RareEvents(ImageMethod[RareEventsConfig]):
    """The encoder is trained so that keys of one class lie together; a new task is written, not learned.

    Source: Kaiser et al. 2017, section 2. No memory outlives a training step.
    """

    saved = ("encoder", "key_map", "average", "optimizer")
    table: ImageTable

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        weights = generator(run.seed, "weights")
        self.encoder = self._new_encoder(weights).to(device)
        self.train_sampler = self.training_sampler(method.train_n_way, method.train_k_shot, 1)
        self.forward = training_forward(self.encoder, method, device)
        self.key_map = nn.Linear(method.key_size, method.key_size, bias=False).to(device)
        nn.init.normal_(self.key_map.weight, std=0.01, generator=weights)
        self.network = nn.Sequential(self.encoder, self.key_map)
        self.measured = self.averaged(self.network, method.averaging)
        self.average = self.measured if method.averaging else None
        self.learn(
            self.network.parameters(),
            method.lr,
            clip=method.clip,
            decay=method.weight_decay,
            eps=method.epsilon,
        )
        self.classes = TrainingClasses(self.examples, ("train",), method.mirrored, method.jitter)

    def _new_encoder(self, source: torch.Generator) -> nn.Module:
        """Return the network from images (batch, 1, 28, 28) to features (batch, key_size)."""
        method = self.config
        if method.encoder == "kaiser":
            return KaiserEncoder(method.filters, method.key_size, source)
        conv4 = self.new_backbone(method.filters, source)
        # Features after a ReLU all point much the same way, where cosines have no gradient: so centre them.
        centre = nn.BatchNorm1d(conv4.features, affine=False)
        network = nn.Sequential(conv4, centre, nn.Linear(conv4.features, method.key_size))
        draw_weights(network[2], source)
        return network

    # ------------------------------------------------------------ training

    def step(self, step: int) -> Metrics:
        """Learn from a batch whose images are each other's memory, or meet episodes as the source does."""
        return super().step(step) if self.config.train_images else self._meet_episodes(step)

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the margin loss of a batch: each image in turn is its class's key, all others ask for it.

        The rival of a query is the nearest key of another class. Keys carry no gradient, as in a memory.
        """
        method = self.config
        assert method.train_images is not None
        images = self.class_images(self.classes, method.train_n_way, method.train_images, step)
        features = self._dropped(self.forward(images), generator(self.seed, "dropped", step))
        every = normalize(self.key_map(features), dim=-1).unflatten(0, (-1, method.train_images))
        cosines = torch.cat([query @ keys.detach().T for keys, query in each_in_turn(every)])
        truth = truth_in_turn(every)
        right = cosines.gather(1, truth[:, None])[:, 0]
        rival = cosines.scatter(1, truth[:, None], -torch.inf).amax(1)
        loss = relu(rival - right + method.margin).mean()
        return loss, {"train/loss": loss.detach(), "train/accuracy": share_right(cosines, truth)}

    def _dropped(self, features: Tensor, source: torch.Generator) -> Tensor:
        """Return features (batch, d) of which a share is dropped at random."""
        dropped = torch.rand(features.shape, generator=source) >= self.config.keep
        return features.masked_fill(dropped.to(self.device), 0) / self.config.keep

    def _meet_episodes(self, step: int) -> Metrics:
        """Meet one batch of episodes, with an optimiser step after each of their images.

        accuracy is that of the last round.
        """
        method = self.config
        source = generator(self.seed, "step", step)
        images, labels = self._episodes(step, source)  # (images of an episode, episodes, ...)
        memory = KeyMemory.empty(1, method.slots, method.key_size, self.device)
        losses, right = [], []
        for image, label in zip(images, labels, strict=True):
            features = self._dropped(self.forward(image), source)
            query = normalize(self.key_map(features), dim=-1)[None]
            found = memory.nearest(query, method.neighbours)
            loss = margin_loss(memory, query, label[None], found, method.margin)
            nearest = found[1][..., 0]
            right.append(memory.labels.gather(1, nearest)[0] == label)
            noise = torch.rand(1, method.slots, generator=source).to(self.device) * 2 - 1
            descend(loss, self.learned, self.optimizer, lr=self.lr, clip=self.clip)
            memory.write(query, label[None], nearest, noise)
            losses.append(loss.detach())
        by_round = torch.stack(right).double().view(-1, method.train_n_way * len(labels[0])).mean(1)
        return {
            "train/loss": torch.stack(losses).mean(),
            "train/accuracy": by_round[-1],
            "train/first_presentation": by_round[0],
        }

    def _episodes(self, step: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return images (length, episodes, 1, 28, 28) and labels (length, episodes) of a step.

        Episodes side by side have labels of their own.
        """
        count, ways = self.config.episodes_per_step, self.config.train_n_way
        drawn = self.train_sampler.sample("train", range(step * count, (step + 1) * count))
        index = torch.cat((drawn.support, drawn.query), dim=-1).flatten(1)  # (episodes, length)
        classes = class_of_each(index[..., None], ways)
        order = in_rounds(classes, count, source)
        index, labels = index.gather(1, order).T, classes[order] + ways * torch.arange(count)[:, None]
        images = jitter(self.examples.pixels("train", index.flatten()), source, self.config.jitter)
        return images.to(self.device).unflatten(0, index.shape), labels.T.to(self.device)

    # ------------------------------------------------------------ testing

    def evaluate(self, split: str, episodes: range) -> Metrics:
        """Return per episode the accuracy with the memory as the support left it, and online.

        online: the first query of each class in turn, written to the memory with its label once answered,
        as in the source; measured where a test has one look.
        """
        if self.run.evaluation.looks.count > 1:
            return super().evaluate(split, episodes)
        features = SplitFeatures(self.table, split, self.embed)
        size = max(1, IMAGES_AT_ONCE // (self.sampler.n_way * (self.sampler.k_shot + self.sampler.n_query)))
        parts = [episodes[start : start + size] for start in range(0, len(episodes), size)]
        rows = [self._measured(features, self.sampler.sample(split, part)) for part in parts]
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    def _measured(self, features: SplitFeatures, episodes: Episodes) -> Metrics:
        support, query = features(episodes.support), features(episodes.query)
        examples = support.flatten(1, 2)
        logits = self.logits(examples, class_of_each(examples, support.shape[1]), query.flatten(1, 2))
        return {
            "accuracy": episode_accuracy(logits.unflatten(1, query.shape[1:3])),
            "online": self._online(support, query[:, :, 0]),
        }

    def _online(self, support: Tensor, query: Tensor) -> Tensor:
        """Return the share (episodes,) of query keys (episodes, n_way, d) answered right, one by one."""
        n_way = support.shape[1]
        examples = support.flatten(1, 2)
        labels = class_of_each(examples, n_way)
        memory = self._written(examples, labels, spare=n_way)
        order = torch.randperm(n_way, generator=generator("online", n_way))
        right = []
        for label in order.tolist():
            asked, truth = query[:, [label]], labels.new_full((len(query), 1), label)
            nearest = memory.nearest(asked, 1)[1][..., 0]
            right.append(memory.labels.gather(1, nearest) == truth)
            memory.write(asked, truth, nearest, torch.zeros_like(memory.ages))
        return torch.cat(right, dim=1).double().mean(1).cpu()

    def _written(self, support: Tensor, labels: Tensor, spare: int = 0) -> KeyMemory:
        """Return memories, one for each row of support (episodes, images, d), that it was written to."""
        memory = KeyMemory.empty(len(support), len(labels) + spare, support.shape[-1], support.device)
        order = in_rounds(labels.cpu(), 1, generator("order", len(labels)))[0]
        for each in order.tolist():
            shown, truth = support[:, [each]], labels[each].expand(len(support), 1)
            nearest = memory.nearest(shown, 1)[1][..., 0]
            memory.write(shown, truth, nearest, torch.zeros_like(memory.ages))
        return memory

    def embed(self, images: Tensor) -> Tensor:
        """Return the keys (batch, key_size) of images (batch, 1, 28, 28)."""
        return normalize(backbone_embedding(self.measured, self.device)(images), dim=-1)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way): the largest cosine with a key of each class."""
        memory = self._written(support, labels)
        cosines = (query @ memory.keys.mT).masked_fill((memory.labels == EMPTY)[:, None], -torch.inf)
        least = cosines.new_full((*query.shape[:2], int(labels[-1]) + 1), -torch.inf)
        return least.scatter_reduce(
            -1, memory.labels.clamp_min(0)[:, None].expand_as(cosines), cosines, "amax"
        )
