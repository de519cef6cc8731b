"""The recursion of the linear case study, compiled: O(d) random numbers and a few passes over W_s a task.

Not here: where its random numbers come from (tasks.py), and what it is checked against (direct.py).

All an update needs of a batch [X; eps] = root Z, Z (d + 1, k) standard normal, is Z Z^T u for a few vectors.
Along orthonormal directions q_1, q_2, ..., taken as the vectors come, Z Z^T = sum_j t_j t_j^T with
t_j = c_j q_j + (standard normal numbers projected off q_1 .. q_j) and c_j^2 chi-squared with k - j + 1
degrees of freedom: Z with its columns rotated so that the first lies along q_1^T Z, and so on. What is left
after t_1 .. t_j is independent of them, so a direction may depend on what was drawn before.

Vectors are rows of one array, named by the constants below: a view would cost more than what is done with it.
"""

from typing import Any

import numpy as np
from numba import boolean, float64, int64, njit, types

# Sums may be taken in another order than written; NaN and infinity keep their meaning.
_MATHS = {"reassoc", "contract", "nsz", "arcp"}


def _compiled(signature: Any) -> Any:
    """Compile for one signature, so that constants among the arguments make no variants."""
    return njit(signature, cache=True, nogil=True, fastmath=_MATHS, error_model="numpy")


_MATRIX, _CUBE = float64[:, ::1], float64[:, :, ::1]
_DRAWS = types.Tuple((int64[::1], _MATRIX, _CUBE, _MATRIX, _CUBE, _CUBE))
_RATES = types.UniTuple(float64, 2)

DEGENERATE = 1e-20  # squared share of a vector outside earlier directions below which nothing new is in it
EXPLODED = 1e12  # L1 / L0 beyond which a run has diverged

# Rows of the work array (rows, d + 1). Those of d numbers leave the last one alone.
W_BAR, W_F, BEFORE, M, H, ERROR, COLUMN = range(7)  # d numbers
U, LABEL, PRODUCT = range(7, 10)  # d + 1 numbers: what Z Z^T is multiplied with, and the result
DIRECTIONS = 10  # the first q; every t follows its q


def work_array(d: int, directions: int) -> Any:
    """Return the work array `learn` needs."""
    return np.zeros((DIRECTIONS + 2 * directions, d + 1))


@_compiled(types.void(_MATRIX, int64, _CUBE, int64, int64, float64))
def whiten(work, d, roots, z, source, noise):  # type: ignore[no-untyped-def]
    """U = (root_z^T source, noise); roots (components, 1, d) are diagonals, else (components, d, d)."""
    if roots.shape[1] == 1:
        for i in range(d):
            work[U, i] = roots[z, 0, i] * work[source, i]
    else:
        for i in range(d):
            work[U, i] = 0.0
        for j in range(d):
            for i in range(d):
                work[U, i] += roots[z, j, i] * work[source, j]
    work[U, d] = noise


@_compiled(types.void(_MATRIX, int64, _CUBE, int64, int64, int64))
def colour(work, d, roots, z, source, target):  # type: ignore[no-untyped-def]
    """Target = root_z times the first d numbers of source, another row."""
    if roots.shape[1] == 1:
        for i in range(d):
            work[target, i] = roots[z, 0, i] * work[source, i]
    else:
        for i in range(d):
            total = 0.0
            for j in range(d):
                total += roots[z, i, j] * work[source, j]
            work[target, i] = total


@_compiled(float64(_MATRIX, int64, int64, int64))
def inner(work, size, one, other):  # type: ignore[no-untyped-def]
    """Return the inner product of the first `size` numbers of two rows."""
    total = 0.0
    for i in range(size):
        total += work[one, i] * work[other, i]
    return total


@_compiled(types.void(_MATRIX, int64, int64, float64, int64))
def add(work, size, target, scale, source):  # type: ignore[no-untyped-def]
    """Target += scale * source, both rows."""
    for i in range(size):
        work[target, i] += scale * work[source, i]


