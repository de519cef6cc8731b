"""What W_s is judged by: its distance from what theory says, and what it is worth on fresh tasks (numpy).

Fresh tasks are the same for every run of a seed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.config import SyntheticRun
from experiments.linear.covariance import covariances, reconditioned, root_of, task_covariance, turned
from experiments.linear.direct import Array, Progress, Update
from experiments.linear.tasks import Gram, LazyGram, WholeGram
from experiments.linear.theory import fixed_point, printed_fixed_point, same_batch_fixed_point, whitening
from experiments.rng import seed_of


@dataclass(frozen=True)
class Targets:
    """Where each component's S should be, (components, d, d) each; `root` is Sigma's Cholesky root."""

    eta: float
    sigma: Array
    root: Array
    whitening: Array
    fixed_point: Array
    printed: Array


def targets(config: SyntheticRun) -> Targets:
    """Return the targets of a config; the fixed point is that of one fast step of SGD."""
    data, eta = config.data, config.method.fast_lr
    sigmas, a = covariances(data), task_covariance(data)
    rest = fixed_point if config.method.slow_batch == "fresh" else same_batch_fixed_point

    def each(formula: object) -> Array:
        assert callable(formula)
        return np.stack([formula(sigma, a, data.noise, data.batch_size, eta) for sigma in sigmas])

    return Targets(
        eta=eta,
        sigma=sigmas,
        root=root_of(sigmas),
        whitening=np.stack([whitening(sigma, eta) for sigma in sigmas]),
        fixed_point=each(rest),
        printed=each(printed_fixed_point),
    )


def of_each_component(weights: Array, components: int) -> Array:
    """Return W_s (seeds, components, d, d) that each component is met with, from (seeds, modules, d, d)."""
    seeds, _, d, _ = weights.shape
    return np.broadcast_to(weights, (seeds, components, d, d))


def distances(weights: Array, target: Targets) -> dict[str, Array]:
    """Return ||S - ...||_F^2 (seeds,) from whitening and from the fixed point, a mean over components."""
    w_s = of_each_component(weights, len(target.sigma))
    s = w_s.mT @ w_s
    return {
        "frobenius": np.square(s - target.whitening).sum((-1, -2)).mean(-1),
        "fixed_point_distance": np.square(s - target.fixed_point).sum((-1, -2)).mean(-1),
    }


def relative_errors(weights: Array, target: Targets) -> dict[str, Array]:
    """Return ||S - S*||^2 / ||S*||^2 (seeds,) for the fixed point and for the paper's equation 4."""
    w_s = of_each_component(weights, len(target.sigma))
    s = w_s.mT @ w_s

    def error(goal: Array) -> Array:
        share = np.square(s - goal).sum((-1, -2)) / np.square(goal).sum((-1, -2))
        return np.asarray(share.mean(-1))

    return {"fixed_point_error": error(target.fixed_point), "printed_error": error(target.printed)}


def eigenvalues(weights: Array, target: Targets) -> dict[str, Array]:
    """Return the smallest and largest eigenvalue (seeds,) of eta S Sigma, a mean over components.

    Both are 1 where S whitens. NaN for a seed that is no number.
    """
    product = of_each_component(weights, len(target.sigma)) @ target.root
    found = np.full((*product.shape[:2], 2), np.nan)
    good = np.isfinite(product).all((-1, -2))
    found[good] = target.eta * np.linalg.eigvalsh(product[good].mT @ product[good])[:, [0, -1]]
    low, high = found.mean(1).T
    return {"eigenvalue_low": low, "eigenvalue_high": high}


def cosines(weights: Array, components: NDArray[np.int64], w_bar: Array, y_x: Array) -> Array:
    """Return the cosine (seeds, n) of -dL/dW_f at W_f = 0 with W_bar W_s^-1 (Lemma 1).

    weights (seeds, modules, d, d); components (seeds, n); w_bar and y_x = Y X^T (seeds, n, d).
    """
    found = np.full(components.shape, np.nan)
    for z in range(weights.shape[1]):
        w_s = weights[:, z]  # (seeds, d, d)
        step = y_x @ w_s.mT
        ideal = _solved(w_s.mT, w_bar.mT).mT
        lengths = np.linalg.norm(step, axis=-1) * np.linalg.norm(ideal, axis=-1)
        cosine = np.einsum("sni,sni->sn", step, ideal) / lengths
        found = np.where((components == z) | (weights.shape[1] == 1), cosine, found)
    return found


