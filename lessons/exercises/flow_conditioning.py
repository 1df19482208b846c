"""Exercise `flow_conditioning`, course fa25 B.2.4.

The forward pass of the time-conditioned flow UNet: fc1_t(t) multiplies u and fc2_t(t) multiplies
up1, where t (N,) is in [0, 1]; self.encode(x), self.up1, concat and self.decode(up1, x2, x1) are
there. And algorithm B.3: class_flow_example adds to flow_example the digits c (N,) and a mask (N,),
0 where the whole class is dropped, with chance p_uncond, 1 elsewhere; it gives ((x_t, c, t, mask),
velocity). class_fm_forward sets the UNet to training and gives the mean square.

Check it:       make grade EX=flow_conditioning
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch
from torch import Tensor

from minidiff.grade.stub import YourTurnError
from minidiff.io.inputs import chance, digits, one_each, unit_pictures
from minidiff.mnist.ddpm import Example, squared_error
from minidiff.mnist.flow import flow_example
from minidiff.mnist.unet import ClassConditionalUNet, concat
from minidiff.mnist.unet import TimeConditionalUNet as AddedTimeUNet


class TimeConditionalUNet(AddedTimeUNet):
    """The velocity at x (N, 1, 28, 28) and t (N,) in [0, 1].  Course 2.1.

    As the DDPM's, but time multiplies the feature maps, where it is added there.
    """

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        # about 5 lines in the package
        raise YourTurnError("write TimeConditionalUNet.forward")


def class_flow_example(
    x_1: Tensor, c: Tensor, p_uncond: float, generator: torch.Generator | None = None
) -> Example:
    """Algorithm B.3: ((x_t, c, t, mask), x_1 - x_0); the mask drops whole class vectors."""
    # about 3 lines in the package
    raise YourTurnError("write class_flow_example")


def class_fm_forward(
    unet: ClassConditionalUNet, x_1: Tensor, c: Tensor, p_uncond: float = 0.1, num_ts: int = 300
) -> Tensor:
    """time_fm_forward with digits c (N,), int64, each dropped at chance p_uncond."""
    # about 4 lines in the package
    raise YourTurnError("write class_fm_forward")
