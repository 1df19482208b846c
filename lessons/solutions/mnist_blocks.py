# Written by `make lessons-sync`, do not edit: sha256 a59dd3081e52bdcc
"""Solution of `mnist_blocks`, course B.1.1: from minidiff/mnist/unet.py."""

from torch import nn


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