@_compiled(int64(_MATRIX, int64, int64, _CUBE, _MATRIX, int64))
def gram_times_u(work, size, count, normals, chi, task):  # type: ignore[no-untyped-def]
    """PRODUCT = Z Z^T U of the first batch; return how many directions are drawn, with what is new in U.

    normals (tasks, directions, size) and chi (tasks, directions) are the numbers to draw them with.
    """
    if count < chi.shape[1]:
        q, t = DIRECTIONS + 2 * count, DIRECTIONS + 2 * count + 1
        for i in range(size):
            work[q, i] = work[U, i]
        for _ in range(2 if count else 0):  # twice is enough
            for j in range(DIRECTIONS, q, 2):
                add(work, size, q, -inner(work, size, j, q), j)
        rest = inner(work, size, q, q)
        if rest > DEGENERATE * inner(work, size, U, U):
            length = np.sqrt(rest)
            for i in range(size):
                work[q, i] /= length
                work[t, i] = normals[task, count, i]
            for j in range(DIRECTIONS, q + 1, 2):
                add(work, size, t, -inner(work, size, j, t), j)
            add(work, size, t, chi[task, count], q)
            count += 1
    for i in range(size):
        work[PRODUCT, i] = 0.0
    for j in range(count):
        t = DIRECTIONS + 2 * j + 1
        add(work, size, PRODUCT, inner(work, size, t, U), t)
    return count


@_compiled(float64(_MATRIX, int64, _CUBE, _CUBE, int64, int64))
def fresh_gram_times_u(work, size, normals, chi, task, step):  # type: ignore[no-untyped-def]
    """PRODUCT = Z Z^T U of a batch of its own; return LABEL^T Z Z^T LABEL.

    normals (tasks, steps, size) and chi (tasks, steps, 2) are the numbers to draw it with.
    """
    whole, first, second = inner(work, size, U, U), chi[task, step, 0], chi[task, step, 1]
    across, along = inner(work, size, LABEL, LABEL), inner(work, size, U, LABEL)
    if not whole > 0.0:
        for i in range(size):
            work[PRODUCT, i] = 0.0
        return across * first * first
    length = np.sqrt(whole)
    share = 0.0
    for i in range(size):
        share += work[U, i] * normals[task, step, i]
    ahead = first / length - share / whole
    energy = 0.0
    for i in range(size):
        t = normals[task, step, i] + ahead * work[U, i]
        energy += t * work[LABEL, i]
        work[PRODUCT, i] = t * first * length
    return energy * energy + max(across - along * along / whole, 0.0) * second * second


@_compiled(types.void(_MATRIX, int64, _CUBE, int64, float64))
def fast_step(work, d, w_s, module, rate):  # type: ignore[no-untyped-def]
    """W_F -= rate * ERROR W_s^T, and M = W_F W_s in the same pass over W_s (modules, d, d)."""
    for j in range(d):
        work[M, j] = 0.0
    for i in range(d):
        total = 0.0
        for j in range(d):
            total += w_s[module, i, j] * work[ERROR, j]
        weight = work[W_F, i] - rate * total
        work[W_F, i] = weight
        for j in range(d):
            work[M, j] += weight * w_s[module, i, j]


@_compiled(types.void(_MATRIX, int64, _CUBE, int64, float64, int64, int64))
def add_outer(work, d, w_s, module, scale, column, row):  # type: ignore[no-untyped-def]
    """W_s += scale * column row^T."""
    for i in range(d):
        factor = scale * work[column, i]
        for j in range(d):
            w_s[module, i, j] += factor * work[row, j]


@_compiled(int64(_MATRIX, int64, _CUBE, int64, _CUBE, int64, _RATES, int64, _CUBE, _MATRIX, int64))
def slow_step_through(work, d, w_s, module, roots, z, rates, count, normals, chi, task):  # type: ignore[no-untyped-def]
    """W_s -= delta times the part of dL/dW_s that comes through W_f; return how many directions are drawn.

    H = r X^T / k is dL/dM for M = W_f W_s. W_F = BEFORE - eta/k ERROR W_s^T with
    ERROR = (BEFORE W_s X - Y) X^T, so the part is -eta/k [(W_s H)^T ERROR + BEFORE^T (G S H)^T], with
    G = X X^T of the first batch.
    """
    scale = rates[0] * rates[1]
    for i in range(d):
        total = 0.0
        for j in range(d):
            total += w_s[module, i, j] * work[H, j]
        work[COLUMN, i] = total
    if inner(work, d, BEFORE, BEFORE) > 0.0:
        for j in range(d):
            work[M, j] = 0.0  # M is computed anew before it is used again
        for i in range(d):
            for j in range(d):
                work[M, j] += work[COLUMN, i] * w_s[module, i, j]
        whiten(work, d, roots, z, M, 0.0)
        count = gram_times_u(work, d + 1, count, normals, chi, task)
        colour(work, d, roots, z, PRODUCT, M)
        add_outer(work, d, w_s, module, scale, BEFORE, M)
    add_outer(work, d, w_s, module, scale, COLUMN, ERROR)
    return count


