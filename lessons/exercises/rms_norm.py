"""Exercise `rms_norm`, course A.0.

x / rms(x) * weight over the last dimension: no mean is subtracted, there is no bias, eps is added
to the mean square. The statistics are float32 whatever x is; the result has the weight's dtype.

Check it:       make grade EX=rms_norm
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch
from torch import Tensor, nn

from minidiff.grade.stub import YourTurnError


class RMSNorm(nn.Module):
    """x / rms(x) * weight. The statistics are fp32; the result has the weight's dtype."""

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        # about 3 lines in the package
        raise YourTurnError("write RMSNorm.forward")
