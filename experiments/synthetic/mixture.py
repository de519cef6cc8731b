"""Where one W_s settles that meets inputs of several covariances (paper section 6; numpy, float64).

Not here: one covariance, which has a closed form (theory.py).
"""

import numpy as np

from experiments.synthetic.dynamics import Expectation
from experiments.synthetic.moments import Matrix, transposed
from experiments.synthetic.theory import fixed_point, same_batch_fixed_point

LARGEST = 40  # dimension: Newton's matrix has d^4 / 4 numbers
_TURNS = 100


def rest_point(expectation: Expectation) -> Matrix | None:
    """Return where S settles under any variant of the slow update (d, d).

    None for a mixture in more than LARGEST dimensions, or if no such point was found.
    """
    e = expectation
    if len(e.components) == 1:
        settle = fixed_point if e.slow_batch == "fresh" else same_batch_fixed_point
        return settle(e.components[0], e.a, e.noise, e.k, e.eta)
    return _shared(e) if len(e.a) <= LARGEST else None


def _shared(expectation: Expectation) -> Matrix | None:
    """Return the S at which S E_z[C_z(S)] has no symmetric part, by Newton's method.

    There a small expected step leaves S alone, though it may turn W_s (W_s <- Q W_s): C itself is zero only
    where the step goes through W_f, or there is one component. That case, linear in S, starts the search.
    """
    d = len(expectation.a)
    rows, columns = np.triu_indices(d)
    basis = np.zeros((len(rows), d, d))  # of the symmetric matrices
    basis[np.arange(len(rows)), rows, columns] = basis[np.arange(len(rows)), columns, rows] = 1
    offset = expectation.bracket(np.zeros((d, d)))
    slopes = expectation.bracket(basis) - offset  # C is linear in S

    def solved(jacobian: Matrix, value: Matrix) -> Matrix:
        flat = np.linalg.solve(_symmetric(jacobian)[:, rows, columns].T, _symmetric(value)[rows, columns])
        return np.asarray(np.tensordot(flat, basis, 1))

    s = -solved(slopes, offset)
    for _ in range(_TURNS):
        c = expectation.bracket(s)
        change = solved(basis @ c + s @ slopes, s @ c)
        s = s - change
        if np.abs(change).max() < 1e-10 * np.abs(s).max():
            return s if np.linalg.eigvalsh(s)[0] > 0 else None
    return None


def _symmetric(matrix: Matrix) -> Matrix:
    return (matrix + transposed(matrix)) / 2