def _solved(matrices: Array, columns: Array) -> Array:
    """Return matrices^-1 columns, NaN where any of the matrices has no inverse."""
    try:
        return np.asarray(np.linalg.solve(matrices, columns))
    except np.linalg.LinAlgError:
        return np.full(columns.shape, np.nan)


def of_progress(weights: Array, progress: Progress, target: Targets) -> dict[str, Array]:
    """Return everything a chunk of training is judged by, (seeds,) each."""
    cosine = cosines(weights, progress.components, progress.w_bar, progress.y_x)
    return {
        "loss_ratio": progress.after / progress.before,
        **distances(weights, target),
        **eigenvalues(weights, target),
        "gradient_cosine": cosine.mean(-1),
    }


LARGEST_BLOCK = 256  # tasks measured at once
BLOCK_NUMBERS = 2**22


@dataclass(frozen=True)
class Fresh:
    """Where tasks come from: Sigma of each component and its Cholesky root, both (components, d, d)."""

    config: SyntheticRun
    seed: int  # of the run
    split: str
    sigma: Array
    root: Array
    task_root: Array  # (d, d), of A
    precision: Array  # inverse of the Sigmas learned from, which components are inferred with

    @property
    def loss_0(self) -> float:
        """E[L0] = tr(Sigma A) + noise^2, a mean over components."""
        power = np.square(self.root.mT @ self.task_root).sum((-1, -2)).mean()
        return float(power + self.config.data.noise**2)

    def shifted(self, shift: Callable[[Array], Array]) -> "Fresh":
        """Return the same tasks with every Sigma changed."""
        sigma = np.stack([shift(each) for each in self.sigma])
        return replace(self, sigma=sigma, root=root_of(sigma))


def fresh_tasks(config: SyntheticRun, seed: int, split: str) -> Fresh:
    """Return the tasks that a seed of a config is measured on."""
    sigma = covariances(config.data)
    root, task_root = root_of(sigma), root_of(task_covariance(config.data))
    return Fresh(config, seed, split, sigma, root, task_root, np.asarray(np.linalg.inv(sigma)))


def per_task(fresh: Fresh, weights: Array, update: Update, episodes: range) -> dict[str, Array]:
    """Return each numbered task's values: loss ratios, and how near one step comes (Lemma 1).

    weights (modules, d, d). A loss ratio is L1 over the expected L0, so that its mean is E[L1] / E[L0]; there
    is one for every shift of Sigma the config names.
    """
    evaluation = fresh.config.evaluation
    values = _measured(fresh, weights, update, episodes)
    for angle in evaluation.angles:
        other = fresh.shifted(lambda sigma, angle=angle: turned(sigma, angle))  # type: ignore[misc]
        values[f"loss_ratio_angle_{angle:g}"] = _measured(other, weights, update, episodes)["loss_ratio"]
    for number in evaluation.condition_numbers:
        other = fresh.shifted(lambda sigma, number=number: reconditioned(sigma, number))  # type: ignore[misc]
        values[f"loss_ratio_condition_{number:g}"] = _measured(other, weights, update, episodes)["loss_ratio"]
    return values


