"""Options of the methods, one class each.

Not here: which file implements a method (registry.py), presets, and the linear case study (synthetic.py).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from experiments.config.base import MAX_SEED, AllBut, Frozen, Need
from experiments.config.training import NEVER_TRAINED, Accelerated, HalvedRate, SharedBatches, Training

# What classifies a feature sees of it: the feature itself; its direction; the direction of what is left when
# the support's mean is taken away, which is as near to whitened input as the support alone can bring it.
Features = Literal["raw", "unit", "centred"]


class PixelKnnConfig(Training):
    """Nearest support image in pixel space; nothing is trained."""

    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = NEVER_TRAINED

    name: Literal["pixel-knn"] = "pixel-knn"
    steps: int = Field(0, ge=0, le=0)
    distance: Literal["l2", "cosine"] = "l2"


class Affine(Frozen):
    """Random affine change of each image; zero everywhere leaves images as they are."""

    degrees: float = Field(0.0, ge=0, le=45)
    scale: float = Field(0.0, ge=0, lt=1)  # side length times 1 +- scale
    shear: float = Field(0.0, ge=0, le=45)  # degrees
    shift: int = Field(0, ge=0, le=14)  # pixels


class Jitter(Affine):
    """Random change of each training image."""

    later: ClassVar[Mapping[str, Any]] = {"flip": False, "crop": 0.0, "colour": 0.0}

    warp: float = Field(0.0, ge=0, le=7)  # standard deviation of a smooth displacement, pixels
    stroke: float = Field(0.0, ge=0, le=1)  # strokes thicker or thinner, pixels on either side
    flip: bool = False  # every other image turned over, left for right
    crop: float = Field(0.0, ge=0, lt=1)  # up to this share of the side cut away, the rest enlarged
    colour: float = Field(0.0, ge=0, lt=1)  # brightness, contrast and saturation each times 1 +- colour


class PretrainConfig(Accelerated):
    """Pre-training of theta' on C_base (paper section 4.2): by a softmax classifier, or by episodes."""

    splits: ClassVar[tuple[str, ...]] = ("base",)
    on_several: ClassVar[bool] = True
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **Accelerated.needs,
        **dict.fromkeys(("batch_size", "classifier"), ({"objective": ("softmax",)},)),
        **dict.fromkeys(("train_n_way", "train_images", "features"), ({"objective": ("episodes",)},)),
    }

    name: Literal["pretrain"] = "pretrain"
    steps: int = Field(24_000, ge=1, le=100_000_000)
    log_every: int = Field(10, ge=1)
    validate_every: int = Field(1000, ge=0)
    filters: int = Field(64, ge=1, le=1024)
    classes: Literal["base", "base+meta"] = "base"  # C_base, as the paper has it, or C_meta too
    # softmax: every class of C_base has a weight vector. episodes: each image is classified by the other
    # images of a few classes.
    objective: Literal["softmax", "episodes"] = "episodes"
    batch_size: int = Field(256, ge=2)  # of softmax
    classifier: Literal["linear", "cosine"] = "cosine"  # of softmax
    train_n_way: int = Field(60, ge=2)  # of episodes
    train_images: int = Field(3, ge=2, le=20)  # of each class in an episode, each in turn the support
    features: Features = "unit"  # of episodes
    lr: float = Field(0.01, gt=0)  # peak of the one-cycle schedule, Adam
    weight_decay: float = Field(5e-4, ge=0)
    averaging: float = Field(0.995, ge=0, lt=1)  # kept of the averaged weights at each step; 0 for none
    mirrored: bool = True  # a character's mirror image is a class of its own
    jitter: Jitter = Jitter(degrees=12, scale=0.12, shear=10, shift=2, warp=0.7)
    # Its own, so that runs of different seeds share one pre-training; None: the seed of the run it is for.
    seed: int | None = Field(0, ge=0, le=MAX_SEED)

    @property
    def images_a_step(self) -> int:
        """How many images a step learns from."""
        return self.batch_size if self.objective == "softmax" else self.train_n_way * self.train_images

    def images_per_step(self, n_way: int, k_shot: int) -> float:
        """Return the images of a batch."""
        return self.images_a_step

    def shaped_by(self) -> tuple[str, ...]:
        """Return nothing: its episodes have options of their own."""
        return ()


