"""What all methods on images share: data, episodes, the training loop, evaluation and state."""

import math
from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any, ClassVar, Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from experiments.config import ImageRun, Jitter
from experiments.config.methods import Startable
from experiments.config.training import Scheduled, Training
from experiments.data.batches import EpisodeImages
from experiments.data.episodes import EpisodeSampler
from experiments.data.table import Table
from experiments.data.training import TrainingClasses
from experiments.datasets import evaluation_sampler, open_examples
from experiments.descent import descend
from experiments.evaluate import EmbeddedTable, accuracy_per_episode, backbone_embedding
from experiments.features.adapter import Backbone, Pretrained, build_backbone
from experiments.method import Method, Resources, pretrained_state
from experiments.models.average import follow
from experiments.rng import generator

Metrics = dict[str, Tensor]
Options = TypeVar("Options", bound=Training)
Network = TypeVar("Network", bound=nn.Module)


def class_of_each(images: Tensor, n_way: int) -> Tensor:
    """Return labels (batch,) of images (..., batch, d) that lie class by class, as many of each."""
    return torch.arange(n_way, device=images.device).repeat_interleave(images.shape[-2] // n_way)


def classified(logits: Tensor, truth: Tensor) -> tuple[Tensor, Metrics]:
    """Return the cross-entropy of logits (decisions, choices), and what a step reports of it.

    truth (decisions,) holds the right choices.
    """
    loss = cross_entropy(logits, truth)
    return loss, {"train/loss": loss.detach(), "train/accuracy": share_right(logits, truth)}


def share_right(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the share () of decisions whose largest logit (..., decisions, choices) is the right choice."""
    return (logits.detach().argmax(-1) == truth).double().mean()


def each_in_turn(features: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield every image of the classes of a batch as the support, with all others as its queries.

    features (n_way, images, d) -> support (n_way, d) and queries (n_way * (images - 1), d), class by class.
    """
    for chosen in range(features.shape[1]):
        others = torch.cat((features[:, :chosen], features[:, chosen + 1 :]), dim=1)
        yield features[:, chosen], others.flatten(0, 1)


def truth_in_turn(features: Tensor) -> Tensor:
    """Return the class of each query of `each_in_turn`, all supports' queries one after another."""
    n_way, images, _ = features.shape
    return torch.arange(n_way, device=features.device).repeat_interleave(images - 1).repeat(images)


class Scale(nn.Module):
    """A positive factor on logits, which is learned."""

    def __init__(self, first: float) -> None:
        super().__init__()
        self.logarithm = nn.Parameter(torch.tensor(math.log(first)))

    def forward(self) -> Tensor:
        """Return the factor ()."""
        return self.logarithm.exp()


class ImageMethod(Generic[Options]):
    """A row of Table 2 on images. Each adds its networks, the loss of a training step, and its logits.

    `saved` names the attributes that training changes, networks and optimisers: they are the method's state.
    """

    saved: ClassVar[tuple[str, ...]] = ()

    def __init__(self, run: ImageRun, table: Table, device: torch.device) -> None:
        self.run = run
        method = run.method.as_learned() if isinstance(run.method, Startable) else run.method
        self.config = cast(Options, method)
        self.seed = run.seed
        self.table = table
        self.device = device
        self.pretrained: Pretrained | None = None  # where it starts from a pre-training
        self.examples = table  # what training sees: images, or with a frozen backbone their features
        self.n_way = run.evaluation.n_way
        self.sampler = evaluation_sampler(table, run.evaluation)
        self._averages: list[tuple[nn.Module, nn.Module, float]] = []

    @classmethod
    def build(cls, run: ImageRun, resources: Resources) -> Method:
        """Return the method of a run, untrained, or as its pre-training left it.

        Raises DataError where the data are missing, CheckpointError where the pre-training left nothing.
        """
        method = cls(run, open_examples(run.data, resources.data_dir), resources.device)
        pretrained = pretrained_state(run, resources)
        if pretrained is not None:
            method.start_from(pretrained)
        return method

    def start_from(self, pretrained: dict[str, Any]) -> None:
        """Take over the backbone of a pre-training; what lies above it starts as it does from scratch."""
        if self.pretrained is None:
            raise TypeError(f"{type(self).__name__} starts from no pre-training")
        self.pretrained.backbone.load_state_dict(pretrained["backbone"])
        for average, network, _ in self._averages:
            average.load_state_dict(network.state_dict())

    def new_backbone(self, filters: int, source: torch.Generator) -> Backbone:
        """Return the network of images as it begins: with weights drawn from `source`, or a pre-training's.

        Where that is frozen, training sees the features it makes of the images, each embedded once.
        """
        method = self.config
        stage = method.starts_from if isinstance(method, Startable) else None
        if not isinstance(method, Startable) or stage is None:
            return build_backbone(self.table, filters, source)
        conv4 = build_backbone(self.table, stage.filters, source)
        self.pretrained = Pretrained(conv4, frozen=method.frozen).to(self.device)
        if method.frozen:
            embed = backbone_embedding(self.pretrained, self.device)
            self.examples = EmbeddedTable(self.table, self.pretrained.features, embed)
        return self.pretrained

    # ------------------------------------------------------------ training

    def train(self, start: int, count: int) -> Metrics:
        """Take training steps start .. start + count - 1; return their metrics, (count,) each."""
        rows = [self.step(step) for step in range(start, start + count)]
        return {name: torch.stack([row[name] for row in rows]) for name in (rows[0] if rows else ())}

    def step(self, step: int) -> Metrics:
        """Take one optimiser step down the loss of a batch; return its metrics, () each."""
        loss, metrics = self.loss(step)
        descend(loss, self.learned, self.optimizer, lr=self.rate(step), clip=self.clip)
        for average, network, kept in self._averages:
            follow(average, network, kept, step)
        return metrics

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return what a step minimises, and its metrics."""
        raise TypeError(f"{type(self).__name__} takes no training steps")

    def learn(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        *,
        clip: float | None = None,
        decay: float = 0.0,
        **options: Any,
    ) -> None:
        """Have Adam train these parameters, the norm of their whole gradient cut to `clip`.

        decay: of weights, apart from the gradient, as in AdamW. Further options are Adam's.
        """
        self.learned = [each for each in parameters if each.requires_grad]
        self.lr, self.clip = lr, math.inf if clip is None else clip
        self.optimizer = (
            torch.optim.AdamW(self.learned, lr=lr, weight_decay=decay, **options)
            if decay
            else torch.optim.Adam(self.learned, lr=lr, **options)
        )

    def averaged(self, network: Network, kept: float) -> Network:
        """Return what tests use of a network in training: an average of its weights, itself where kept is 0.

        kept: of the averaged weights after each step.
        """
        if not kept:
            return network
        average = deepcopy(network).requires_grad_(False)
        self._averages.append((average, network, kept))
        return average

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.config.rate(step) if isinstance(self.config, Scheduled) else self.lr

    def class_images(self, classes: TrainingClasses, n_way: int, images: int, step: int) -> Tensor:
        """Return the images (n_way * images, *image) of a step's batch, class by class, changed at random."""
        source = generator(self.seed, "batch", step)
        return classes.images(*classes.draw(n_way, images, source), source).to(self.device)

    def training_episodes(
        self, jitter: Jitter, n_way: int, k_shot: int | None, n_query: int, each: int = 1
    ) -> EpisodeImages:
        """Return the images of the run's own training episodes, `each` episodes for a step.

        k_shot None stands for the shots of the evaluation.
        """
        return EpisodeImages(self.training_sampler(n_way, k_shot, n_query), "train", jitter, self.seed, each)

    def training_sampler(self, n_way: int, k_shot: int | None, n_query: int) -> EpisodeSampler:
        """Return the sampler of the same episodes."""
        shots = k_shot or self.run.evaluation.k_shot
        return EpisodeSampler(
            self.examples, n_way=n_way, k_shot=shots, n_query=n_query, key=("train", self.seed)
        )

    # ------------------------------------------------------------ testing

    def evaluate(self, split: str, episodes: range) -> Metrics:
        """Return the accuracy of each numbered episode (episodes,); leaves the method unchanged."""
        looks = self.run.evaluation.looks
        return {"accuracy": accuracy_per_episode(self, self.table, self.sampler, split, episodes, looks)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the pixels (batch, d) of images (batch, *image): features for want of a method's own."""
        return images.flatten(1).to(self.device)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) after the method has met each task's support.

        support (episodes, images, d), query (episodes, queries, d) as embed returns them; labels (images,)
        is sorted and holds every class 0 .. n_way - 1.
        """
        raise TypeError(f"{type(self).__name__} does not classify images")

    # ------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each part."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of each part, so that training goes on as if it had never stopped."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        """Return the parts that are there, each once: without averages two of them are the same."""
        parts: dict[str, Any] = {}
        for name in self.saved:
            part = getattr(self, name)
            if part is not None and all(part is not other for other in parts.values()):
                parts[name] = part
        return parts
