"""The benchmark's fused norm against the plain one, on the CPU in Triton's interpreter.

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

CASES = [(64, 32, 4), (88, 4, 9), (96, 32, 8), (33, 3, 40)]  # channels, groups, side


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="there is no Triton here")
def test_fused_norm_is_the_plain_one():
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["8", "cases", "agree"]


def compare() -> int:
    """How many cases agree; AssertionError for the first that does not."""
    from tests.bench.fused_norm import fused, plain

    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    agree = 0
    for channels, groups, side in CASES:
        norm = nn.GroupNorm(groups, channels).requires_grad_(False)
        norm.weight.copy_(random(channels))
        norm.bias.copy_(random(channels))
        x = 3 * random(2, channels, side, side) + 20  # far from zero: sums of squares would cancel
        x = x.contiguous(memory_format=torch.channels_last)
        both = random(2, 2 * channels)[:, :, None, None].chunk(2, dim=1)
        for scale, shift in (both, (None, None)):
            ours = fused(norm, x, scale, shift)
            assert ours.is_contiguous(memory_format=torch.channels_last)
            modulation = (None if s is None else s.double() for s in (scale, shift))
            exact = plain(copy.deepcopy(norm).double(), x.double(), *modulation)
            torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-5)
            agree += 1
    return agree


if __name__ == "__main__":
    print(compare(), "cases agree")
