"""Training in half precision against the plain modules: on the CPU, interpreted, in fp32.

Triton decides to interpret when it is first imported, so the comparison is a process of its own.
"""

import copy
import importlib.util
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minidiff.io.paths import ROOT

# pictures, channels, side, channels of a neighbour in the gradient's memory
CASES = [(2, 8, 6, 0), (3, 70, 5, 7), (2, 64, 28, 64), (1, 128, 7, 0)]


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="there is no Triton here")
@pytest.mark.parametrize("part", ["norms", "steps"])
def test_half_precision_computes_what_the_plain_modules_do(part):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, __file__, part], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [{"norms": "24", "steps": "3"}[part], "agree"]


def agree(ours: torch.Tensor, exact: torch.Tensor, bound: float = 1e-5) -> None:
    assert float((ours - exact).detach().norm()) < bound * float(exact.detach().norm())


def norms() -> int:
    """Answers, all gradients and running statistics of the kernels; how many were compared."""
    from minidiff.digits import half

    half.PROGRAMS = 5  # so that a program has several tiles to sum up
    compared = 0
    for n, channels, side, beside in CASES:
        generator = torch.Generator().manual_seed(channels)

        def random(*shape, generator=generator):
            drawn = torch.randn(*shape, generator=generator)
            return drawn.contiguous(memory_format=torch.channels_last) if drawn.ndim == 4 else drawn

        norm = nn.BatchNorm2d(channels)
        norm.weight.data, norm.bias.data = random(channels), random(channels)
        plain, offset = copy.deepcopy(norm), random(channels)
        y = 2 * random(n, channels, side, side) + random(channels)[:, None, None]
        y, twin = y.requires_grad_(), y.detach().clone().requires_grad_()
        sums = torch.zeros(4, half.COPIES, channels + 5)[..., :channels]
        ours = half.NormGELU.apply(y, norm.weight, norm.bias, offset, norm, sums)
        exact = F.gelu(plain(twin + offset[:, None, None]))
        # the gradient of one part of a concatenation: its pixels lie further apart than C
        gradient = random(n, channels + beside, side, side)[:, :channels]
        ours.backward(gradient)
        exact.backward(gradient)
        assert ours.is_contiguous(memory_format=torch.channels_last)
        for found, expected in [
            (ours, exact),
            (y.grad, twin.grad),
            (norm.weight.grad, plain.weight.grad),
            (norm.bias.grad, plain.bias.grad),
            (norm.running_mean, plain.running_mean),
            (norm.running_var, plain.running_var),
        ]:
            agree(found, expected)
            compared += 1
    return compared


def steps() -> int:
    """Two steps of Adam with each kind of UNet: losses, gradients, weights, buffers, eval mode."""
    from mnist_tiny import tiny_trainer

    from minidiff.digits import half
    from minidiff.digits.trainer import squared_errors

    half.HALF = torch.float32
    names = ("class", "flow-time", "denoiser")
    for name in names:
        plain = tiny_trainer(name)
        model = copy.deepcopy(plain.model).train().to(memory_format=torch.channels_last)
        ours = half.HalfPrecision(model)
        adam = torch.optim.Adam([ours.flat], plain.recipe.lr)
        plain.model.train()
        for i in range(2):
            example = plain.example(torch.tensor([2 * i, 2 * i + 1]))
            loss, exact = (squared_errors(unet, example).mean() for unet in (ours, plain.model))
            agree(loss, exact)
            plain.optimizer.zero_grad()
            exact.backward()
            loss.backward()
            ours.collect()
            for gradient, parameter in zip(ours.gradients, plain.model.parameters()):
                if parameter.grad.norm() < 1e-5:  # a bias in front of a norm: rounding alone
                    assert not gradient.any()
                    parameter.grad.zero_()
                else:
                    agree(gradient, parameter.grad, 1e-3)
            adam.step()
            plain.optimizer.step()
        for found, expected in zip(model.state_dict().values(), plain.model.state_dict().values()):
            assert torch.allclose(found.float(), expected.float(), rtol=1e-3, atol=1e-4)
        inputs, _ = example
        agree(model.eval()(*inputs), plain.model.eval()(*inputs), 1e-3)
    return len(names)


if __name__ == "__main__":
    print({"norms": norms, "steps": steps}[sys.argv[1]](), "agree")
