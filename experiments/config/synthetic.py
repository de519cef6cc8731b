"""Options of the linear case study: its data, its learner, how it is measured (paper sections 3.1 and 4.1).

Not here: the covariances themselves and the starting weights (experiments/linear).
"""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from experiments.config.base import MAX_SEED, AllBut, Frozen, Need
from experiments.config.training import Training

Matrix = tuple[tuple[float, ...], ...]
LARGEST_BYTES = 64 * 2**30  # of memory that a run may be expected to need
_NUMBER = 8  # bytes of a float64


class GaussianData(Frozen):
    """Inputs x ~ N(0, Sigma), tasks W_bar ~ N(0, A), labels y = W_bar x + noise (paper section 3.1).

    Sigma comes from `covariance`, or from `spectrum`, or from `condition_number`; A from `task_covariance` or
    `task_condition_number`. With several components each task has one of several Sigmas (paper section 6).
    """

    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        "covariance_seed": (
            {"condition_number": AllBut(1), "task_condition_number": AllBut(1), "spectrum": AllBut(None)},
        ),
    }

    kind: Literal["gaussian"] = "gaussian"
    dimension: int = Field(10, ge=1, le=4096)  # d
    batch_size: int = Field(100, ge=1, le=1_000_000)  # k
    noise: float = Field(0.1, ge=0)  # standard deviation of epsilon
    condition_number: float = Field(1.0, ge=1)  # largest over smallest eigenvalue of Sigma, mean 1
    covariance_seed: int = Field(0, ge=0, le=MAX_SEED)  # draws the eigenvectors of Sigma, and of A
    spectrum: tuple[float, ...] | None = None  # the eigenvalues of Sigma, one for each dimension
    covariance: Matrix | None = None  # Sigma itself
    task_condition_number: float = Field(1.0, ge=1)  # the same of A, mean 1
    task_covariance: Matrix | None = None  # A itself
    components: int = Field(1, ge=1, le=64)  # Sigmas of one spectrum, eigenvectors by covariance_seed + z

    @model_validator(mode="after")
    def _describes_covariances(self) -> Self:
        if self.spectrum is not None:
            _check_spectrum(self.spectrum, self.dimension)
        for name in ("covariance", "task_covariance"):
            if (matrix := getattr(self, name)) is not None:
                _check_covariance(name, matrix, self.dimension)
        self._check_one_source()
        if self.components > 1 and not self.has_directions:
            raise ValueError(
                f"components {self.components} are all the same Sigma while its eigenvalues are equal: "
                "set condition_number above 1, or an uneven spectrum"
            )
        return self

    def _check_one_source(self) -> None:
        chosen = [name for name in ("covariance", "spectrum") if getattr(self, name) is not None]
        chosen += ["condition_number"] if self.condition_number != 1 else []
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} both say what Sigma is: set one of them")
        if self.task_covariance is not None and self.task_condition_number != 1:
            raise ValueError("task_covariance and task_condition_number both say what A is: set one of them")
        if self.covariance is not None and self.components > 1:
            raise ValueError(
                f"components {self.components} need a Sigma each and covariance is one: "
                "give its eigenvalues as spectrum instead"
            )

    @property
    def has_directions(self) -> bool:
        """Whether Sigma's eigenvalues differ, so that turning it makes another Sigma."""
        if self.covariance is not None:
            first = self.covariance[0][0]
            return any(
                value != (first if row == column else 0.0)
                for row, values in enumerate(self.covariance)
                for column, value in enumerate(values)
            )
        if self.spectrum is not None:
            return len(set(self.spectrum)) > 1
        return self.condition_number != 1 and self.dimension > 1


class LinearFastSlowConfig(Training):
    """The two-layer linear network: W_s by slow SGD, W_f by a fast learner (paper section 3.1, Table 1)."""

    needs: ClassVar[Mapping[str, tuple[Need, ...]]] = {
        **Training.needs,
        **dict.fromkeys(("hidden_size", "layers", "output_scale", "meta_lr"), ({"fast_learner": ("lstm",)},)),
        "sampler": ({"fast_learner": ("sgd",)}, {"slow_modules": ("single", "known")}),
    }

    name: Literal["linear"] = "linear"
    steps: int = Field(100_000, ge=1, le=1_000_000_000)  # tasks
    log_every: int = Field(200, ge=1)
    # A linear network that is no number, or beyond all bounds, never comes back: 1 ends the run at that task.
    stop_on_nan_after: int = Field(1, ge=0)
    fast_lr: float = Field(0.2, gt=0)  # eta
    slow_lr: float = Field(1e-3, gt=0)  # delta
    initial_scale: float = Field(0.7, gt=0)  # entries of W_s start as N(0, initial_scale^2 / dimension)
    slow_batch: Literal["fresh", "same"] = "fresh"  # fresh as in Lemma 2, the same as in Table 1
    slow_gradient: Literal["held", "through"] = "held"  # W_f held fixed, or a function of W_s
    inner_steps: int = Field(1, ge=1, le=100)  # fast and slow steps a task
    fast_learner: Literal["sgd", "lstm"] = "sgd"
    sampler: Literal["fast", "direct"] = "fast"  # lstm and inferred always draw whole batches
    slow_modules: Literal["single", "known", "inferred"] = "single"  # one W_s, or one for each component
    hidden_size: int = Field(20, ge=1, le=512)  # of the lstm, as the three below
    layers: int = Field(2, ge=1, le=8)
    output_scale: float = Field(0.1, gt=0)  # its update = output_scale * output - fast_lr * gradient
    meta_lr: float = Field(1e-3, gt=0)  # of Adam on its weights

    @model_validator(mode="after")
    def _is_offered(self) -> Self:
        if self.fast_learner == "lstm" and self.slow_gradient == "through":
            raise ValueError("slow_gradient through needs fast_learner sgd: set slow_gradient=held")
        if self.fast_learner == "lstm" and self.slow_modules == "inferred":
            raise ValueError("slow_modules inferred needs fast_learner sgd: set slow_modules=known")
        return self


