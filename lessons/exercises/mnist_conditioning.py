"""Exercise `mnist_conditioning`, course B.2.1.

The forward passes of the time- and class-conditioned UNets. t (N,) is in [0, 1]; fc1_t(t) is added
to u, fc2_t(t) to up1. c (N,) are digits, made one-hot vectors; fc1_c(c) multiplies u, fc2_c(c)
multiplies up1. mask (N,) is 0 where the whole vector is to be zeroed, None keeps all.
self.encode(x) and self.decode(up1, x2, x1) are there.

Check it:       make grade EX=mnist_conditioning
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch.nn.functional as F
from torch import Tensor

from minidiff.grade.stub import YourTurnError
from minidiff.mnist.unet import FCBlock, UnconditionalUNet, concat


class TimeConditionalUNet(UnconditionalUNet):
    """Estimates the noise in x (N, 1, 28, 28) at time t (N,), which is timestep / T in [0, 1].

    num_classes is the course's argument; a model that knows no classes has no use for it.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10, num_hiddens: int = 64):
        super().__init__(in_channels, num_hiddens)
        self.fc1_t = FCBlock(1, 2 * num_hiddens)
        self.fc2_t = FCBlock(1, num_hiddens)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        # about 5 lines in the package
        raise YourTurnError("write TimeConditionalUNet.forward")


class ClassConditionalUNet(TimeConditionalUNet):
    """As TimeConditionalUNet, and knows the digit c (N,), int64 in 0..num_classes-1.

    mask (N,) is 1 where the digit is told and 0 where the whole one-hot vector is zeroed, which
    makes the estimate unconditional; None tells all of them.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10, num_hiddens: int = 64):
        super().__init__(in_channels, num_classes, num_hiddens)
        self.num_classes = num_classes
        self.fc1_c = FCBlock(num_classes, 2 * num_hiddens)
        self.fc2_c = FCBlock(num_classes, num_hiddens)

    def forward(self, x: Tensor, c: Tensor, t: Tensor, mask: Tensor | None = None) -> Tensor:
        # about 8 lines in the package
        raise YourTurnError("write ClassConditionalUNet.forward")
