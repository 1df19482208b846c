"""Exercise `x0_from_eps`, course 1.3.

Solve equation A.2 for x0: the clean picture that x_t and its noise eps imply at level abar. All (B,
C, H, W), abar broadcasts.

Check it:       make grade EX=x0_from_eps
Begin it anew:  delete this file, then `make lessons-sync`
"""

from torch import Tensor

from minidiff.grade.stub import YourTurnError


def x0_from_eps(x_t: Tensor, eps: Tensor, abar: Tensor) -> Tensor:
    """The clean picture that x_t and its noise imply: A.2 solved for x0.  DDPM eq. 15."""
    # 1 line in the package
    raise YourTurnError("write x0_from_eps")
