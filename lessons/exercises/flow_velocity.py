"""Exercise `flow_velocity`, course fa25 B.2.2.

Algorithm B.1 of the flow editions. linear_velocity is the slope of the path from the noise eps to
the picture x1. flow_example draws a time t in [0, 1) with torch.rand for each clean picture x_1 (N,
1, H, W), and noise x_0, and gives ((x_t, t), velocity): what the UNet is called with, t as (N,),
and what it should answer. time_fm_forward sets the UNet to training and gives the mean square,
squared_error; num_ts has no part in it.

Check it:       make grade EX=flow_velocity
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch
from torch import Tensor

from minidiff.equations import linear_path
from minidiff.grade.stub import YourTurnError
from minidiff.io.inputs import unit_pictures
from minidiff.mnist.ddpm import Example, noise_like, squared_error
from minidiff.mnist.flow import TimeConditionalUNet


def linear_velocity(x1: Tensor, eps: Tensor) -> Tensor:
    """d x_t / dt of that way, the same at every t: from the noise to the picture.  Course B.4."""
    # 1 line in the package
    raise YourTurnError("write linear_velocity")


def flow_example(x_1: Tensor, generator: torch.Generator | None = None) -> Example:
    """Algorithm B.1: ((x_t, t), x_1 - x_0), with a time of its own for each picture."""
    # about 3 lines in the package
    raise YourTurnError("write flow_example")


def time_fm_forward(unet: TimeConditionalUNet, x_1: Tensor, num_ts: int = 50) -> Tensor:
    """The training loss for a batch of clean pictures.  Course B.5, algorithm B.1.

    num_ts is the course's argument and has no effect here: t is uniform in [0, 1], not on a grid.
    """
    # about 3 lines in the package
    raise YourTurnError("write time_fm_forward")
