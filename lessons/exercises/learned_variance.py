"""Exercise `learned_variance`, course 1.4.

The random half of a step. posterior_variance(abar, abar_prev) is the smallest variance a step may
have. learned_range_log_variance mixes it with beta of the stride, as the UNet's v (B, 3, H, W) in
[-1, 1] says: v = -1 is the smallest, v = +1 is beta, and what is mixed are the logarithms.
add_noise adds noise of that log-variance to the mean.

Check it:       make grade EX=learned_variance
Begin it anew:  delete this file, then `make lessons-sync`
"""

from torch import Tensor

from minidiff.grade.stub import YourTurnError


def posterior_variance(abar: Tensor, abar_prev: Tensor) -> Tensor:
    """Variance of x_{t_prev} given x_t and x0, the smallest a step may have.  DDPM eq. 7."""
    # 1 line in the package
    raise YourTurnError("write posterior_variance")


def learned_range_log_variance(v: Tensor, abar: Tensor, abar_prev: Tensor) -> Tensor:
    """Log-variance of a step from the UNet's last three channels v in [-1, 1].  IDDPM eq. 15.

    v = -1 gives the posterior variance, v = +1 gives beta; in between, the logarithms are mixed.
    """
    # about 4 lines in the package
    raise YourTurnError("write learned_range_log_variance")


def add_noise(mean: Tensor, log_variance: Tensor, eps: Tensor) -> Tensor:
    """The random half of a step: v_sigma of course A.3 is the standard deviation times eps."""
    # 1 line in the package
    raise YourTurnError("write add_noise")
