"""Options of the methods that meet a task by changing all weights of a network, step by step.

Not here: fast/slow learning, which changes the last layer alone (methods.py).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from experiments.config.base import Need
from experiments.config.methods import STARTED_BATCHES, Jitter, Startable
from experiments.config.model_based import SameWays
from experiments.config.training import SharedBatches

# Where batch normalisation has its statistics from when queries are classified: from all queries of the task
# together, which so help each other (transductive); from the support, as for any single image.
BatchStatistics = Literal["queries", "support"]


class Adapting(SameWays):
    """What both methods share: the sizes of a training episode and the network."""

    train_k_shot: int | None = Field(None, ge=1)  # None: the evaluation's
    train_n_query: int = Field(1, ge=1)
    inner_steps: int = Field(5, ge=1, le=100)
    down: Literal["stride", "pool"] = "stride"  # what halves the maps
    batch_norm: BatchStatistics = "queries"
    jitter: Jitter = Jitter()

    def images_per_class(self, k_shot: int) -> dict[str, int]:
        """Return the images of one class in a training episode."""
        return {"k_shot": self.train_k_shot or k_shot, "train_n_query": self.train_n_query}

    def images_per_step(self, n_way: int, k_shot: int) -> float:
        """Return the images of a step's tasks: the support in each inner step, the queries when judged.

        Where the queries are normalised by the support, that passes the network beside them.
        """
        support, queries = self.train_k_shot or k_shot, self.train_n_query
        judged = queries + (support if self.batch_norm == "support" else 0)
        passes = self.inner_steps * support + self._times_judged() * judged
        return self._episodes_drawn() * n_way * passes

    def _times_judged(self) -> int:
        """Return after how many of the inner steps the queries are looked at."""
        return 1


class MamlConfig(Startable, Adapting, SharedBatches):
    """MAML (Finn et al. 2017): weights from which a few gradient steps lead to any task's.

    With adapts=head the features of a task stay as they are and only the head learns it: ANIL (Raghu et al.
    2020). An image then passes the network once however many tasks it serves, and train_images draws a batch
    in which every image is once the support.
    """

    test_only: ClassVar[tuple[str, ...]] = ("test_steps",)
    start_needs: ClassVar[Mapping[str, str]] = {"adapts": "head"}
    above: ClassVar[tuple[str, ...]] = ("learned_rates",)

    name: Literal["maml"] = "maml"
    steps: int = Field(60_000, ge=1, le=100_000_000)
    validate_every: int = Field(1000, ge=0)
    filters: int = Field(64, ge=1, le=1024)
    episodes_per_step: int = Field(16, ge=1, le=4096)
    adapts: Literal["all", "head"] = "all"  # layers that a task changes
    # zeros: the head prefers no class and serves any number of them. A learned start that all classes share
    # gives the same answers: softmax ignores what is added to all logits.
    head_start: Literal["learned", "zeros"] = "learned"
    train_n_way: int | None = Field(None, ge=2)  # None: the evaluation's
    inner_steps: int = Field(5, ge=1, le=100)
    test_steps: int | None = Field(None, ge=1, le=1000)  # None: inner_steps
    inner_lr: float = Field(
        0.1, gt=0
    )  # of a head that starts at zeros: for each class, whatever their number
    first_order: bool = False
    first_order_steps: int = Field(0, ge=0)  # the first steps of training, which are in first order
    learned_rates: bool = False  # a rate for each layer and each inner step, starting from inner_lr
    multi_step: int = Field(
        0, ge=0
    )  # steps during which every inner step is judged, less and less; 0 for none
    clip: float | None = Field(None, gt=0)  # norm of the gradient
    weight_decay: float = Field(0.0, ge=0)

    later: ClassVar[Mapping[str, Any]] = {
        **{name: value for name, value in SharedBatches.later.items() if name != "schedule"},
        **Startable.later,
        "adapts": "all",
        "head_start": "learned",
        "train_n_way": None,
        "first_order_steps": 0,
        "clip": None,
        "weight_decay": 0.0,
    }
    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **STARTED_BATCHES,
        **dict.fromkeys(("precision", "compile", "train_images"), ({"adapts": ("head",)},)),
        **dict.fromkeys(("head_start", "down", "batch_norm"), ({"adapts": ("all",)},)),
        "train_n_way": ({"adapts": ("head",), "head_start": ("zeros",)},),
        **dict.fromkeys(("train_k_shot", "train_n_query", "episodes_per_step"), ({"train_images": (None,)},)),
        "first_order_steps": ({"first_order": (False,)},),
    }

    @property
    def batch_norms(self) -> tuple[str, ...]:
        """What evaluation.batch_norm can ask for: nothing where a task leaves the features as they are."""
        return ("support", "queries") if self.adapts == "all" else ()

    def most_ways(self, n_way: int) -> int | None:
        """Return the evaluation's number of classes where the head has a start for each."""
        return None if self.starts_at_zeros else n_way

    @property
    def starts_at_zeros(self) -> bool:
        """Whether the head of every task starts at zeros."""
        return self.adapts == "head" or self.head_start == "zeros"

    def ways(self, n_way: int) -> int:
        """Return how many classes a training task has."""
        return self.train_n_way or n_way if self.starts_at_zeros else n_way

    def classes_per_episode(self, n_way: int) -> dict[str, int]:
        """Return how many classes a training task has, by the option that says so."""
        return {"n_way" if self.ways(n_way) == n_way else "train_n_way": self.ways(n_way)}

    def images_per_class(self, k_shot: int) -> dict[str, int]:
        """Return the images of one class in a training task, or in a batch that serves many."""
        return self.images_drawn() or super().images_per_class(k_shot)

    def shaped_by(self) -> tuple[str, ...]:
        """Return the options of the evaluation that training depends on."""
        ways = () if self.train_n_way and self.starts_at_zeros else ("n_way",)
        return ways if self.train_images or self.train_k_shot else (*ways, "k_shot")

    def images_per_step(self, n_way: int, k_shot: int) -> float:
        """Return the images of a step: once each where only the head adapts."""
        if self.adapts == "head":
            return SharedBatches.images_per_step(self, n_way, k_shot)
        return super().images_per_step(self.ways(n_way), k_shot)

    def images_embedded(self, n_way: int, k_shot: int, steps: int) -> float:
        """Return how many images the first steps embed: more while every inner step is judged."""
        plain = super().images_embedded(n_way, k_shot, steps)
        if self.adapts == "head":
            return plain
        support, queries = self.train_k_shot or k_shot, self.train_n_query
        judged = queries + (support if self.batch_norm == "support" else 0)
        more = min(steps, self.multi_step) * (self.inner_steps - 1) * judged
        return plain + more * self.episodes_per_step * self.ways(n_way)

    @model_validator(mode="after")
    def _shares_batches_where_the_head_alone_adapts(self) -> Self:
        if self.train_images and self.adapts == "all":
            raise ValueError(
                "train_images embeds a batch once for many tasks, and adapts=all changes the features "
                "in each: use --set adapts=head, or train_images=null"
            )
        return self

    @model_validator(mode="after")
    def _has_a_rate_for_each_step(self) -> Self:
        if self.learned_rates and self.test_steps is not None and self.test_steps > self.inner_steps:
            raise ValueError(
                f"learned_rates knows no rate for step {self.test_steps} of the test: lower test_steps to "
                f"{self.inner_steps}"
            )
        if self.multi_step and self.inner_steps == 1:
            raise ValueError("multi_step judges every inner step and there is one: raise inner_steps")
        return self


