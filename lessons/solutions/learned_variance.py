# Written by `make lessons-sync`, do not edit: sha256 07a5ec31f6851bc7
"""Solution of `learned_variance`, course 1.4: from minidiff/equations.py."""

from torch import Tensor


def posterior_variance(abar: Tensor, abar_prev: Tensor) -> Tensor:
    """Variance of x_{t_prev} given x_t and x0, the smallest a step may have.  DDPM eq. 7."""
    # (1 - abar') / (1 - abar) * beta
    return (1 - abar_prev) / (1 - abar) * (1 - abar / abar_prev)


def learned_range_log_variance(v: Tensor, abar: Tensor, abar_prev: Tensor) -> Tensor:
    """Log-variance of a step from the UNet's last three channels v in [-1, 1].  IDDPM eq. 15.

    v = -1 gives the posterior variance, v = +1 gives beta; in between, the logarithms are mixed.
    """
    beta = 1 - abar / abar_prev
    smallest = posterior_variance(abar, abar_prev).clamp(min=1e-20)  # it is 0 for a step onto x0
    mix = (v + 1) / 2
    return mix * beta.log() + (1 - mix) * smallest.log()


def add_noise(mean: Tensor, log_variance: Tensor, eps: Tensor) -> Tensor:
    """The random half of a step: v_sigma of course A.3 is the standard deviation times eps."""
    return mean + (0.5 * log_variance).exp() * eps
