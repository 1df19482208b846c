"""Exercise `gated_gelu`, course A.0.

T5 v1.1's feed-forward layer: gelu(wi_0 x) gates wi_1 x, and wo comes last. The GELU is the tanh
form. wo may be kept in float32 where the rest is half precision, so give it its own dtype.

Check it:       make grade EX=gated_gelu
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch.nn.functional as F
from torch import Tensor, nn

from minidiff.deepfloyd.t5 import T5Config
from minidiff.grade.stub import YourTurnError


class GatedFeedForward(nn.Module):
    """T5 v1.1's feed-forward layer, (B, L, D) in and out: one projection gates the other."""

    def __init__(self, config: T5Config):
        super().__init__()
        self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # about 2 lines in the package
        raise YourTurnError("write GatedFeedForward.forward")
