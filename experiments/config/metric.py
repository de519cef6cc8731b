"""Options of the methods that compare features: a query goes to the class whose support is most like it.

Not here: prototypical networks and the methods of the paper itself (methods.py).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from experiments.config.base import AllBut, Need
from experiments.config.methods import STARTED_BATCHES, Jitter, Startable
from experiments.config.training import HalvedRate, Scheduled


class MatchingNetConfig(Startable, HalvedRate):
    """Matching networks (Vinyals et al. 2016): attention over the support, with or without full context."""

    splits: ClassVar[tuple[str, ...]] = ("train",)
    above: ClassVar[tuple[str, ...]] = ("fce", "learned_scale")
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **STARTED_BATCHES,
        "fce_steps": ({"fce": (True,)},),
        **dict.fromkeys(("train_k_shot", "train_n_query"), ({"train_images": (None,)},)),
    }

    name: Literal["matching"] = "matching"
    steps: int = Field(60_000, ge=1, le=100_000_000)  # episodes
    log_every: int = Field(20, ge=1)
    validate_every: int = Field(1000, ge=0)
    filters: int = Field(64, ge=1, le=1024)
    train_n_way: int = Field(20, ge=2)
    train_k_shot: int | None = Field(None, ge=1)  # None: the evaluation's
    train_n_query: int = Field(5, ge=1)
    scale: float = Field(10.0, gt=0)  # of the cosines in the attention's softmax; 1 is the paper's own
    fce: bool = False  # full context embeddings: features that have seen the whole support
    fce_steps: int = Field(5, ge=1, le=100)  # of the LSTM that reads the support for a query
    clip: float | None = Field(1.0, gt=0)  # norm of the gradient
    weight_decay: float = Field(0.0, ge=0)
    learned_scale: bool = False  # `scale` is where it starts
    jitter: Jitter = Jitter()

    later: ClassVar[Mapping[str, Any]] = {
        **HalvedRate.later,
        **Startable.later,
        "weight_decay": 0.0,
        "learned_scale": False,
    }

    def shaped_by(self) -> tuple[str, ...]:
        """Return nothing where a batch has no support of its own."""
        return () if self.train_images else super().shaped_by()

    def images_per_class(self, k_shot: int) -> dict[str, int]:
        """Return the images of one class in a training episode."""
        return self.images_drawn() or {
            "k_shot": self.train_k_shot or k_shot,
            "train_n_query": self.train_n_query,
        }


class NotEpisodic(Scheduled):
    """What classifiers share that train on the classes of `train` without episodes."""

    splits: ClassVar[tuple[str, ...]] = ("train",)

    batch_size: int = Field(64, ge=2)

    def shaped_by(self) -> tuple[str, ...]:
        """Return nothing: training knows no ways and shots."""
        return ()

    def images_per_step(self, n_way: int, k_shot: int) -> float:
        """Return the size of a batch."""
        return self.batch_size


class CnnConfig(NotEpisodic):
    """A softmax classifier of the training classes, then nearest neighbour, or fitted again to each task."""

    test_only: ClassVar[tuple[str, ...]] = ("test", "distance", "fit_steps", "fit_lr")
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **NotEpisodic.needs,
        "distance": ({"test": ("nearest",)},),
        **dict.fromkeys(("fit_steps", "fit_lr"), ({"test": ("linear", "fine-tune")},)),
    }

    name: Literal["cnn"] = "cnn"
    steps: int = Field(6500, ge=1, le=100_000_000)  # about five times through the training images of P-V
    validate_every: int = Field(500, ge=0)
    filters: int = Field(64, ge=1, le=1024)
    jitter: Jitter = Jitter()
    # A new task: the nearest support image by its features; a linear classifier of the features fitted to the
    # support; the same with all layers fitted.
    test: Literal["nearest", "linear", "fine-tune"] = "nearest"
    distance: Literal["l2", "cosine"] = "l2"  # of nearest
    fit_steps: int = Field(15, ge=1, le=100_000)  # of linear and fine-tune
    fit_lr: float = Field(0.01, gt=0)


class ShrinkingConfig(NotEpisodic):
    """Feature shrinking (Hariharan & Girshick 2017): the CNN's training with a penalty on long features."""

    test_only: ClassVar[tuple[str, ...]] = ("distance", "fit_steps", "fit_lr")
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **NotEpisodic.needs,
        "penalty": ({"penalty_weight": AllBut(0)},),
        "distance": ({"hallucinate": (0,)},),
        **dict.fromkeys(("fit_steps", "fit_lr", "generator_lr"), ({"hallucinate": AllBut(0)},)),
    }

    name: Literal["shrinking"] = "shrinking"
    steps: int = Field(6500, ge=1, le=100_000_000)  # the last generator_steps of them train the generator
    validate_every: int = Field(500, ge=0)
    filters: int = Field(64, ge=1, le=1024)
    jitter: Jitter = Jitter()
    penalty: Literal["sgm", "l2", "batch-sgm"] = "sgm"
    penalty_weight: float = Field(1e-4, ge=0)  # lambda
    classifier_decay: float = Field(1e-4, ge=0)  # on the classifier's weights alone
    distance: Literal["l2", "cosine"] = "l2"
    hallucinate: int = Field(0, ge=0, le=100)  # examples of each class to end up with; 0 for real ones alone
    generator_steps: int = Field(0, ge=0)
    generator_lr: float = Field(0.1, gt=0)
    fit_steps: int = Field(100, ge=1, le=100_000)  # of the classifier fitted to real and made-up examples
    fit_lr: float = Field(0.1, gt=0)

    @model_validator(mode="after")
    def _generator_fits(self) -> Self:
        if self.generator_steps >= self.steps:
            raise ValueError(
                f"generator_steps {self.generator_steps} leaves none of the {self.steps} steps to the "
                "features it learns from: raise steps"
            )
        if self.hallucinate and not self.generator_steps:
            raise ValueError("hallucinate needs a trained generator: use --set generator_steps=2000 or more")
        if self.generator_steps and not self.hallucinate:
            raise ValueError("generator_steps trains what nothing uses: use --set hallucinate=5 with it")
        return self

    @property
    def phase_starts(self) -> tuple[int, ...]:
        """The first step of the generator."""
        return (self.steps - self.generator_steps,) if self.generator_steps else ()

    @property
    def needs_training_images(self) -> bool:
        """Whether examples are made up, by analogy to training images."""
        return self.hallucinate > 0

    def images_embedded(self, n_way: int, k_shot: int, steps: int) -> float:
        """Return how many images the first steps embed; those of the generator have features already."""
        return super().images_embedded(n_way, k_shot, min(steps, self.steps - self.generator_steps))

    def check_evaluation(self, n_way: int, k_shot: int) -> None:
        """Refuse to make up examples where the support has as many as there are to be."""
        if 0 < self.hallucinate <= k_shot:
            raise ValueError(
                f"hallucinate {self.hallucinate} adds nothing to k_shot {k_shot}: use more than {k_shot}"
            )


