# Written by `make lessons-sync`, do not edit: sha256 d7aaa27aac641ddb
"""Solution of `resblock`, course A.0: from minidiff/deepfloyd/unet.py."""

import torch.nn.functional as F
from torch import Tensor, nn

from minidiff.deepfloyd.unet_config import UNetConfig


def norm_gelu(
    norm: nn.GroupNorm, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """GELU of the normed x (B, C, H, W); scale and shift (B, C, 1, 1), if given, come between."""
    h = norm(x)
    if scale is not None:
        h = h * (1 + scale) + shift
    return F.gelu(h)


class ResBlock(nn.Module):
    """Two convolutions around a residual; `resample` halves or doubles the picture in between.

    The resampling sits after the first norm and activation, on both branches, without weights.
    """

    norm_gelu = staticmethod(norm_gelu)  # fused.py puts a faster one here

    def __init__(self, c_in: int, c_out: int, config: UNetConfig, resample: str | None = None):
        super().__init__()
        self.resample = resample
        self.norm1 = nn.GroupNorm(config.norm_num_groups, c_in, config.norm_eps)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.time_emb_proj = nn.Linear(config.embed_dim, 2 * c_out)
        self.norm2 = nn.GroupNorm(config.norm_num_groups, c_out, config.norm_eps)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        if c_in != c_out:
            self.conv_shortcut = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.norm_gelu(self.norm1, x)
        if self.resample == "down":
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        elif self.resample == "up":
            h, x = F.interpolate(h, scale_factor=2.0), F.interpolate(x, scale_factor=2.0)
        h = self.conv1(h)
        scale, shift = self.time_emb_proj(emb)[:, :, None, None].chunk(2, dim=1)  # scale first
        h = self.conv2(self.norm_gelu(self.norm2, h, scale, shift))
        if hasattr(self, "conv_shortcut"):
            x = self.conv_shortcut(x)
        return x + h