class Startable(Training):
    """What methods have besides whose backbone can start from the pre-training that Fast/Slow starts from.

    Its features are brought to one length, as pre-training compares them. The method's own rule then trains
    all of it; or the backbone is frozen, each training image is embedded once, and the method learns what
    lies above the features.
    """

    later: ClassVar[Mapping[str, Any]] = {"start": "scratch", "frozen": False, "pretrain": PretrainConfig()}
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **dict.fromkeys(("frozen", "pretrain"), ({"start": ("pretrain",)},)),
        "jitter": ({"frozen": (False,)},),
        "filters": ({"start": ("scratch",)},),  # else those of the pre-training
    }
    above: ClassVar[tuple[str, ...]] = ()  # options of which one must be set for anything to lie above
    start_needs: ClassVar[Mapping[str, str]] = {}  # options with the values with which it can start so

    start: Literal["scratch", "pretrain"] = "scratch"
    frozen: bool = False  # the backbone, as pre-training left it
    pretrain: PretrainConfig = PretrainConfig()

    @property
    def starts_from(self) -> PretrainConfig | None:
        """The pre-training it starts from, None where it starts from scratch."""
        return self.pretrain if self.start == "pretrain" else None

    def as_learned(self) -> Self:
        """Return the options as training uses them: frozen features are of images as they are."""
        unchanged: dict[str, Any] = {"jitter": Jitter(), "mirrored": False}
        kept = {name: value for name, value in unchanged.items() if self.frozen and hasattr(self, name)}
        return self.model_copy(update=kept)

    @model_validator(mode="after")
    def _can_start(self) -> Self:
        if self.start == "scratch":
            return self
        for option, value in self.start_needs.items():
            if getattr(self, option) != value:
                raise ValueError(
                    f"start=pretrain begins with the network of the pre-training, and {option} is "
                    f"{getattr(self, option)}: use --set {option}={value}"
                )
        if self.frozen and self.above and not any(getattr(self, name) for name in self.above):
            raise ValueError(
                f"frozen=true leaves nothing to learn above the features: use --set {self.above[0]}=true, "
                "or frozen=false"
            )
        return self


STARTED_BATCHES: Mapping[str, tuple[Need, ...]] = {
    **SharedBatches.needs,
    **Startable.needs,
    "mirrored": ({"train_images": AllBut(None)}, {"frozen": (False,)}),
}
"""What the options of both need together."""


class ProtoNetConfig(Startable, HalvedRate):
    """Prototypical networks (Snell et al. 2017): class means, squared Euclidean distance."""

    splits: ClassVar[tuple[str, ...]] = ("train",)
    above: ClassVar[tuple[str, ...]] = ("learned_scale",)

    name: Literal["protonet"] = "protonet"
    steps: int = Field(20_000, ge=1, le=100_000_000)
    log_every: int = Field(20, ge=1)
    validate_every: int = Field(500, ge=0)
    filters: int = Field(64, ge=1, le=1024)
    train_n_way: int = Field(60, ge=2)
    train_k_shot: int | None = Field(None, ge=1)  # None: the evaluation's
    train_n_query: int = Field(5, ge=1)
    halve_lr_every: int | None = Field(2000, ge=1)  # steps; None for never
    weight_decay: float = Field(0.0, ge=0)
    # A learned factor on the distances, from 10 / features. Raw distances of many features are so large that
    # a short training first makes all features alike.
    learned_scale: bool = False
    jitter: Jitter = Jitter()

    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **STARTED_BATCHES,
        **dict.fromkeys(("train_k_shot", "train_n_query"), ({"train_images": (None,)},)),
    }
    later: ClassVar[Mapping[str, Any]] = {
        **HalvedRate.later,
        **Startable.later,
        "weight_decay": 0.0,
        "learned_scale": False,
    }

    def images_per_class(self, k_shot: int) -> dict[str, int]:
        """Return how many images of one class a training episode needs, by the option that says so."""
        return self.images_drawn() or {
            "k_shot": self.train_k_shot or k_shot,
            "train_n_query": self.train_n_query,
        }

    def shaped_by(self) -> tuple[str, ...]:
        """Return nothing where a batch has no support of its own."""
        return () if self.train_images else super().shaped_by()


class CnnNeighbourConfig(Training):
    """What pre-trained features of length 1 are worth as they are; the backbone learns nothing of a task."""

    splits: ClassVar[tuple[str, ...]] = ("base",)
    later: ClassVar[Mapping[str, Any]] = {"test": "nearest", "fit_steps": 100, "fit_lr": 10.0}
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **NEVER_TRAINED,
        **dict.fromkeys(("fit_steps", "fit_lr"), ({"test": ("linear",)},)),
    }

    name: Literal["cnn-nn"] = "cnn-nn"
    steps: int = Field(0, ge=0, le=0)
    # The nearest support image; the nearest class mean; a linear classifier fitted to the support from zero.
    test: Literal["nearest", "mean", "linear"] = "nearest"
    fit_steps: int = Field(100, ge=1, le=100_000)
    fit_lr: float = Field(10.0, gt=0)
    pretrain: PretrainConfig | None = PretrainConfig()  # null where the data are features already


