# Written by `make lessons-sync`, do not edit: sha256 34f6705f87ea3820
"""Solution of `posterior_mean`, course 1.4: from minidiff/equations.py."""

from torch import Tensor


def posterior_mean(x_t: Tensor, x0: Tensor, abar: Tensor, abar_prev: Tensor) -> Tensor:
    """Mean of x_{t_prev} given x_t and x0, for a step of any stride.  Course A.3, DDPM eq. 7.

    alpha and beta are those of the whole stride, abar / abar_prev, not of one timestep.
    """
    alpha = abar / abar_prev
    beta = 1 - alpha
    # sqrt(abar') beta / (1 - abar) x0  +  sqrt(alpha) (1 - abar') / (1 - abar) x_t
    from_x0 = abar_prev**0.5 * beta / (1 - abar)
    from_x_t = alpha**0.5 * (1 - abar_prev) / (1 - abar)
    return from_x0 * x0 + from_x_t * x_t
