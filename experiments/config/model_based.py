"""Options of the methods whose network itself takes in a task: as a sequence, into a memory, as weights.

Not here: methods that compare features or take gradient steps (the files beside this one).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from experiments.config.base import AllBut, Need
from experiments.config.methods import STARTED_BATCHES, Jitter, Startable
from experiments.config.training import SharedBatches, Training

FIRST_WAYS = 5
"""The classes of the smallest tasks that are trained on: of MANN's first ones, and with label slots."""


class SameWays(Training):
    """What methods share whose output layer has one unit per class: they train on as many as are tested."""

    splits: ClassVar[tuple[str, ...]] = ("train",)

    def classes_per_episode(self, n_way: int) -> dict[str, int]:
        """Return the evaluation's number of classes."""
        return {"n_way": n_way}

    def most_ways(self, n_way: int) -> int | None:
        """Return the evaluation's number of classes."""
        return n_way


class EpisodesOfBatch(Startable, SameWays, SharedBatches):
    """What methods share that can form a step's episodes from the images of one batch, embedded once."""

    later: ClassVar[Mapping[str, Any]] = {**SharedBatches.later, **Startable.later, "train_n_way": 30}
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **STARTED_BATCHES,
        "train_n_way": ({"train_images": AllBut(None)},),
    }

    train_n_way: int = Field(30, ge=2)  # with train_images: classes of a batch

    def classes_per_episode(self, n_way: int) -> dict[str, int]:
        """Return the classes of a batch, or the evaluation's."""
        return {"train_n_way": self.train_n_way} if self.train_images else {"n_way": n_way}

    def check_batch(self, n_way: int, images: int) -> None:
        """Raise ValueError where a batch has too few classes, or images of each, for an episode."""
        asked = {"train_n_way": (self.train_n_way, n_way), "train_images": (self.train_images, images)}
        for name, (there, needed) in asked.items():
            if self.train_images and there is not None and there < needed:
                raise ValueError(f"{name} {there} is too few for an episode: use {needed} or more")


class SnailConfig(EpisodesOfBatch):
    """Temporal convolutions over the task as a sequence (Mishra et al. 2018); tcml: without attention."""

    later: ClassVar[Mapping[str, Any]] = {
        **{name: value for name, value in EpisodesOfBatch.later.items() if name != "schedule"},
        "label_slots": None,
        "embedding": "linear",
    }
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **EpisodesOfBatch.needs,
        "label_slots": ({"train_images": AllBut(None)},),
    }

    name: Literal["snail"] = "snail"
    steps: int = Field(1_000_000, ge=1, le=100_000_000)
    log_every: int = Field(20, ge=1)
    validate_every: int = Field(2000, ge=0)
    variant: Literal["snail", "tcml"] = "snail"
    dilations: Literal["complete", "printed"] = "complete"  # 1, 2, 4, ... or as in the paper 2, 4, 8, ...
    filters: int = Field(64, ge=1, le=1024)  # of the encoder
    embedding_size: int = Field(64, ge=1, le=4096)
    embedding: Literal["linear", "unit"] = "linear"  # unit: centred by BatchNorm, of length sqrt(size)
    dense_filters: int = Field(128, ge=1, le=4096)  # of each dense block
    # Drawn for each step from 1 to 5, or 1 or 5, or as many as are tested.
    train_shots: Literal["1-5", "1-or-5", "k_shot"] = "1-5"
    train_queries: Literal["one", "each-class"] = "one"  # of an episode
    # Labels that a model answers with. A task of fewer classes uses some of them, drawn at random, and half
    # of the steps have tasks of 5 classes: so one model serves all ways. None: one label for each class.
    label_slots: int | None = Field(None, ge=FIRST_WAYS)
    episodes_per_step: int = Field(32, ge=1, le=4096)
    lr: float = Field(1e-4, gt=0)
    jitter: Jitter = Jitter()

    def most_ways(self, n_way: int) -> int:
        """Return the number of labels."""
        return self.label_slots or n_way if self.train_images else n_way

    def most_shots(self, k_shot: int) -> int:
        """Return the largest number of support images a class has in training."""
        return k_shot if self.train_shots == "k_shot" else 5

    def images_per_class(self, k_shot: int) -> dict[str, int]:
        """Return the images of one class in a training episode."""
        return self.images_drawn() or {"k_shot": self.most_shots(k_shot), "1 query": 1}

    def images_per_step(self, n_way: int, k_shot: int) -> float:
        """Return the images of a batch or of a step's episodes; shots that are drawn are 3 on average."""
        if self.train_images:
            return super().images_per_step(n_way, k_shot)
        shots = k_shot if self.train_shots == "k_shot" else 3
        queries = 1 if self.train_queries == "one" else n_way
        return self.episodes_per_step * (n_way * shots + queries)

    def shaped_by(self) -> tuple[str, ...]:
        """Return what a model of its own is trained for."""
        ways = () if self.train_images and self.label_slots else ("n_way",)
        return (*ways, "k_shot") if self.train_shots == "k_shot" else ways

    def check_evaluation(self, n_way: int, k_shot: int) -> None:
        """Refuse sequences longer than those trained on, and batches too small for them."""
        labels, most = self.most_ways(n_way), self.most_shots(k_shot)
        if n_way > labels:
            raise ValueError(f"label_slots {labels} is fewer than n_way {n_way}: use {n_way} or more")
        if k_shot > most:
            raise ValueError(
                f"train_shots {self.train_shots} is fewer than k_shot {k_shot}: use train_shots=k_shot"
            )
        self.check_batch(labels, most + 1)