class FastSlowConfig(Accelerated):
    """Fast/slow meta-learning (paper Table 1): theta' by slow SGD, W_fc by a learned optimiser."""

    splits: ClassVar[tuple[str, ...]] = ("meta",)
    later: ClassVar[Mapping[str, Any]] = {
        **Accelerated.later,
        "quarter_turns": 1,
        "mirrored_views": False,
    }
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **Accelerated.needs,
        **dict.fromkeys(("hidden_size", "layers", "output_scale", "skip_lr"), ({"fast_learner": ("lstm",)},)),
        "fast_lr": ({"fast_learner": ("sgd",)},),
        "initial_scale": ({"initial": ("means",)},),
        "meta_lr": ({"fast_learner": ("lstm",), "initial": ("means",)},),
        "slow_lr": ({"slow_learner": ("sgd", "adam")},),
        "slow_momentum": ({"slow_learner": ("sgd",)}, {"slow_lr": AllBut(0)}),
        "slow_schedule": ({"slow_learner": ("sgd", "adam")}, {"slow_lr": AllBut(0)}),
        "slow_gradient": ({"slow_lr": AllBut(0), "slow_learner": ("shared",)},),
        # Running statistics change even where no weight does.
        "averaging": ({"slow_lr": AllBut(0), "slow_learner": ("shared",), "batch_norm": ("batch",)},),
        # The first scale is left to pre-training in its unit.
        "feature_scale": ({"features": AllBut("raw"), "initial": ("means",)},),
        "view_change": ({"views": AllBut(1)},),
        "support_views": ({"views": AllBut(1), "mirrored_views": (True,)},),
    }

    name: Literal["fastslow"] = "fastslow"
    steps: int = Field(300, ge=1, le=100_000_000)  # tasks
    train_n_way: int = Field(20, ge=2)  # classes of a task
    train_k_shot: int | None = Field(None, ge=1)  # None: the evaluation's
    log_every: int = Field(5, ge=1)
    validate_every: int = Field(50, ge=0)
    inner_steps: int = Field(10, ge=1, le=1000)  # m
    inner_batch: Literal["fresh", "support"] = "support"
    batch_per_class: int = Field(1, ge=1)  # images of each class in the batch a step is judged on
    fast_learner: Literal["lstm", "sgd"] = "lstm"
    fast_lr: float = Field(0.5, gt=0)  # of the sgd learner
    hidden_size: int = Field(20, ge=1, le=512)  # of g
    layers: int = Field(2, ge=1, le=8)  # of g
    output_scale: float = Field(0.01, gt=0)  # of g
    skip_lr: float = Field(0.5, ge=0)  # update of g = its output - skip_lr * gradient
    # theta_0; means: the class means of the support, times a scale that is learned as phi is.
    initial: Literal["zeros", "means"] = "means"
    initial_scale: float | None = None  # where that scale starts; None: as pre-training by episodes left it
    meta_lr: float = Field(1e-3, gt=0)  # Adam on phi
    slow_learner: Literal["sgd", "adam", "shared"] = "sgd"  # shared: g itself, as for theta
    slow_lr: float = Field(0.002, ge=0)  # delta
    slow_momentum: float = Field(0.0, ge=0, lt=1)
    slow_schedule: Literal["constant", "cosine"] = "cosine"  # of delta over the tasks; cosine falls to 0
    slow_gradient: Literal["first", "second"] = "first"  # second: through g's last update of theta too
    averaging: float = Field(0.98, ge=0, lt=1)  # kept of the averaged theta' after each task; 0 for none
    batch_norm: Literal["running", "batch"] = "running"  # statistics used while meta-training
    features: Features = "unit"  # what W_fc sees
    feature_scale: float = Field(8.0, gt=0)  # its length, but for raw features
    base_share: float = Field(0.5, ge=0, le=1)  # of the tasks, from C_base instead of C_meta
    mirrored: bool = True  # a character's mirror image is a class of its own
    jitter: Jitter = Jitter(degrees=12, scale=0.12, shear=10, shift=2, warp=0.7)  # while training
    views: int = Field(8, ge=1, le=100)  # of each image in a test: itself, and changed by view_change
    view_change: Affine = Affine(degrees=10, scale=0.12, shear=8, shift=1)
    mirrored_views: bool = False  # each view's mirror image is one more view
    quarter_turns: Literal[1, 4] = 1  # of each view: upright alone, or all four, their features side by side
    # What an inner step of a test sees of a support image: its mean feature; view j in step j; every view.
    support_views: Literal["mean", "turns", "all"] = "mean"
    pretrain: PretrainConfig | None = PretrainConfig()

    @model_validator(mode="after")
    def _mirror_once(self) -> Self:
        if self.mirrored and self.mirrored_views:
            raise ValueError(
                "mirrored_views takes an image and its mirror image for one, mirrored for two classes: "
                "use --set mirrored=false with it"
            )
        return self

    @property
    def batch_norms(self) -> tuple[str, ...]:
        """What evaluation.batch_norm can ask for."""
        return ("running", "support", "queries")

    @property
    def looks(self) -> int:
        """How many views of a test image there are, mirror images counted."""
        return self.views * (2 if self.mirrored_views else 1)

    def images_per_class(self, k_shot: int) -> dict[str, int]:
        """Return how many images of one class a training task needs, by the option that says so."""
        return {"k_shot": self.train_k_shot or k_shot, "batch_per_class": self.batch_per_class}

    def images_per_step(self, n_way: int, k_shot: int) -> float:
        """Return the images of all inner steps of a task: what theta sees, and what judges it."""
        seen = 0 if self.inner_batch == "fresh" else self.train_k_shot or k_shot
        return self.inner_steps * self.train_n_way * (seen + self.batch_per_class)
