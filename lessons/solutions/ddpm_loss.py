# Written by `make lessons-sync`, do not edit: sha256 0848c85ff3a1d7c9
"""Solution of `ddpm_loss`, course B.2.2: from minidiff/mnist/ddpm.py."""

import torch
import torch.nn.functional as F
from torch import Tensor

from minidiff.equations import forward_process
from minidiff.mnist.ddpm import Example, Schedule, check_length, noise_like
from minidiff.mnist.unet import TimeConditionalUNet


def ddpm_example(
    schedule: Schedule, x_0: Tensor, generator: torch.Generator | None = None
) -> Example:
    """Algorithm B.1, lines 2 to 4: ((x_t, t / T), eps), with a timestep of its own per picture."""
    abars = schedule["alpha_bars"]
    t = torch.randint(0, len(abars), (len(x_0),), device=x_0.device, generator=generator)
    eps = noise_like(x_0, generator)
    x_t = forward_process(x_0, abars[t][:, None, None, None], eps)
    return (x_t, t / len(abars)), eps


def squared_error(unet: torch.nn.Module, example: Example) -> Tensor:
    """The loss of all three models: one number, the mean over all pixels.  Course B.1 and B.4."""
    inputs, target = example
    return F.mse_loss(unet(*inputs).float(), target)


def ddpm_forward(
    unet: TimeConditionalUNet, ddpm_schedule: Schedule, x_0: Tensor, num_ts: int = 300
) -> Tensor:
    """The training loss for a batch of clean pictures (N, 1, 28, 28) in [0, 1].  Algorithm B.1."""
    check_length(ddpm_schedule, num_ts)
    unet.train()
    return squared_error(unet, ddpm_example(ddpm_schedule, x_0))
