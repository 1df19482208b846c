"""Exercise `dynamic_threshold`, course A.0.

Squeeze an over-guided estimate x0 (B, C, H, W) back into [-1, 1], as Imagen does: s is the ratio-
quantile of |x0| of each picture, at least 1 and at most max_value; clip to [-s, s], then divide by
s.

Check it:       make grade EX=dynamic_threshold
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch
from torch import Tensor

from minidiff.grade.stub import YourTurnError


def dynamic_threshold(x0: Tensor, ratio: float = 0.95, max_value: float = 1.5) -> Tensor:
    """Squeeze an over-guided x0 back into [-1, 1].  Imagen section 2.3.

    s is the ratio-quantile of |x0| of each picture, kept in [1, max_value]; x0 is clipped to
    [-s, s] and divided by s.
    """
    # about 3 lines in the package
    raise YourTurnError("write dynamic_threshold")
