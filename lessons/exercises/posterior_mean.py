"""Exercise `posterior_mean`, course 1.4.

The mean of x_{t_prev}, given x_t and an estimate of x0, for a step of any stride: equation A.3
without its noise. x_t and x0 are (B, C, H, W); abar is the level of x_t, abar_prev the cleaner
level the step goes to; both broadcast. alpha and beta belong to the whole stride.

Check it:       make grade EX=posterior_mean
Begin it anew:  delete this file, then `make lessons-sync`
"""

from torch import Tensor

from minidiff.grade.stub import YourTurnError


def posterior_mean(x_t: Tensor, x0: Tensor, abar: Tensor, abar_prev: Tensor) -> Tensor:
    """Mean of x_{t_prev} given x_t and x0, for a step of any stride.  Course A.3, DDPM eq. 7.

    alpha and beta are those of the whole stride, abar / abar_prev, not of one timestep.
    """
    # about 5 lines in the package
    raise YourTurnError("write posterior_mean")