class TaskEvaluation(Frozen):
    """How the linear case study is measured: fresh tasks, numbered, the same for every run.

    Each angle (degrees) and each condition number is one more set of tasks, whose Sigma is turned in the
    plane of its first and last eigenvector, or has eigenvalues of that condition number.
    """

    split: ClassVar[Literal["test"]] = "test"
    episodes: int = Field(1000, ge=2, le=1_000_000)
    seed: int = Field(0, ge=0, le=MAX_SEED)
    angles: tuple[float, ...] = Field((), max_length=100)
    condition_numbers: tuple[float, ...] = Field((), max_length=100)

    @field_validator("angles", "condition_numbers", mode="before")
    @classmethod
    def _one_is_enough(cls, value: object) -> object:
        return (value,) if isinstance(value, int | float) else value

    @model_validator(mode="after")
    def _can_be_conditions(self) -> Self:
        for value in self.condition_numbers:
            if value < 1:
                raise ValueError(f"condition_numbers has {value:g}: give numbers of at least 1")
        return self


class SyntheticRun(Frozen):
    """One run of the linear case study (paper section 4.1, Figure 4): seeds seed, seed + 1, ... together."""

    experiment: Literal["synthetic"] = "synthetic"
    seed: int = Field(0, ge=0, le=MAX_SEED)
    seeds: int = Field(1, ge=1, le=10_000)
    data: GaussianData = GaussianData()
    method: LinearFastSlowConfig = LinearFastSlowConfig()
    evaluation: TaskEvaluation = TaskEvaluation()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.method.slow_modules != "single" and self.data.components == 1:
            raise ValueError(
                f"slow_modules {self.method.slow_modules} is one W_s for each component: set components=2"
            )
        if self.evaluation.angles and not self.data.has_directions:
            raise ValueError(
                "angles turn Sigma, whose eigenvalues are all equal: set condition_number above 1"
            )
        if (needed := self.memory) > LARGEST_BYTES:
            raise ValueError(
                f"dimension {self.data.dimension} with {self.seeds} seeds would need about "
                f"{needed / 2**30:,.0f} GiB of memory: lower dimension, batch_size or seeds"
            )
        return self

    @property
    def module_count(self) -> int:
        """The number of slow modules a seed has."""
        return 1 if self.method.slow_modules == "single" else self.data.components

    @property
    def draws_batches(self) -> bool:
        """Whether whole batches are drawn, rather than what an update needs of them."""
        method = self.method
        return (
            method.sampler == "direct" or method.fast_learner == "lstm" or method.slow_modules == "inferred"
        )

    @property
    def memory(self) -> int:
        """Bytes a run needs, about: weights and their statistics, covariances, and what is drawn at once."""
        square = self.data.dimension**2
        weights = 6 * self.seeds * self.module_count * square
        covariances = (8 * self.data.components + 8) * square
        drawn = 2 * (self.data.dimension + 1) * (self.data.batch_size if self.draws_batches else 1)
        drawn *= 2 * self.seeds * self.method.inner_steps
        return _NUMBER * (weights + covariances + drawn)


def _check_spectrum(spectrum: tuple[float, ...], dimension: int) -> None:
    if len(spectrum) != dimension:
        raise ValueError(
            f"spectrum has {len(spectrum)} eigenvalues and dimension is {dimension}: make them the same"
        )
    for value in spectrum:
        if not value > 0:
            raise ValueError(f"spectrum has {value:g}: the eigenvalues of a covariance are above 0")


def _check_covariance(name: str, matrix: Matrix, dimension: int) -> None:
    """Raise ValueError unless a matrix is square, symmetric, positive definite and of the right size."""
    if len(matrix) != dimension or any(len(row) != dimension for row in matrix):
        columns = sorted({len(row) for row in matrix})
        raise ValueError(
            f"{name} has {len(matrix)} rows of {' or '.join(map(str, columns)) or 'no'} numbers and "
            f"dimension is {dimension}: give {dimension} x {dimension} numbers"
        )
    for row in range(dimension):
        for column in range(row):
            one, other = matrix[row][column], matrix[column][row]
            if not math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12):
                raise ValueError(
                    f"{name} is not symmetric: row {row + 1}, column {column + 1} is {one:g} and its mirror "
                    f"image {other:g}"
                )
    import numpy as np  # only where a matrix is given

    lowest = float(np.linalg.eigvalsh(np.array(matrix))[0])
    if lowest <= 1e-12 * max(matrix[index][index] for index in range(dimension)):
        raise ValueError(f"{name} is not positive definite: its smallest eigenvalue is {lowest:.3g}")
