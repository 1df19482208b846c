"""The course's UNet, block by block, and its three versions (Part B, sections 1.1, 2.1 and 2.4).

                        x  (N, 1, 28, 28)                      y  (N, 1, 28, 28)
                        |                                      ^
    conv_in  ConvBlock  x1 (N,  D, 28, 28) ------------ cat -> conv_out, out
    down1    DownBlock  x2 (N,  D, 14, 14) ----- cat -> up2    (N,  D, 28, 28)
    down2    DownBlock  x3 (N, 2D,  7,  7) cat-> up1           (N,  D, 14, 14)  <- conditioned
    flatten             f  (N, 2D,  1,  1)  ^
    unflatten           u  (N, 2D,  7,  7) -'                                   <- conditioned

The numbers of parameters are fixed by the course's table: 7,891,073 for UnconditionalUNet with
D = 128, 1,996,417 for TimeConditionalUNet and 2,019,201 for ClassConditionalUNet with D = 64.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidiff.errors import UserError
from minidiff.io.inputs import digit_inputs

# --- blocks, numbered as in the course's figure -------------------------------------------------


class Conv(nn.Sequential):
    """1: keeps height and width, changes the channels."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=1, padding=1),
            nn.BatchNorm2d(channels_out),
            nn.GELU(),
        )


class DownConv(nn.Sequential):
    """2: halves height and width."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=2, padding=1),
            nn.BatchNorm2d(channels_out),
            nn.GELU(),
        )


class UpConv(nn.Sequential):
    """3: doubles height and width."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(
            nn.ConvTranspose2d(channels_in, channels_out, kernel_size=4, stride=2, padding=1),
            nn.BatchNorm2d(channels_out),
            nn.GELU(),
        )


class Flatten(nn.Sequential):
    """4: 7x7 to 1x1 by averaging."""

    def __init__(self):
        super().__init__(nn.AvgPool2d(7), nn.GELU())


class Unflatten(nn.Sequential):
    """5: 1x1 back to 7x7."""

    def __init__(self, channels: int):
        super().__init__(
            nn.ConvTranspose2d(channels, channels, kernel_size=7, stride=7),
            nn.BatchNorm2d(channels),
            nn.GELU(),
        )


def concat(*parts: Tensor) -> Tensor:
    """6: joins feature maps of one height and width along the channels."""
    return torch.cat(parts, dim=1)


class ConvBlock(nn.Sequential):
    """7: two Convs."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(Conv(channels_in, channels_out), Conv(channels_out, channels_out))


class DownBlock(nn.Sequential):
    """8: DownConv, then ConvBlock."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(DownConv(channels_in, channels_out), ConvBlock(channels_out, channels_out))


class UpBlock(nn.Sequential):
    """9: UpConv, then ConvBlock."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(UpConv(channels_in, channels_out), ConvBlock(channels_out, channels_out))


class FCBlock(nn.Sequential):
    """10: two linear layers, no activation after the second; (N, in) to (N, out, 1, 1)."""

    def __init__(self, features_in: int, features_out: int):
        super().__init__(
            nn.Linear(features_in, features_out),
            nn.GELU(),
            nn.Linear(features_out, features_out),
            nn.Unflatten(1, (features_out, 1, 1)),  # so that it multiplies and adds to feature maps
        )


# --- the three UNets ------------------------------------------------------------------------------


class UnconditionalUNet(nn.Module):
    """x (N, in_channels, 28, 28) to the same shape. The one-step denoiser of section 1."""

    def __init__(self, in_channels: int = 1, num_hiddens: int = 128):
        super().__init__()
        self.register_forward_pre_hook(digit_inputs, with_kwargs=True)  # what users bring
        self.in_channels = in_channels
        D = num_hiddens
        self.conv_in = ConvBlock(in_channels, D)
        self.down1 = DownBlock(D, D)
        self.down2 = DownBlock(D, 2 * D)
        self.flatten = Flatten()
        self.unflatten = Unflatten(2 * D)
        self.up1 = UpBlock(4 * D, D)
        self.up2 = UpBlock(2 * D, D)
        self.conv_out = ConvBlock(2 * D, D)
        self.out = nn.Conv2d(D, in_channels, kernel_size=3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x1, x2, x3, u = self.encode(x)
        up1 = self.up1(concat(u, x3))
        return self.decode(up1, x2, x1)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The way down to 1x1 and back up to 7x7: x1, x2, x3 and u of the drawing."""
        if x.shape[-2:] != (28, 28):
            raise UserError(
                f"this UNet reads 28x28 pictures, (N, 1, 28, 28), not {tuple(x.shape)}; resize them"
            )
        x1 = self.conv_in(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        u = self.unflatten(self.flatten(x3))
        return x1, x2, x3, u

    def decode(self, up1: Tensor, x2: Tensor, x1: Tensor) -> Tensor:
        """The way from 14x14 to the picture."""
        up2 = self.up2(concat(up1, x2))
        return self.out(self.conv_out(concat(up2, x1)))


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
