"""Exercise `schedule`, course 1.1.

Schedule holds betas (T,) and their abars, the cumulative product of 1 - beta, in float64.
Schedule.abar(t, like) looks abar up for a number, giving (1, 1, 1, 1), or for t (B,), giving (B, 1,
1, 1), in the dtype of `like`; t = -1 gives 1, and a t outside -1..T-1 is a UserError.
cosine_schedule is DeepFloyd's (IDDPM eq. 17, s = 0.008, no beta above 0.999); linear_schedule is
Part B's, both ends included.

Check it:       make grade EX=schedule
Begin it anew:  delete this file, then `make lessons-sync`
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from minidiff.errors import UserError
from minidiff.grade.stub import YourTurnError
from minidiff.io.inputs import whole_numbers
from minidiff.schedule import EXACT, check_floating


@dataclass(frozen=True)
class Schedule:
    """betas and abar = cumprod(1 - betas), float64 on the CPU, one entry per timestep 0..T-1."""

    betas: Tensor

    def __post_init__(self):
        # 1 line in the package
        raise YourTurnError("write Schedule.__post_init__")

    def __len__(self) -> int:
        return len(self.betas)

    def abar(self, t: int | Tensor, like: Tensor) -> Tensor:
        """abar at t, shaped to multiply pictures: (1, 1, 1, 1) for a number, (B, 1, 1, 1) for (B,).

        t = -1 stands for "before the first step" and gives 1, the clean picture. The result has
        the dtype and device of `like`.
        """
        # about 6 lines in the package
        raise YourTurnError("write Schedule.abar")


def cosine_schedule(num_timesteps: int = 1000, max_beta: float = 0.999) -> Schedule:
    """DeepFloyd IF's schedule, squaredcos_cap_v2.  IDDPM eq. 17 (arXiv 2102.09672)."""
    # about 5 lines in the package
    raise YourTurnError("write cosine_schedule")


def linear_schedule(first: float = 1e-4, last: float = 0.02, num_timesteps: int = 300) -> Schedule:
    """Part B's schedule: betas evenly spaced, both ends included.  DDPM section 4."""
    # 1 line in the package
    raise YourTurnError("write linear_schedule")
