"""Exercise `sdedit_start`, course 1.7.

Each picture x0[i] (B, 3, H, W), noised to the timestep where its walk begins: the t of
pairs[starts[i]]. Ask schedule.abar(t, like=x0), with t (B,), for the levels and noise.draw() for
the noise. check_starts refuses an index that is not in the list.

Check it:       make grade EX=sdedit_start
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch
from torch import Tensor

from minidiff.equations import forward_process
from minidiff.grade.stub import YourTurnError
from minidiff.noise import SeededNoise
from minidiff.sampling import check_starts
from minidiff.schedule import Pairs, Schedule


def noised_start(
    x0: Tensor, pairs: Pairs, starts: list[int], schedule: Schedule, noise: SeededNoise
) -> Tensor:
    """SDEdit's beginning (course 1.7): each picture noised to the timestep where it starts.

    A larger start index is a *later* start: less noise, closer to the original.
    """
    # about 3 lines in the package
    raise YourTurnError("write noised_start")
