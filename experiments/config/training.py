"""The base of every method's options: what the training loop and the checks of a run ask of a method.

Not here: any method's own options.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from experiments.config.base import AllBut, Frozen, Need

# Of a method that trains nothing.
NEVER_TRAINED: Mapping[str, tuple[Need, ...]] = dict.fromkeys(
    ("log_every", "validate_every", "validate_episodes", "stop_on_nan_after"), ({},)
)

_WITHOUT_PIXELS: Mapping[str, Any] = {
    "start": "scratch",
    "pretrain": None,
    "mirrored": False,
    "views": 1,
    "mirrored_views": False,
    "quarter_turns": 1,
}


class Training(Frozen):
    """What every method has: how long it trains, how often the loop looks up, what it needs of the data."""

    splits: ClassVar[tuple[str, ...]] = ()  # it learns from; `val` and `test` are only ever evaluated on

    on_several: ClassVar[bool] = False  # several processes, a GPU each, can share its training

    test_only: ClassVar[tuple[str, ...]] = ()  # options that training never looks at

    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {"validate_episodes": ({"validate_every": AllBut(0)},)}

    if TYPE_CHECKING:
        name: str = ""  # each class has its own

    steps: int = Field(0, ge=0, le=100_000_000)
    log_every: int = Field(10, ge=1)  # steps
    validate_every: int = Field(0, ge=0)  # steps; 0 for never
    validate_episodes: int = Field(25, ge=2)
    stop_on_nan_after: int = Field(50, ge=0)  # points of the loss in a row that are no number; 0 for never

    @property
    def batch_norms(self) -> tuple[str, ...]:
        """What evaluation.batch_norm can ask for."""
        return ()

    @property
    def starts_from(self) -> "Training | None":
        """The pre-training that training starts from, None where it starts from scratch."""
        stage: Training | None = getattr(self, "pretrain", None)
        return stage

    @property
    def needs_training_images(self) -> bool:
        """Whether the trained method looks at its training images again when it meets a new task."""
        return False

    @property
    def phase_starts(self) -> tuple[int, ...]:
        """The steps from which training reports other metrics; no chunk of steps reaches over one."""
        return ()

    def classes_per_episode(self, n_way: int) -> dict[str, int]:
        """Return how many classes a training episode needs at once, by the option that says so.

        n_way and k_shot, here and below, are the evaluation's; a method need not train on as many.
        """
        return {"train_n_way": self.train_n_way} if hasattr(self, "train_n_way") else {}

    def images_per_class(self, k_shot: int) -> dict[str, int]:
        """Return how many images of one class a training episode needs, by the option that says so."""
        return {}

    def images_per_step(self, n_way: int, k_shot: int) -> float:
        """Return how many images a training step embeds, on average where that is drawn.

        An image that passes the network several times counts each time: so a step of MAML embeds its support
        once for each inner step.
        """
        ways = sum(self.classes_per_episode(n_way).values())
        return ways * sum(self.images_per_class(k_shot).values()) * self._episodes_drawn()

    def images_embedded(self, n_way: int, k_shot: int, steps: int) -> float:
        """Return how many images the first `steps` steps of training embed."""
        return steps * self.images_per_step(n_way, k_shot)

    def _episodes_drawn(self) -> int:
        """Return how many episodes a step has, 1 where one batch serves all comparisons."""
        one_batch = getattr(self, "train_images", None) is not None
        return 1 if one_batch else int(getattr(self, "episodes_per_step", 1))

    def shaped_by(self) -> tuple[str, ...]:
        """Return the options of the evaluation that training depends on, for want of options of its own."""
        options = ("n_way", "k_shot") if self.steps else ()
        return tuple(name for name in options if getattr(self, f"train_{name}", None) is None)

    def as_trained(self) -> Self:
        """Return the options with those that say only how to test at their defaults."""
        defaults = {name: type(self).model_fields[name].default for name in self.test_only}
        return self.model_copy(update=defaults)

    def most_ways(self, n_way: int) -> int | None:
        """Return how many classes a model has outputs for, None where there may be any number."""
        return None

    def check_features(self) -> None:
        """Raise ValueError, saying what to change, where an option is about pixels and there are none."""
        for name, without in _WITHOUT_PIXELS.items():
            value = self.starts_from if name == "pretrain" else getattr(self, name, without)
            if value != without:
                said = "null" if without is None else str(without).lower()
                raise ValueError(f"{name} needs pixels, and these are features: use --set {name}={said}")
        changes: Frozen | None = getattr(self, "jitter", None)
        changed = [name for name, amount in changes or () if amount]
        if changed:
            raise ValueError(f"{changed[0]} changes pixels, and these are features: use --set {changed[0]}=0")

    def check_evaluation(self, n_way: int, k_shot: int) -> None:
        """Raise ValueError, saying what to change, where the method cannot be measured on such episodes."""


class Accelerated(Training):
    """What a method has besides whose image network can train faster; tests are in float32 always.

    One switch for a whole sweep: where nothing is learned of the images (pixels) it changes nothing.
    """

    later: ClassVar[Mapping[str, Any]] = {"precision": "float32", "compile": False}

    precision: Literal["float32", "bf16"] = "float32"  # of the convolutions while training
    compile: bool = False  # the network while training, by torch.compile; on a GPU alone


Schedule = Literal["constant", "cosine", "one-cycle"]


def scheduled(schedule: Schedule, peak: float, step: int, steps: int) -> float:
    """Return the learning rate of a step.

    constant: the peak throughout; cosine: down to 0 by a cosine; one-cycle: the same after a quarter of the
    steps in which it rises.
    """
    if schedule == "constant":
        return peak
    warm = max(1, steps // 4) if schedule == "one-cycle" else 0
    if step < warm:
        return peak * (step + 1) / warm
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


class Scheduled(Accelerated):
    """What a method has besides whose learning rate can fall, and whose tests can use averaged weights."""

    later: ClassVar[Mapping[str, Any]] = {**Accelerated.later, "schedule": "constant", "averaging": 0.0}

    lr: float = Field(1e-3, gt=0)
    schedule: Schedule = "constant"
    averaging: float = Field(0.0, ge=0, lt=1)  # kept of the averaged weights at each step; 0 for none

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return scheduled(self.schedule, self.lr, step, self.steps)


class SharedBatches(Scheduled):
    """What methods have besides that can compare the images of one batch with each other in many ways.

    By default a step draws what its source draws. With train_images it draws so many images of each of
    train_n_way classes, embeds them once, and learns from every comparison between them that the method
    knows. How the rate goes, weight decay and averaged weights are the same for all of these methods.
    """

    later: ClassVar[Mapping[str, Any]] = {
        **Scheduled.later,
        "train_images": None,
        "mirrored": False,
    }

    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **Scheduled.needs,
        "mirrored": ({"train_images": AllBut(None)},),
    }

    train_images: int | None = Field(None, ge=2)  # of each class; None: as the source draws them
    mirrored: bool = False  # with train_images: a character's mirror image is a class of its own

    def images_drawn(self) -> dict[str, int]:
        """Return the images of a class in a batch that serves all comparisons, by its option, or nothing."""
        return {"train_images": self.train_images} if self.train_images else {}


class HalvedRate(SharedBatches):
    """The same for those whose sources halve the rate from time to time."""

    halve_lr_every: int | None = Field(10_000, ge=1)  # steps; None for never

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        halvings = step // self.halve_lr_every if self.halve_lr_every else 0
        return super().rate(step) * 0.5**halvings
