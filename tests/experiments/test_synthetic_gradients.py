"""The compiled recursion and the direct one, number by number, against automatic differentiation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from experiments.config import GaussianData, LinearFastSlowConfig, SyntheticRun
from experiments.linear import kernel
from experiments.linear.direct import DirectRecursion
from experiments.linear.fast import FastRecursion
from experiments.linear.tasks import Draws, draw, layout

VARIANTS: dict[str, dict[str, Any]] = {
    "held-fresh": {},
    "through-fresh": {"slow_gradient": "through"},
    "held-same": {"slow_batch": "same"},
    "through-same": {"slow_batch": "same", "slow_gradient": "through"},
    "three-steps": {"inner_steps": 3},
    "three-steps-same": {"inner_steps": 3, "slow_batch": "same"},
    "three-steps-through": {"inner_steps": 3, "slow_gradient": "through"},
    "three-steps-through-same": {"inner_steps": 3, "slow_gradient": "through", "slow_batch": "same"},
}
ETA, DELTA, NOISE = 0.02, 0.005, 0.4


def config(k: int = 5, **method: Any) -> SyntheticRun:
    data = GaussianData(dimension=4, batch_size=k, noise=NOISE, condition_number=6)
    return SyntheticRun(data=data, method=LinearFastSlowConfig(fast_lr=ETA, slow_lr=DELTA, **method))


@dataclass
class Gram:
    """Z Z^T (D, D) as far as it was looked at, built from given numbers with full projections."""

    normals: Tensor
    chi: Tensor
    found: Tensor
    basis: list[Tensor]

    @classmethod
    def of(cls, normals: np.ndarray, chi: np.ndarray) -> "Gram":
        size = normals.shape[-1]
        return cls(
            torch.from_numpy(normals), torch.from_numpy(chi), torch.zeros(size, size, dtype=torch.float64), []
        )

    def look(self, u: Tensor) -> None:
        """Draw the direction that is new in u."""
        new = u.detach().clone()
        for _ in range(2):
            for q in self.basis:
                new = new - q * (q @ new)
        if len(self.basis) == len(self.chi) or new.norm() < 1e-9 * u.norm():
            return
        self.basis.append(new / new.norm())
        index = len(self.basis) - 1
        column = self.normals[index]
        for q in self.basis:
            column = column - q * (q @ column)
        column = column + self.chi[index] * self.basis[-1]
        self.found = self.found + torch.outer(column, column)


def one_task(
    asked: SyntheticRun, draws: Draws, w_s: Tensor, root: Tensor, task: int
) -> tuple[Tensor, Tensor]:
    """Return W_s after one task, and k L1, with every gradient taken by autograd from the Gram matrices."""
    method, k = asked.method, asked.data.batch_size
    _, w_bars, normals, chi, fresh_normals, fresh_chi = draws
    w_bar = torch.from_numpy(w_bars[task])
    first = Gram.of(normals[task], chi[task])
    noise = torch.tensor([-NOISE], dtype=torch.float64)

    def white(m: Tensor) -> Tensor:
        return torch.cat((root * (m - w_bar), noise))

    def after_fast_step(w_f: Tensor, weights: Tensor) -> Tensor:
        error = root * (first.found @ white(w_f @ weights))[:-1]
        return w_f - ETA / k * error @ weights.T

    w_f = torch.zeros(4, dtype=torch.float64)
    for step in range(method.inner_steps):
        first.look(white(w_f @ w_s))
        following = after_fast_step(w_f, w_s)
        judge = first
        if method.slow_batch == "fresh":
            judge = Gram.of(fresh_normals[task, step, None], fresh_chi[task, step, :1])
        judge.look(white(following @ w_s))
        if method.slow_gradient == "through" and step:
            h = root * (judge.found @ white(following @ w_s))[:-1] / k
            first.look(torch.cat((root * (w_s.T @ (w_s @ h)), 0 * noise)))
        weights = w_s.clone().requires_grad_()
        step_taken = after_fast_step(w_f, weights)
        u = white((step_taken if method.slow_gradient == "through" else following) @ weights)
        loss = u @ judge.found.detach() @ u / (2 * k)
        (gradient,) = torch.autograd.grad(loss, weights)
        w_s = w_s - DELTA * gradient
        w_f = following
    return w_s, 2 * k * loss.detach()


@pytest.mark.parametrize("k", [1, 3, 9])
@pytest.mark.parametrize("name", VARIANTS)
def test_compiled_update_is_the_gradient_autograd_finds_for_the_same_numbers(name: str, k: int) -> None:
    asked = config(k, **VARIANTS[name])
    learning = FastRecursion(asked, threads=1)
    plan = layout(asked)
    draws = draw(plan, 0, 0)
    for task in range(3):
        before = torch.from_numpy(learning.w_s[0, 0].copy())
        root = torch.from_numpy(learning.roots[0, 0])
        expected, loss = one_task(asked, draws, before, root, task)
        progress = learning.advance(task, 1)
        torch.testing.assert_close(torch.from_numpy(learning.w_s[0, 0]), expected, rtol=1e-9, atol=1e-11)
        assert progress.after[0] == pytest.approx(float(loss), rel=1e-9)
        assert not torch.allclose(expected, before, rtol=1e-6)


@pytest.mark.parametrize("name", ["held-fresh", "through-fresh", "held-same", "through-same"])
def test_direct_update_is_the_gradient_autograd_finds_on_the_same_batches(name: str) -> None:
    learning = DirectRecursion(config(**VARIANTS[name]))
    method = learning.config.method
    block = learning.tasks[0].block(0)
    x_1, y_1 = block.x[0, 0], block.y[0, 0]
    x_2, y_2 = block.x[0, -1], block.y[0, -1]
    weights = learning.w_s[0, 0].clone().requires_grad_()

    def w_f(w_s: Tensor) -> Tensor:
        start = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
        loss = (start @ w_s @ x_1 - y_1).square().sum() / (2 * 5)
        (gradient,) = torch.autograd.grad(loss, start, create_graph=True)
        return -ETA * gradient

    fast = w_f(weights) if method.slow_gradient == "through" else w_f(weights.detach()).detach()
    loss = (fast @ weights @ x_2 - y_2).square().sum() / (2 * 5)
    (gradient,) = torch.autograd.grad(loss, weights)
    learning.advance(0, 1)
    torch.testing.assert_close(learning.w_s[0, 0], weights.detach() - DELTA * gradient)


def test_work_rows_do_not_overlap() -> None:
    rows = [getattr(kernel, name) for name in ("W_BAR", "W_F", "BEFORE", "M", "H", "ERROR", "COLUMN")]
    rows += [kernel.U, kernel.LABEL, kernel.PRODUCT]
    assert sorted(rows) == list(range(kernel.DIRECTIONS))
    assert kernel.work_array(4, 3).shape == (kernel.DIRECTIONS + 6, 5)
