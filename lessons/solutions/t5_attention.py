# Written by `make lessons-sync`, do not edit: sha256 7691a5b249e66f91
"""Solution of `t5_attention`, course A.0: from minidiff/deepfloyd/t5.py."""

import torch.nn.functional as F
from torch import Tensor, nn

from minidiff.deepfloyd.t5 import T5Config


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
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, L, d)
            for layer in (self.q, self.k, self.v)
        )
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), scale=1.0)
        return self.o(out.transpose(1, 2).flatten(2))
