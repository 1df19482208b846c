"""Exercise `t5_attention`, course A.0.

T5's self-attention over x (B, L, D). The heads are cut from the width of q, k and v, which is heads
* d_kv and need not be D. bias (B, heads, L, L) is added to the scores. The scores are not divided
by anything.

Check it:       make grade EX=t5_attention
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch.nn.functional as F
from torch import Tensor, nn

from minidiff.deepfloyd.t5 import T5Config
from minidiff.grade.stub import YourTurnError


class SelfAttention(nn.Module):
    """Attention whose scores are not divided by sqrt(d): T5's initial weights make up for it."""

    def __init__(self, config: T5Config, has_bias_table: bool):
        super().__init__()
        self.heads = config.num_heads
        self.q = nn.Linear(config.d_model, config.inner_dim, bias=False)
        self.k = nn.Linear(config.d_model, config.inner_dim, bias=False)
        self.v = nn.Linear(config.d_model, config.inner_dim, bias=False)
        self.o = nn.Linear(config.inner_dim, config.d_model, bias=False)
        if has_bias_table:  # only block 0 has one; its bias serves all blocks
            self.relative_attention_bias = nn.Embedding(
                config.relative_attention_num_buckets, config.num_heads
            )

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x (B, L, D); bias (B, heads, L, L): position bias plus -inf at padded keys."""
        # about 6 lines in the package
        raise YourTurnError("write SelfAttention.forward")
