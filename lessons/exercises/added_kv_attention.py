"""Exercise `added_kv_attention`, course A.0.

Self-attention over the pixels of x (B, C, H, W), with the prompt's tokens as extra keys and values,
text first. text_keys_values norms the projected text (B, L, X) over groups of its channels, all L
positions together, and makes keys and values (B, L, C). forward norms the picture, attends over
[text, pixels] in one softmax, and adds the result to x.

Check it:       make grade EX=added_kv_attention
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidiff.deepfloyd.unet import merge_heads, split_heads
from minidiff.deepfloyd.unet_config import TEXT_NORM_GROUPS, UNetConfig
from minidiff.grade.stub import YourTurnError


class Attention(nn.Module):
    """Self-attention over the pixels with the prompt's tokens as extra keys and values.

    The text's keys come first, then the picture's: one softmax weighs both. Where the config says
    only_cross_attention, some stages II, there is the text alone.
    """

    def __init__(self, channels: int, config: UNetConfig):
        super().__init__()
        self.heads = channels // config.attention_head_dim
        inner = self.heads * config.attention_head_dim
        text_dim = config.cross_attention_dim
        self.group_norm = nn.GroupNorm(config.norm_num_groups, channels)
        self.norm_cross = nn.GroupNorm(TEXT_NORM_GROUPS, text_dim)
        self.to_q = nn.Linear(channels, inner)
        self.attends_to_pixels = not config.only_cross_attention
        if self.attends_to_pixels:
            self.to_k = nn.Linear(channels, inner)
            self.to_v = nn.Linear(channels, inner)
        self.add_k_proj = nn.Linear(text_dim, inner)
        self.add_v_proj = nn.Linear(text_dim, inner)
        self.to_out = nn.ModuleList([nn.Linear(inner, channels)])

    def text_keys_values(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Projected text (B, L, X) -> keys and values (B, L, C). Does not depend on x or t.

        norm_cross takes its statistics over all L positions, padding included: always feed 77.
        """
        # about 2 lines in the package
        raise YourTurnError("write Attention.text_keys_values")

    def forward(self, x: Tensor, text_k: Tensor, text_v: Tensor) -> Tensor:
        # about 9 lines in the package
        raise YourTurnError("write Attention.forward")
