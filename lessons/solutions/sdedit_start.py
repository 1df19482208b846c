# Written by `make lessons-sync`, do not edit: sha256 ec5c57c60ffb5be0
"""Solution of `sdedit_start`, course 1.7: from minidiff/sampling.py."""

import torch
from torch import Tensor

from minidiff.equations import forward_process
from minidiff.sampling import SeededNoise, check_starts
from minidiff.schedule import Pairs, Schedule


def noised_start(
    x0: Tensor, pairs: Pairs, starts: list[int], schedule: Schedule, noise: SeededNoise
) -> Tensor:
    """SDEdit's beginning (course 1.7): each picture noised to the timestep where it starts.

    A larger start index is a *later* start: less noise, closer to the original.
    """
    check_starts(starts, len(x0), len(pairs))
    t = torch.tensor([pairs[s][0] for s in starts])
    return forward_process(x0, schedule.abar(t, like=x0), noise.draw())
