"""Where W_s starts.

Not here: how it learns (trainer.py), and torch.
"""

import math

import numpy as np
from numpy.typing import NDArray

from experiments.config import SyntheticRun
from experiments.rng import seed_of


def initial_weights(config: SyntheticRun) -> NDArray[np.float64]:
    """Return W_s of every seed before the first task, (seeds, d, d); the same for all its modules."""
    d = config.data.dimension
    scale = config.method.initial_scale / math.sqrt(d)
    sources = [
        np.random.Generator(np.random.SFC64(seed_of(config.seed + index, "weights")))
        for index in range(config.seeds)
    ]
    return np.stack([scale * source.standard_normal((d, d)) for source in sources])
