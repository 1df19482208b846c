# Written by `make lessons-sync`, do not edit: sha256 00f1d1eec82c8cd7
"""Solution of `forward_process`, course 1.1: from minidiff/equations.py."""

from torch import Tensor


def forward_process(x0: Tensor, abar: Tensor, eps: Tensor) -> Tensor:
    """Noise a clean picture to level abar: a draw from q(x_t | x0).  Course A.2, DDPM eq. 4."""
    # x_t = sqrt(abar) x0 + sqrt(1 - abar) eps
    return abar**0.5 * x0 + (1 - abar) ** 0.5 * eps
