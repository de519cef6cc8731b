"""Plain SGD as a learner, the fast learner of the paper's linear case study.

Not here: the slow module's SGD, which is torch.optim.SGD.
"""

from torch import Tensor, nn


class SgdLearner(nn.Module):
    """update = -lr * gradient; keeps no state (paper section 3.1.2)."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.lr = lr

    def forward(self, gradient: Tensor, state: None = None) -> tuple[Tensor, None]:
        """Return the update, shaped like the gradient, and the next state (none)."""
        return -self.lr * gradient, None
