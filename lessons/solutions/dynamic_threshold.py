# Written by `make lessons-sync`, do not edit: sha256 d367611e850d9b31
"""Solution of `dynamic_threshold`, course A.0: from minidiff/equations.py."""

import torch
from torch import Tensor


def dynamic_threshold(x0: Tensor, ratio: float = 0.95, max_value: float = 1.5) -> Tensor:
    """Squeeze an over-guided x0 back into [-1, 1].  Imagen section 2.3.

    s is the ratio-quantile of |x0| of each picture, kept in [1, max_value]; x0 is clipped to
    [-s, s] and divided by s.
    """
    s = torch.quantile(x0.flatten(1).abs().float(), ratio, dim=1)  # (B,)
    s = s.clamp(1, max_value).to(x0.dtype)[:, None, None, None]
    return x0.clamp(-s, s) / s
