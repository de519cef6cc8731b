"""Options of the methods, one class each, and the splits they learn from.

Not here: which file implements a method (registry.py), and presets.
"""

from typing import Annotated, Literal

from pydantic import Field

from experiments.config.base import Frozen


class Training(Frozen):
    """What every method has: how long it trains, and how often the loop looks up."""

    steps: int = Field(0, ge=0, le=100_000_000)
    log_every: int = Field(10, ge=1)  # steps
    validate_every: int = Field(0, ge=0)  # steps; 0 for never
    validate_episodes: int = Field(25, ge=2)
    stop_on_nan_after: int = Field(50, ge=0)  # points of the loss in a row that are no number; 0 for never


class PixelKnn(Training):
    """Nearest support image in pixel space; nothing is trained."""

    name: Literal["pixel-knn"] = "pixel-knn"
    steps: int = Field(0, ge=0, le=0)
    distance: Literal["l2", "cosine"] = "l2"


class Jitter(Frozen):
    """Random affine change of each training image; zero everywhere leaves images as they are."""

    degrees: float = Field(0.0, ge=0, le=45)
    scale: float = Field(0.0, ge=0, lt=1)  # side length times 1 +- scale
    shear: float = Field(0.0, ge=0, le=45)  # degrees
    shift: int = Field(0, ge=0, le=14)  # pixels


class ProtoNet(Training):
    """Prototypical networks (Snell et al. 2017): class means, squared Euclidean distance."""

    name: Literal["protonet"] = "protonet"
    steps: int = Field(20_000, ge=1, le=100_000_000)
    log_every: int = Field(20, ge=1)
    validate_every: int = Field(500, ge=0)
    filters: int = Field(64, ge=1, le=1024)
    train_n_way: int = Field(60, ge=2)
    train_n_query: int = Field(5, ge=1)
    lr: float = Field(1e-3, gt=0)
    halve_lr_every: int = Field(2000, ge=1)  # steps
    jitter: Jitter = Jitter()


class Pretrain(Training):
    """Pre-training of theta' and a softmax classifier on C_base (paper section 4.2)."""

    name: Literal["pretrain"] = "pretrain"
    steps: int = Field(3000, ge=1, le=100_000_000)
    log_every: int = Field(10, ge=1)
    validate_every: int = Field(250, ge=0)
    filters: int = Field(64, ge=1, le=1024)
    batch_size: int = Field(256, ge=2)
    lr: float = Field(0.01, gt=0)  # peak of the one-cycle schedule, Adam
    weight_decay: float = Field(5e-4, ge=0)
    classifier: Literal["linear", "cosine"] = "cosine"
    jitter: Jitter = Jitter(shift=2)
    seed: int = Field(0, ge=0)  # its own, so that runs of different seeds share one pre-training


class FastSlow(Training):
    """Fast/slow meta-learning (paper Table 1): theta' by slow SGD, W_fc by a learned optimiser."""

    name: Literal["fastslow"] = "fastslow"
    steps: int = Field(1000, ge=1, le=100_000_000)  # tasks
    log_every: int = Field(5, ge=1)
    validate_every: int = Field(50, ge=0)
    inner_steps: int = Field(10, ge=1, le=1000)  # m
    inner_batch: Literal["fresh", "support"] = "support"
    batch_per_class: int = Field(1, ge=1)  # images of each class in the batch a step is judged on
    fast_learner: Literal["lstm", "sgd"] = "lstm"
    fast_lr: float = Field(6.0, gt=0)  # of the sgd learner
    hidden_size: int = Field(20, ge=1, le=512)  # of g
    layers: int = Field(2, ge=1, le=8)  # of g
    output_scale: float = Field(0.1, gt=0)  # of g
    skip_lr: float = Field(6.0, ge=0)  # update of g = its output - skip_lr * gradient
    meta_lr: float = Field(1e-3, gt=0)  # Adam on phi
    slow_lr: float = Field(0.01, ge=0)  # delta
    slow_momentum: float = Field(0.0, ge=0, lt=1)
    batch_norm: Literal["running", "batch"] = "running"  # statistics used while meta-training
    # What W_fc sees of a feature: as it is; at length feature_scale; the same after the support's mean is
    # taken away, which is as near to whitened input as the support alone can bring it.
    features: Literal["raw", "unit", "centred"] = "centred"
    feature_scale: float = Field(8.0, gt=0)
    jitter: Jitter = Jitter()
    pretrain: Pretrain | None = Pretrain()


class LinearFastSlow(Training):
    """The two-layer linear case study: W_s by slow SGD, W_f by one fast SGD step (paper section 3.1)."""

    name: Literal["linear"] = "linear"
    steps: int = Field(100_000, ge=1, le=1_000_000_000)  # tasks
    log_every: int = Field(200, ge=1)
    fast_lr: float = Field(0.2, gt=0)  # eta
    slow_lr: float = Field(1e-3, gt=0)  # delta
    initial_scale: float = Field(0.7, gt=0)  # entries of W_s start as N(0, initial_scale^2 / dimension)


ImageMethod = Annotated[PixelKnn | ProtoNet | Pretrain | FastSlow, Field(discriminator="name")]

# The splits each method learns from; `val` and `test` are only ever evaluated on.
TRAINING_SPLITS: dict[str, tuple[str, ...]] = {
    "pixel-knn": (),
    "protonet": ("train",),
    "pretrain": ("base",),
    "fastslow": ("meta",),
}