class SiameseConfig(Startable, HalvedRate):
    """Siamese network (Koch et al. 2015): whether two images show the same character."""

    splits: ClassVar[tuple[str, ...]] = ("train",)
    start_needs: ClassVar[Mapping[str, str]] = {"network": "conv4"}
    later: ClassVar[Mapping[str, Any]] = {**HalvedRate.later, **Startable.later, "train_n_way": 64}
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **STARTED_BATCHES,
        "filters": ({"network": ("conv4",)}, {"start": ("scratch",)}),
        "batch_size": ({"train_images": (None,)},),
        "train_n_way": ({"train_images": AllBut(None)},),
    }

    name: Literal["siamese"] = "siamese"
    steps: int = Field(40_000, ge=1, le=100_000_000)
    log_every: int = Field(20, ge=1)
    validate_every: int = Field(1000, ge=0)
    network: Literal["conv4", "koch"] = "conv4"
    filters: int = Field(64, ge=1, le=1024)  # of conv4
    batch_size: int = Field(128, ge=2)  # pairs, every other one of the same character
    # Share of unlike pairs from within one alphabet; with train_images half of the classes come from four
    # alphabets, and this is the weight of the pairs that look most alike.
    hard_negatives: float = Field(0.5, ge=0, le=1)
    train_n_way: int = Field(64, ge=2)  # with train_images: all pairs of their images are compared
    halve_lr_every: int | None = Field(5000, ge=1)  # steps; None for never
    weight_decay: float = Field(0.0, ge=0)
    jitter: Jitter = Jitter()

    def classes_per_episode(self, n_way: int) -> dict[str, int]:
        """Return how many classes a batch needs at once, by the option that says so."""
        return {"train_n_way": self.train_n_way} if self.train_images else {}

    def images_per_class(self, k_shot: int) -> dict[str, int]:
        """Return how many images of one class a batch needs, by the option that says so."""
        return self.images_drawn()

    def images_per_step(self, n_way: int, k_shot: int) -> float:
        """Return the images of a batch: two for each pair, where no two pairs share one."""
        return super().images_per_step(n_way, k_shot) if self.train_images else 2 * self.batch_size

    def shaped_by(self) -> tuple[str, ...]:
        """Return nothing: training knows no ways and shots."""
        return ()