class MetaLstmConfig(Adapting):
    """Meta-LSTM (Ravi & Larochelle 2017): an LSTM whose cell state is the network's weights."""

    name: Literal["meta-lstm"] = "meta-lstm"
    steps: int = Field(75_000, ge=1, le=100_000_000)  # episodes
    validate_every: int = Field(1000, ge=0)
    filters: int = Field(32, ge=1, le=1024)
    down: Literal["stride", "pool"] = "pool"
    train_n_query: int = Field(15, ge=1)
    inner_steps: int = Field(12, ge=1, le=100)
    hidden_size: int = Field(20, ge=1, le=512)
    lr: float = Field(1e-3, gt=0)
    clip: float = Field(0.25, gt=0)  # norm of the gradient
    batch_norm: BatchStatistics = "support"


class LearnedOptimiserConfig(Adapting):
    """The coordinate-wise LSTM of Andrychowicz et al. 2016, here as the optimiser of all layers."""

    name: Literal["coordinate-lstm"] = "coordinate-lstm"
    steps: int = Field(20_000, ge=1, le=100_000_000)  # tasks
    validate_every: int = Field(500, ge=0)
    filters: int = Field(64, ge=1, le=1024)
    down: Literal["stride", "pool"] = "pool"
    batch_norm: BatchStatistics = "support"
    start: Literal["random", "learned"] = "random"  # of the weights: drawn anew for each task, or learned too
    inner_steps: int = Field(10, ge=1, le=1000)
    unroll: int | None = Field(None, ge=1)  # inner steps per step of phi; None: all of a task's
    judged: Literal["every-step", "last-step"] = "every-step"  # inner steps whose weights the queries judge
    separate: bool = False  # one LSTM for the convolutions, another for the head
    hidden_size: int = Field(20, ge=1, le=512)
    layers: int = Field(2, ge=1, le=8)
    output_scale: float = Field(0.1, gt=0)
    skip_lr: float = Field(0.0, ge=0)  # update = output - skip_lr * gradient
    lr: float = Field(1e-3, gt=0)  # Adam, on phi and a learned start
    clip: float = Field(1.0, gt=0)

    def _times_judged(self) -> int:
        return self.inner_steps if self.judged == "every-step" else 1

    @model_validator(mode="after")
    def _every_piece_is_judged(self) -> Self:
        if self.unroll is not None and self.unroll > self.inner_steps:
            raise ValueError(
                f"unroll {self.unroll} is more than inner_steps {self.inner_steps}: lower it or leave it out"
            )
        if self.unroll is not None and self.unroll < self.inner_steps and self.judged == "last-step":
            raise ValueError(
                "judged=last-step tells nothing before the last unroll: use every-step with unroll"
            )
        return self
