"""Exercise `flow_interpolate`, course fa26 1.1.

Equation A.1 of autumn 2026 (B.3 in Part B): the point at time t of the straight way from the noise
eps, t = 0, to the clean picture x1, t = 1. t is a number or one per picture, (B, 1, 1, 1).

Check it:       make grade EX=flow_interpolate
Begin it anew:  delete this file, then `make lessons-sync`
"""

from torch import Tensor

from minidiff.grade.stub import YourTurnError


def linear_path(x1: Tensor, eps: Tensor, t: float | Tensor) -> Tensor:
    """The point at time t of the straight way from noise to a picture.  Course B.3, A.1 of fa26.

    Rectified flow, eq. 1; flow matching, eq. 22 with sigma_min = 0.
    """
    # 1 line in the package
    raise YourTurnError("write linear_path")
