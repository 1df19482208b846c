"""Exercise `mnist_blocks`, course B.1.1.

The course's blocks, given by their channels: Conv 3x3, DownConv 3x3 with stride 2, UpConv 4x4 with
stride 2, Unflatten 7x7 with stride 7, each followed by BatchNorm and GELU; Flatten averages 7x7
pixels, then GELU; FCBlock is linear, GELU, linear, with (N, out, 1, 1) as its result; ConvBlock,
DownBlock and UpBlock put two or three Convs in a row. Convolutions have a bias.

Check it:       make grade EX=mnist_blocks
Begin it anew:  delete this file, then `make lessons-sync`
"""

from torch import nn

from minidiff.grade.stub import YourTurnError


class Conv(nn.Sequential):
    """1: keeps height and width, changes the channels."""

    def __init__(self, channels_in: int, channels_out: int):
        # about 5 lines in the package
        raise YourTurnError("write Conv.__init__")


class DownConv(nn.Sequential):
    """2: halves height and width."""

    def __init__(self, channels_in: int, channels_out: int):
        # about 5 lines in the package
        raise YourTurnError("write DownConv.__init__")


class UpConv(nn.Sequential):
    """3: doubles height and width."""

    def __init__(self, channels_in: int, channels_out: int):
        # about 5 lines in the package
        raise YourTurnError("write UpConv.__init__")


class Flatten(nn.Sequential):
    """4: 7x7 to 1x1 by averaging."""

    def __init__(self):
        # 1 line in the package
        raise YourTurnError("write Flatten.__init__")


class Unflatten(nn.Sequential):
    """5: 1x1 back to 7x7."""

    def __init__(self, channels: int):
        # about 5 lines in the package
        raise YourTurnError("write Unflatten.__init__")


class ConvBlock(nn.Sequential):
    """7: two Convs."""

    def __init__(self, channels_in: int, channels_out: int):
        # 1 line in the package
        raise YourTurnError("write ConvBlock.__init__")


class DownBlock(nn.Sequential):
    """8: DownConv, then ConvBlock."""

    def __init__(self, channels_in: int, channels_out: int):
        # 1 line in the package
        raise YourTurnError("write DownBlock.__init__")


class UpBlock(nn.Sequential):
    """9: UpConv, then ConvBlock."""

    def __init__(self, channels_in: int, channels_out: int):
        # 1 line in the package
        raise YourTurnError("write UpBlock.__init__")


class FCBlock(nn.Sequential):
    """10: two linear layers, no activation after the second; (N, in) to (N, out, 1, 1)."""

    def __init__(self, features_in: int, features_out: int):
        # about 6 lines in the package
        raise YourTurnError("write FCBlock.__init__")
