"""The fused norms, and a UNet that uses them, against the plain ones: on the CPU, interpreted.

Triton decides to interpret when it is first imported, so the comparison is a process of its own.
"""

import copy
import importlib.util
import os
import subprocess
import sys
import warnings
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minidiff.io.paths import ROOT

CASES = [(64, 32, 4), (88, 4, 9), (96, 32, 8), (33, 3, 40), (64, 8, 64)]  # channels, groups, side


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="there is no Triton here")
@pytest.mark.parametrize("part", ["norms", pytest.param("unet", marks=pytest.mark.slow)])
def test_fused_is_plain(part):
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, __file__, part], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [{"norms": "20", "unet": "1"}[part], "cases", "agree"]


def compare(part: str) -> int:
    """How many cases agree; AssertionError for the first that does not."""
    if part == "unet":
        edited_unet_is_noticed()
    cases = [unet_case()] if part == "unet" else list(norm_cases())
    for ours, exact, bound in cases:
        assert float((ours - exact).norm() / exact.norm()) < bound
        assert ours.is_contiguous(memory_format=torch.channels_last)
    return len(cases)


def norm_cases():
    from minidiff.deepfloyd.unet import norm_gelu
    from minidiff.fast.fused import FusedGroupNorm, fused_norm_gelu

    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    for channels, groups, side in CASES:
        norm = nn.GroupNorm(groups, channels).requires_grad_(False)
        norm.weight.copy_(random(channels))
        norm.bias.copy_(random(channels))
        x = 3 * random(2, channels, side, side) + 20  # far from zero: sums of squares would cancel
        x = x.contiguous(memory_format=torch.channels_last)
        scale, shift = random(2, 2 * channels)[:, :, None, None].chunk(2, dim=1)
        exactly = copy.deepcopy(norm).double()
        yield fused_norm_gelu(norm, x), norm_gelu(exactly, x.double()), 1e-6
        exact = norm_gelu(exactly, x.double(), scale.double(), shift.double())
        yield fused_norm_gelu(norm, x, scale, shift), exact, 1e-6

        norm.offset = random(channels)  # the bias of the convolution before
        moved = (x + norm.offset[:, None, None]).double()
        exact = norm_gelu(exactly, moved, scale.double(), shift.double())
        yield fused_norm_gelu(norm, x, scale, shift), exact, 1e-6
        del norm.offset

        pixels = x.flatten(2)
        exact = exactly(pixels.double()).view_as(x)
        norm.__class__ = FusedGroupNorm
        yield norm(pixels).unflatten(2, x.shape[2:]), exact, 1e-6


@torch.no_grad()
def unet_case():
    from minidiff.deepfloyd.unet import UNet
    from minidiff.deepfloyd.unet_config import UNetConfig
    from minidiff.fast.fused import FusedGroupNorm, fuse, fused_norm_gelu
    from tests.by_rule import fill, unet_inputs
    from tests.configs import UNETS

    config = UNETS["one level"]
    unet = fill(UNet(UNetConfig.from_dict(config))).to(memory_format=torch.channels_last)
    twin = fuse(unet)
    assert sorted(map(id, unet.parameters())) == sorted(map(id, twin.parameters()))
    assert [unet.norm_gelu, twin.norm_gelu] == [type(unet).norm_gelu, fused_norm_gelu]
    assert twin.mid_block.resnets[0].norm2.offset is unet.mid_block.resnets[0].conv1.bias
    assert isinstance(twin.mid_block.attentions[0].group_norm, FusedGroupNorm)
    assert twin.mid_block.attentions[0].group_norm is not unet.mid_block.attentions[0].group_norm
    x, t, text = unet_inputs(config).values()
    x = x.contiguous(memory_format=torch.channels_last)
    return twin(x, t, text), unet(x, t, text), 1e-5


def edited_unet_is_noticed():
    """An edit between conv1 and norm2, such as a student makes: the moved bias is then wrong."""
    from minidiff.deepfloyd import unet as source
    from minidiff.fast.fused import fuse_checked
    from tests.by_rule import fill, unet_inputs
    from tests.configs import UNETS

    config = UNETS["one level"]
    unet = fill(source.UNet(source.UNetConfig.from_dict(config)))
    x, t, text = unet_inputs(config).values()
    x, t, cond = x[:1], t[:1], unet.prepare(text[:1])
    assert fuse_checked(unet, x, t, cond) is not unet

    def forward(self, x, emb):  # without conv1's bias, or so its author thinks
        h = F.conv2d(self.norm_gelu(self.norm1, x), self.conv1.weight, padding=1)
        scale, shift = self.time_emb_proj(emb)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(self.norm_gelu(self.norm2, h, scale, shift))
        return h + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)

    with (
        patch.object(source.ResBlock, "forward", forward),
        warnings.catch_warnings(record=True) as w,
    ):
        assert fuse_checked(unet, x, t, cond) is unet
    assert ["unet.py" in str(warning.message) for warning in w] == [True]


if __name__ == "__main__":
    print(compare(sys.argv[1]), "cases agree")
