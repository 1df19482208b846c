"""Exercise `resblock`, course A.0.

norm_gelu: the norm; times 1 + scale, plus shift, where they are given; gelu. ResBlock: norm_gelu
with norm1, (resample both branches), conv1; norm_gelu with norm2, steered by what time_emb_proj
makes of emb (B, E), scale in the first half; conv2; plus the input, through conv_shortcut where the
widths differ; all divided by self.divisor. 'down' averages 2x2 pixels, 'up' repeats them.

Check it:       make grade EX=resblock
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch.nn.functional as F
from torch import Tensor, nn

from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.grade.stub import YourTurnError


def norm_gelu(
    norm: nn.GroupNorm, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """GELU of the normed x (B, C, H, W); scale and shift (B, C, 1, 1), if given, come between."""
    # about 4 lines in the package
    raise YourTurnError("write norm_gelu")


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
        self.divisor = config.resnet_out_scale_factor

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        # about 11 lines in the package
        raise YourTurnError("write ResBlock.forward")
