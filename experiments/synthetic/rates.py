"""What theory says of a run's rates before it starts (numpy).

Not here: the bounds themselves (stability.py).
"""

import numpy as np

from experiments.config import SyntheticRun
from experiments.synthetic.covariance import covariances, task_covariance
from experiments.synthetic.stability import largest_stable_fast_lr, largest_stable_slow_lr
from experiments.synthetic.weights import initial_weights

STARTS = 8  # seeds whose starting W_s is looked at


def rate_warning(config: SyntheticRun) -> str | None:
    """Return one line that names the bound where theory expects a run to diverge, None where it does not."""
    data, method = config.data, config.method
    w_s = initial_weights(config.model_copy(update={"seeds": min(config.seeds, STARTS)}))
    sigma, a = covariances(data), task_covariance(data)
    with np.errstate(all="ignore"):
        bound = largest_stable_slow_lr(w_s, sigma, a, data.noise, data.batch_size, method.fast_lr)
        if method.slow_lr <= bound:
            return None
        other = largest_stable_fast_lr(w_s, sigma, a, data.noise, data.batch_size, method.slow_lr)
    return (
        f"slow_lr {method.slow_lr:g} with fast_lr {method.fast_lr:g} is expected to diverge: theory puts "
        f"the bound near slow_lr {bound:.2g}, or near fast_lr {other:.2g} with this slow_lr"
    )
