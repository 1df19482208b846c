# Written by `make lessons-sync`, do not edit: sha256 bef963f6d66f5bdf
"""Solution of `timestep_embedding`, course A.0: from minidiff/deepfloyd/unet.py."""

import math

import torch
from torch import Tensor


def sinusoid(t: Tensor, dim: int) -> Tensor:
    """Transformer position encoding of the timestep: (B,) -> (B, dim), cosines first, fp32."""
    half = dim // 2
    freqs = torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / half)
    angles = t.float()[:, None] * freqs
    return torch.cat([angles.cos(), angles.sin()], dim=1)
