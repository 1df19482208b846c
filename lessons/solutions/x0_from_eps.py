# Written by `make lessons-sync`, do not edit: sha256 7ccbd23d0ec9ca9b
"""Solution of `x0_from_eps`, course 1.3: from minidiff/equations.py."""

from torch import Tensor


def x0_from_eps(x_t: Tensor, eps: Tensor, abar: Tensor) -> Tensor:
    """The clean picture that x_t and its noise imply: A.2 solved for x0.  DDPM eq. 15."""
    # x0 = (x_t - sqrt(1 - abar) eps) / sqrt(abar)
    return (x_t - (1 - abar) ** 0.5 * eps) / abar**0.5
