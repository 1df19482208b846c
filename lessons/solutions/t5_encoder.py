# Written by `make lessons-sync`, do not edit: sha256 5ffc33b023ff6609
"""Solution of `t5_encoder`, course A.0: from minidiff/deepfloyd/t5.py."""

import torch
from torch import Tensor, nn

from minidiff.deepfloyd.t5 import Stack, T5Config, relative_buckets


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
        x = self.shared(ids)
        bias = self.attention_bias(mask)
        for block in self.encoder.block:
            x = block(x, bias)
        return self.encoder.final_layer_norm(x)

    def attention_bias(self, mask: Tensor) -> Tensor:
        """Position bias of all blocks, very negative at padded keys: (B, heads, L, L)."""
        config = self.config
        table = self.encoder.block[0].layer[0].SelfAttention.relative_attention_bias
        buckets = relative_buckets(
            mask.shape[1],
            config.relative_attention_num_buckets,
            config.relative_attention_max_distance,
        )
        bias = table(buckets.to(mask.device)).permute(2, 0, 1)[None]  # (1, heads, L, L)
        hidden = torch.finfo(bias.dtype).min
        return bias.masked_fill(mask[:, None, None, :] == 0, hidden)
