# Written by `make lessons-sync`, do not edit: sha256 42a1279c72c046a9
"""Solution of `gated_gelu`, course A.0: from minidiff/deepfloyd/t5.py."""

import torch.nn.functional as F
from torch import Tensor, nn

from minidiff.deepfloyd.t5 import T5Config


class GatedFeedForward(nn.Module):
    """T5 v1.1's feed-forward layer, (B, L, D) in and out: one projection gates the other."""

    def __init__(self, config: T5Config):
        super().__init__()
        self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x)
        # In fp16 the result of wo overflows: wo stays in fp32 there, and so does what follows.
        return self.wo(h.to(self.wo.weight.dtype))
