"""Exercise `ddpm_loss`, course B.2.2.

Algorithm B.1. ddpm_example noises x_0 (N, 1, H, W), each picture to a timestep of its own, drawn
from 0..T-1 with torch.randint, and gives ((x_t, t / T), eps): what the UNet is called with, and
what it should answer. squared_error is the mean over all pixels. ddpm_forward sets the UNet to
training and gives the loss. schedule is a dict with alpha_bars (T,).

Check it:       make grade EX=ddpm_loss
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from minidiff.equations import forward_process
from minidiff.grade.stub import YourTurnError
from minidiff.mnist.ddpm import Example, Schedule, check_length, noise_like, ready
from minidiff.mnist.unet import TimeConditionalUNet


def ddpm_example(
    schedule: Schedule, x_0: Tensor, generator: torch.Generator | None = None
) -> Example:
    """Algorithm B.1, lines 2 to 4: ((x_t, t / T), eps), with a timestep of its own per picture."""
    # about 5 lines in the package
    raise YourTurnError("write ddpm_example")


def squared_error(unet: torch.nn.Module, example: Example) -> Tensor:
    """The loss of all models: one number, the mean over all pixels.  Course B.1, B.4 and B.5."""
    # about 2 lines in the package
    raise YourTurnError("write squared_error")


def ddpm_forward(
    unet: TimeConditionalUNet, ddpm_schedule: Schedule, x_0: Tensor, num_ts: int = 300
) -> Tensor:
    """The training loss for a batch of clean pictures (N, 1, 28, 28) in [0, 1].  Algorithm B.1."""
    # about 4 lines in the package
    raise YourTurnError("write ddpm_forward")