@_compiled(
    _RATES(_MATRIX, _CUBE, int64, _CUBE, int64, float64, int64, _RATES, int64, boolean, _DRAWS, int64, _CUBE)
)
def meet(work, w_s, module, roots, z, noise, k, rates, steps, through, draws, task, seen):  # type: ignore[no-untyped-def]
    """Learn one task: `steps` fast steps from W_F = 0, a slow step after each; return L1 and L0, times k."""
    d = w_s.shape[1]
    _, _, normals, chi, fresh_normals, fresh_chi = draws
    count = np.int64(0)
    loss_1, loss_0 = 0.0, 0.0
    for i in range(d):
        work[W_F, i] = work[M, i] = 0.0
    whiten(work, d, roots, z, W_BAR, noise)
    for i in range(d + 1):
        work[LABEL, i] = work[U, i]
    for step in range(steps):
        for i in range(d):
            work[BEFORE, i] = work[W_F, i]
            work[H, i] = work[M, i] - work[W_BAR, i]
        whiten(work, d, roots, z, H, -noise)
        count = gram_times_u(work, d + 1, count, normals, chi, task)
        colour(work, d, roots, z, PRODUCT, ERROR)
        if step == 0:
            loss_0 = inner(work, d + 1, U, PRODUCT)
            for i in range(d):
                seen[task, 1, i] = -work[ERROR, i]
        fast_step(work, d, w_s, module, rates[0])
        for i in range(d):
            work[H, i] = work[M, i] - work[W_BAR, i]
        whiten(work, d, roots, z, H, -noise)
        if fresh_chi.shape[1]:
            loss_0 = fresh_gram_times_u(work, d + 1, fresh_normals, fresh_chi, task, step)
        else:
            count = gram_times_u(work, d + 1, count, normals, chi, task)
        loss_1 = inner(work, d + 1, U, PRODUCT)
        colour(work, d, roots, z, PRODUCT, H)
        for i in range(d):
            work[H, i] /= k
        if through:
            count = slow_step_through(work, d, w_s, module, roots, z, rates, count, normals, chi, task)
        add_outer(work, d, w_s, module, -rates[1], W_F, H)
        if step + 1 < steps:
            fast_step(work, d, w_s, module, 0.0)  # M of the slow module as it is now
    return loss_1, loss_0


@_compiled(
    types.Tuple((float64, float64, int64))(
        _MATRIX,
        _CUBE,
        _CUBE,
        _CUBE,
        types.Tuple((float64, int64, float64, float64)),
        int64,
        boolean,
        _DRAWS,
        int64,
        int64,
        _CUBE,
    )
)
def learn(work, w_s, roots, task_roots, numbers, steps, through, draws, start, stop, seen):  # type: ignore[no-untyped-def]
    """Meet the tasks start .. stop - 1 of a block in turn, W_s (modules, d, d) changing in place.

    roots (components, 1 or d, d) and task_roots (modules, 1 or d, d) are diagonals or matrices; numbers is
    (noise, k, eta, delta); draws is (z, w_bar, normals, chi, fresh_normals, fresh_chi), see tasks.py. Row n
    of `seen` (tasks, 2, d) receives W_bar and Y X^T of task n. Returns the sums of k L1 and k L0, and the
    first task at which the run had diverged, -1 where none is.
    """
    noise, k, eta, delta = numbers
    components, w_bars = draws[0], draws[1]
    d = w_s.shape[1]
    after, before, diverged = 0.0, 0.0, -1
    for task in range(start, stop):
        z = components[task]
        module = z if len(w_s) > 1 else 0
        for i in range(d):
            work[H, i] = w_bars[task, i]
        colour(work, d, task_roots, module, H, W_BAR)
        for i in range(d):
            seen[task, 0, i] = work[W_BAR, i]
        loss_1, loss_0 = meet(
            work, w_s, module, roots, z, noise, k, (eta / k, delta), steps, through, draws, task, seen
        )
        after += loss_1
        before += loss_0
        if diverged < 0 and not loss_1 <= EXPLODED * loss_0:
            diverged = task
    return after, before, diverged
