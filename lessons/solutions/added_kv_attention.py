# Written by `make lessons-sync`, do not edit: sha256 73c1cf27966a72f0
"""Solution of `added_kv_attention`, course A.0: from minidiff/deepfloyd/unet.py."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidiff.deepfloyd.unet import merge_heads, split_heads
from minidiff.deepfloyd.unet_config import TEXT_NORM_GROUPS, UNetConfig


class Attention(nn.Module):
    """Self-attention over the pixels with the prompt's tokens as extra keys and values.

    The text's keys come first, then the picture's: one softmax weighs both.
    """

    def __init__(self, channels: int, config: UNetConfig):
        super().__init__()
        self.heads = channels // config.attention_head_dim
        inner = self.heads * config.attention_head_dim
        text_dim = config.cross_attention_dim
        self.group_norm = nn.GroupNorm(config.norm_num_groups, channels)
        self.norm_cross = nn.GroupNorm(TEXT_NORM_GROUPS, text_dim)
        self.to_q = nn.Linear(channels, inner)
        self.to_k = nn.Linear(channels, inner)
        self.to_v = nn.Linear(channels, inner)
        self.add_k_proj = nn.Linear(text_dim, inner)
        self.add_v_proj = nn.Linear(text_dim, inner)
        self.to_out = nn.ModuleList([nn.Linear(inner, channels)])

    def text_keys_values(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Projected text (B, L, X) -> keys and values (B, L, C). Does not depend on x or t.

        norm_cross takes its statistics over all L positions, padding included: always feed 77.
        """
        text = self.norm_cross(text.transpose(1, 2)).transpose(1, 2)
        return self.add_k_proj(text), self.add_v_proj(text)

    def forward(self, x: Tensor, text_k: Tensor, text_v: Tensor) -> Tensor:
        pixels = self.group_norm(x.flatten(2)).transpose(1, 2)  # (B, H*W, C)
        q = self.to_q(pixels)
        k = torch.cat([text_k, self.to_k(pixels)], dim=1)
        v = torch.cat([text_v, self.to_v(pixels)], dim=1)
        q, k, v = (split_heads(z, self.heads) for z in (q, k, v))
        out = merge_heads(F.scaled_dot_product_attention(q, k, v))
        return x + self.to_out[0](out).transpose(1, 2).unflatten(2, x.shape[2:])
