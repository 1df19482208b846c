# Written by `make lessons-sync`, do not edit: sha256 dd857af2be900911
"""Solution of `rms_norm`, course A.0: from minidiff/deepfloyd/t5.py."""

import torch
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """x / rms(x) * weight. The statistics are fp32; the result has the weight's dtype."""

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        variance = x.float().pow(2).mean(dim=-1, keepdim=True)
        x = x * torch.rsqrt(variance + self.eps)  # fp32 from here if x is half precision
        return self.weight * x.to(self.weight.dtype)