def _measured(fresh: Fresh, weights: Array, update: Update, episodes: range) -> dict[str, Array]:
    parts = [
        {name: values[rows] for name, values in _block(fresh, weights, update, index, size).items()}
        for index, size, rows in _blocks(fresh.config, episodes)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _blocks(config: SyntheticRun, episodes: range) -> Iterator[tuple[int, int, slice]]:
    """Yield blocks by number, their size, and which of their tasks are asked for."""
    d, several = config.data.dimension, config.data.components > 1
    numbers = (d + 1) * (config.data.batch_size if config.method.slow_modules == "inferred" else 8)
    numbers += 3 * d**2 if several else 0  # matrices of each task
    size = max(1, min(LARGEST_BLOCK, BLOCK_NUMBERS // numbers))
    for index in range(episodes.start // size, (episodes.stop - 1) // size + 1):
        first, last = max(episodes.start - index * size, 0), min(episodes.stop - index * size, size)
        yield index, size, slice(first, last)


def _block(fresh: Fresh, weights: Array, update: Update, index: int, n: int) -> dict[str, Array]:
    """Return the values (n,) of one block of tasks."""
    config, data = fresh.config, fresh.config.data
    key = ("evaluation", config.evaluation.seed, fresh.split, fresh.seed, index)
    source = np.random.Generator(np.random.SFC64(seed_of(*key)))
    component = source.integers(data.components, size=n)
    w_bar = source.standard_normal((n, data.dimension)) @ fresh.task_root.T
    gram: Gram = LazyGram(source, data.batch_size)
    values = {}
    module = component if len(weights) > 1 else np.zeros_like(component)
    if config.method.slow_modules == "inferred":
        gram = whole = WholeGram(source, data.batch_size, n, data.dimension + 1)
        module = _likeliest(fresh, whole, component)
        values["inference_accuracy"] = (module == component).astype(np.float64)
    reached, y_x = _adapted(
        fresh, weights[module] if len(weights) > 1 else weights, update, gram, w_bar, component
    )
    left = _white(fresh, reached - w_bar, component)
    loss_1 = np.square(left).sum(1) * source.chisquare(data.batch_size, n) / data.batch_size
    s = weights.mT @ weights
    once = _times(_times(w_bar, fresh.sigma, component), s, module) * config.method.fast_lr
    missing = np.linalg.norm(once - w_bar, axis=1) / np.linalg.norm(w_bar, axis=1)
    cosine = cosines(weights[None], module[None], w_bar[None], y_x[None])[0]
    return {
        "loss_ratio": loss_1 / fresh.loss_0,
        "gradient_cosine": cosine,
        "one_step_error": missing,
        **values,
    }


def _adapted(
    fresh: Fresh, w_s: Array, update: Update, gram: Gram, w_bar: Array, component: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Return M = W_f W_s (n, d) after the fast steps on a support batch, and Y X^T (n, d) of that batch.

    w_s is (1, d, d), or (n, d, d): one for each task.
    """
    d, k = fresh.config.data.dimension, fresh.config.data.batch_size
    w_f = np.zeros_like(w_bar)
    reached, y_x, state = w_f, w_f, None
    each = np.arange(len(w_bar))
    for step in range(fresh.config.method.inner_steps):
        product = gram.times(_white(fresh, reached - w_bar, component))[:, :d]
        error = _times(product, fresh.root.mT, component)  # (M X - Y) X^T
        y_x = -error if step == 0 else y_x
        change, state = update(_times(error, w_s.mT, each) / k, state)
        w_f = w_f + change
        reached = _times(w_f, w_s, each)
    return reached, y_x


def _white(fresh: Fresh, difference: Array, component: NDArray[np.int64]) -> Array:
    """Return (n, d + 1): what a residual (difference x - noise) multiplies standard normal numbers with."""
    noise = np.full((len(difference), 1), -fresh.config.data.noise)
    return np.concatenate((_times(difference, fresh.root, component), noise), axis=1)


def _likeliest(fresh: Fresh, gram: WholeGram, component: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the component (n,) whose Sigma makes each support batch's inputs likeliest."""
    z = gram.z[:, : fresh.config.data.dimension]
    root = fresh.root[component]
    # Determinants are left out: all components have one spectrum.
    inputs = root @ (z @ z.mT) @ root.mT  # X X^T
    return np.asarray(np.einsum("zij,nij->nz", fresh.precision, inputs).argmin(1))


def _times(rows: Array, matrices: Array, index: NDArray[np.int64]) -> Array:
    """Return each row (n, d) times its matrix, matrices[index], or times the only one."""
    if len(matrices) == 1:
        return np.asarray(rows @ matrices[0])
    return np.asarray((rows[:, None] @ matrices[index])[:, 0])
