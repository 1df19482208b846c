"""Exercise `t5_encoder`, course A.0.

Token ids (B, L) and mask (B, L) to states (B, L, d_model): embed, run all blocks with one bias,
norm at the end. attention_bias looks up block 0's table for the bucket of every pair, (B, heads, L,
L), and makes padded keys, mask 0, as negative as the dtype goes.

Check it:       make grade EX=t5_encoder
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch
from torch import Tensor, nn

from minidiff.deepfloyd.t5 import Stack, T5Config, relative_buckets
from minidiff.grade.stub import YourTurnError


class T5Encoder(nn.Module):
    """Token ids (B, L) and mask (B, L) -> states (B, L, d_model). Holds weights only."""

    def __init__(self, config: T5Config):
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Stack(config)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """mask is 1 for tokens and 0 for padding. Padded positions are computed and returned too:
        DeepFloyd's UNet reads all 77 of them."""
        # about 5 lines in the package
        raise YourTurnError("write T5Encoder.forward")

    def attention_bias(self, mask: Tensor) -> Tensor:
        """Position bias of all blocks, very negative at padded keys: (B, heads, L, L)."""
        # about 10 lines in the package
        raise YourTurnError("write T5Encoder.attention_bias")
