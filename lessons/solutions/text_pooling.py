# Written by `make lessons-sync`, do not edit: sha256 5739fd432af14f59
"""Solution of `text_pooling`, course A.0: from minidiff/deepfloyd/unet.py."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidiff.deepfloyd.unet import merge_heads, split_heads


class AttentionPool(nn.Module):
    """One query, the mean of all tokens, attends to itself and to the tokens. No output layer."""

    def __init__(self, heads: int, dim: int):
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.empty(1, dim).normal_(std=dim**-0.5))
        self.k_proj = nn.Linear(dim, dim)
        self.q_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)

    def forward(self, text: Tensor) -> Tensor:
        mean = text.mean(dim=1, keepdim=True) + self.positional_embedding  # padding counts too
        tokens = torch.cat([mean, text], dim=1)  # (B, 1 + L, D)
        q = split_heads(self.q_proj(mean), self.heads)
        k = split_heads(self.k_proj(tokens), self.heads)
        v = split_heads(self.v_proj(tokens), self.heads)
        return merge_heads(F.scaled_dot_product_attention(q, k, v))[:, 0]  # (B, D)