class MannConfig(EpisodesOfBatch):
    """A recurrent controller with an external memory (Santoro et al. 2016), its labels one element late."""

    start_needs: ClassVar[Mapping[str, str]] = {"encoder": "conv4"}
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **EpisodesOfBatch.needs,
        "filters": ({"encoder": ("conv4",)}, {"start": ("scratch",)}),
        "train_n_query": ({"training": ("episodes",)},),
        "instances": ({"training": ("sequences",)},),
    }

    name: Literal["mann"] = "mann"
    steps: int = Field(100_000, ge=1, le=100_000_000)
    log_every: int = Field(20, ge=1)
    validate_every: int = Field(1000, ge=0)
    encoder: Literal["pixels", "conv4"] = "pixels"  # 20x20 pixels as they are, or learned features
    filters: int = Field(64, ge=1, le=1024)  # of conv4
    hidden_size: int = Field(200, ge=1, le=4096)  # of the controller
    slots: int = Field(128, ge=2, le=65_536)
    slot_size: int = Field(40, ge=1, le=4096)
    heads: int = Field(4, ge=1, le=64)  # that read, and as many that write
    usage_decay: float = Field(0.95, ge=0, le=1)
    # sequences: all images in random order, each answered as it comes; episodes: as tested, the support, then
    # each query alone.
    training: Literal["sequences", "episodes"] = "sequences"
    instances: int = Field(10, ge=2)  # images of each class in a sequence
    train_n_query: int = Field(1, ge=1)  # of an episode
    curriculum: int = Field(0, ge=0)  # steps in which the classes of a task grow from 5 to n_way
    episodes_per_step: int = Field(16, ge=1, le=4096)
    lr: float = Field(1e-3, gt=0)
    clip: float = Field(10.0, gt=0)
    jitter: Jitter = Jitter(degrees=11.25, shift=3)

    def images_per_class(self, k_shot: int) -> dict[str, int]:
        """Return the images of one class in a training sequence or episode."""
        episode = {"k_shot": k_shot, "train_n_query": self.train_n_query}
        if self.training == "sequences":
            episode = {"instances": self.instances}
        return self.images_drawn() or episode

    def check_evaluation(self, n_way: int, k_shot: int) -> None:
        """Refuse batches too small for a sequence or an episode."""
        each = self.instances if self.training == "sequences" else k_shot + self.train_n_query
        self.check_batch(n_way, each)

    def ways_at(self, n_way: int, step: int) -> int:
        """Return the classes of a training task: 5, 10, 15, ... n_way, in equal parts of the curriculum."""
        stages = -(-n_way // FIRST_WAYS)
        stage = step * stages // self.curriculum if self.curriculum else stages
        return min(n_way, FIRST_WAYS * (stage + 1))

    def images_embedded(self, n_way: int, k_shot: int, steps: int) -> float:
        """Return how many images the first steps embed: fewer while the classes of a task still grow."""
        if self.train_images:
            return super().images_embedded(n_way, k_shot, steps)
        stages = -(-n_way // FIRST_WAYS)
        starts = [-(-stage * self.curriculum // stages) for stage in range(stages)]
        later = (*starts[1:], max(steps, starts[-1]))
        each = [max(min(steps, end) - start, 0) for start, end in zip(starts, later, strict=True)]
        classes = sum(self.ways_at(n_way, start) * count for start, count in zip(starts, each, strict=True))
        return classes / n_way * self.images_per_step(n_way, k_shot)

    def shaped_by(self) -> tuple[str, ...]:
        """Return what a model of its own is trained for."""
        return ("n_way",) if self.training == "sequences" else ("n_way", "k_shot")

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.heads > self.slots:
            raise ValueError(f"heads {self.heads} is more than slots {self.slots}: use {self.slots} or fewer")
        if self.curriculum > self.steps:
            raise ValueError(
                f"curriculum {self.curriculum} does not come to all classes in {self.steps} steps: "
                f"use {self.steps} or fewer"
            )
        return self


class RareEventsConfig(Startable, SharedBatches):
    """Learning to remember rare events (Kaiser et al. 2017): a memory of keys, written and not learned."""

    splits: ClassVar[tuple[str, ...]] = ("train",)
    start_needs: ClassVar[Mapping[str, str]] = {"encoder": "conv4"}
    later: ClassVar[Mapping[str, Any]] = {**SharedBatches.later, **Startable.later, "weight_decay": 0.0}
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **STARTED_BATCHES,
        **dict.fromkeys(("schedule", "averaging"), ({"train_images": AllBut(None)},)),
        **dict.fromkeys(
            ("train_k_shot", "slots", "neighbours", "episodes_per_step"), ({"train_images": (None,)},)
        ),
    }

    name: Literal["rare-events"] = "rare-events"
    steps: int = Field(100_000, ge=1, le=100_000_000)  # batches of episodes; each has many parameter steps
    log_every: int = Field(1, ge=1)
    validate_every: int = Field(500, ge=0)
    encoder: Literal["kaiser", "conv4"] = "kaiser"
    filters: int = Field(64, ge=1, le=1024)  # of conv4, or of kaiser's first two layers
    key_size: int = Field(256, ge=1, le=4096)
    slots: int = Field(8192, ge=2, le=1_000_000)
    neighbours: int = Field(256, ge=1, le=65_536)  # k: slots that a query is compared with
    margin: float = Field(0.1, ge=0, le=2)  # alpha
    train_n_way: int = Field(20, ge=2)  # width of an episode
    train_k_shot: int | None = Field(None, ge=1)  # rounds before the last; None: the evaluation's
    episodes_per_step: int = Field(16, ge=1, le=4096)  # side by side, in one memory
    keep: float = Field(0.3, gt=0, le=1)  # of the features in training, the others are dropped
    lr: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    epsilon: float = Field(1e-4, gt=0)  # of Adam
    clip: float = Field(5.0, gt=0)
    jitter: Jitter = Jitter()

    def images_per_class(self, k_shot: int) -> dict[str, int]:
        """Return the images of one class in a training episode."""
        return self.images_drawn() or {"k_shot": self.train_k_shot or k_shot, "1 query": 1}

    def shaped_by(self) -> tuple[str, ...]:
        """Return what a model of its own is trained for."""
        return () if self.train_k_shot or self.train_images else ("k_shot",)

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        labels = 0 if self.train_images else self.train_n_way * self.episodes_per_step
        if labels > self.slots:
            raise ValueError(
                f"slots {self.slots} cannot hold the {labels} classes of a step: use {labels} or more"
            )
        if self.neighbours > self.slots:
            raise ValueError(f"neighbours {self.neighbours} is more than slots {self.slots}: use fewer")
        return self


class MetaNetConfig(SameWays, SharedBatches):
    """Meta networks (Munkhdalai and Yu 2017): weights made from gradients, beside those that are learned.

    With train_images a task has so many images of a class: those that are not its support are queries.
    """

    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **SharedBatches.needs,
        "chunks": ({"task_weights": (True,)},),
        "train_n_query": ({"train_images": (None,)},),
    }

    name: Literal["metanet"] = "metanet"
    steps: int = Field(100_000, ge=1, le=100_000_000)  # tasks
    validate_every: int = Field(1000, ge=0)
    filters: int = Field(64, ge=1, le=1024)
    train_n_query: int = Field(10, ge=1)
    task_weights: bool = True  # fast weights of the embedding too, one set for the whole task
    chunks: int = Field(5, ge=1, le=1000)  # of the support, whose gradients the task's weights are made from
    hidden_size: int = Field(20, ge=1, le=512)  # of the networks that make fast weights
    lr: float = Field(1e-3, gt=0)
    clip: float = Field(10.0, gt=0)
    jitter: Jitter = Jitter()

    def images_per_class(self, k_shot: int) -> dict[str, int]:
        """Return the images of one class in a training task."""
        return self.images_drawn() or {"k_shot": k_shot, "train_n_query": self.train_n_query}

    def queries(self, k_shot: int) -> int:
        """Return the queries of one class in a training task."""
        return self.train_images - k_shot if self.train_images else self.train_n_query

    def images_per_step(self, n_way: int, k_shot: int) -> float:
        """Return the images of a task: the support for its gradients and its key, a query for key and answer.

        The support gives gradients of both networks, or of one where there are no task's weights.
        """
        return n_way * (k_shot * (3 if self.task_weights else 2) + 2 * self.queries(k_shot))

    def check_evaluation(self, n_way: int, k_shot: int) -> None:
        """Refuse tasks without a query, and more chunks than there are images to be cut into them."""
        if self.queries(k_shot) < 1:
            raise ValueError(f"train_images {self.train_images} leaves no query: use {k_shot + 1} or more")
        images = n_way * k_shot
        if self.chunks > max(images, type(self).model_fields["chunks"].default):
            raise ValueError(
                f"chunks {self.chunks} is more than the {images} support images of a task: "
                f"use {images} or fewer"
            )
