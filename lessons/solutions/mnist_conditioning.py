# Written by `make lessons-sync`, do not edit: sha256 d28422b1ce98c701
"""Solution of `mnist_conditioning`, course B.2.1: from minidiff/mnist/unet.py."""

import torch.nn.functional as F
from torch import Tensor

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
        t = t[:, None]  # (N, 1)
        x1, x2, x3, u = self.encode(x)
        u = u + self.fc1_t(t)
        up1 = self.up1(concat(u, x3)) + self.fc2_t(t)
        return self.decode(up1, x2, x1)


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
        t = t[:, None]  # (N, 1)
        c = F.one_hot(c, self.num_classes).to(x.dtype)  # (N, num_classes)
        if mask is not None:
            c = c * mask[:, None].to(x.dtype)
        x1, x2, x3, u = self.encode(x)
        u = self.fc1_c(c) * u + self.fc1_t(t)
        up1 = self.fc2_c(c) * self.up1(concat(u, x3)) + self.fc2_t(t)
        return self.decode(up1, x2, x1)
