"""Exercise `forward_process`, course 1.1.

Noise a clean picture x0 (B, C, H, W) to level abar with the noise eps of the same shape: equation
A.2. abar is a tensor that broadcasts, (1, 1, 1, 1) or one level per picture, (B, 1, 1, 1). The
result has the shape and dtype of x0.

Check it:       make grade EX=forward_process
Begin it anew:  delete this file, then `make lessons-sync`
"""

from torch import Tensor

from minidiff.grade.stub import YourTurnError


def forward_process(x0: Tensor, abar: Tensor, eps: Tensor) -> Tensor:
    """Noise a clean picture to level abar: a draw from q(x_t | x0).  Course A.2, DDPM eq. 4."""
    # 1 line in the package
    raise YourTurnError("write forward_process")
