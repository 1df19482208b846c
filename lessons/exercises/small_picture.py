"""Exercise `small_picture`, course 0.

enlarge makes (B, 3, h, w) as large as size = (H, W), bilinear, so that the pixels of the corners
stay the pixels of the corners. noised_low draws noise, which has the large size, enlarges the small
pictures to it and noises them to `level`: forward_process with schedule.abar(level, like=...). It
draws once, for level 0 too.

Check it:       make grade EX=small_picture
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch.nn.functional as F
from torch import Tensor

from minidiff.equations import forward_process
from minidiff.grade.stub import YourTurnError
from minidiff.noise import SeededNoise
from minidiff.schedule import Schedule


def enlarge(low: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, 3, h, w) -> (B, 3, *size), bilinear: the corners' pixels stay the corners' pixels."""
    # 1 line in the package
    raise YourTurnError("write enlarge")


def noised_low(low: Tensor, level: int, schedule: Schedule, noise: SeededNoise) -> Tensor:
    """What the network is shown of the small pictures (B, 3, h, w): as large as the noise, noised.

    It is made once and stays for the whole walk: the network reads it as one thing it was given.
    """
    # about 3 lines in the package
    raise YourTurnError("write noised_low")
