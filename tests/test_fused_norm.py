"""The fused norms, and a UNet that uses them, against the plain ones: on the CPU, interpreted.

Triton decides to interpret when it is first imported, so the comparison is a process of its own.
"""

import copy
import importlib.util
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from minidiff.paths import ROOT

CASES = [(64, 32, 4), (88, 4, 9), (96, 32, 8), (33, 3, 40), (64, 8, 64)]  # channels, groups, side


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="there is no Triton here")
def test_fused_norm_is_the_plain_one():
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["16", "cases", "agree"]


def compare() -> int:
    """How many cases agree; AssertionError for the first that does not."""
    generator = torch.Generator().manual_seed(0)
    cases = [*norm_cases(generator), unet_case(generator)]
    for ours, exact, bound in cases:
        assert float((ours - exact).norm() / exact.norm()) < bound
        assert ours.is_contiguous(memory_format=torch.channels_last)
    return len(cases)


def norm_cases(generator):
    from minidiff.deepfloyd.fused import FusedGroupNorm, fused_norm_gelu
    from minidiff.deepfloyd.unet import norm_gelu

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
def unet_case(generator):
    from minidiff.deepfloyd.fused import FusedGroupNorm, fuse, fused_norm_gelu
    from minidiff.deepfloyd.unet import UNet
    from minidiff.deepfloyd.unet_config import UNetConfig
    from tests.by_rule import fill, unet_inputs
    from tests.configs import UNETS

    config = UNETS["one level"]
    unet = fill(UNet(UNetConfig.from_dict(config))).to(memory_format=torch.channels_last)
    twin = fuse(unet)
    assert {id(p) for p in unet.parameters()} == {id(p) for p in twin.parameters()}
    assert [unet.norm_gelu, twin.norm_gelu] == [type(unet).norm_gelu, fused_norm_gelu]
    assert twin.mid_block.resnets[0].norm2.offset is unet.mid_block.resnets[0].conv1.bias
    assert isinstance(twin.mid_block.attentions[0].group_norm, FusedGroupNorm)
    assert twin.mid_block.attentions[0].group_norm is not unet.mid_block.attentions[0].group_norm
    x, t, text = unet_inputs(config).values()
    x = x.contiguous(memory_format=torch.channels_last)
    return twin(x, t, text), unet(x, t, text), 1e-5


if __name__ == "__main__":
    print(compare(), "cases agree")
