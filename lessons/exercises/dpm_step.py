"""Exercise `dpm_step`, course beyond 1.9.

DPM-Solver++ 2M, arXiv 2211.01095, algorithm 2: DDIM's step, but x0 is carried on along the slope
between the last two estimates. half_log_snr is lambda = log(sqrt(abar) / sqrt(1 - abar)). With h
the step in lambda and h_last the one before, D = (1 + h / (2 h_last)) x0 - h / (2 h_last) x0_last
takes the place of x0; without x0_last it is x0 itself. The step is sigma'/sigma x_t + (sqrt(abar')
- sqrt(abar) sigma'/sigma) D, with sigma = sqrt(1 - abar) and ' for abar_prev. Multistep.step takes
the steps of one walk: it keeps t and, by row, the x0 of each picture; a picture that joins late has
no estimate before, and begins with x0_last = x0. The walk's first step, and the last, which ends at
self.end, are of first order.

Check it:       make grade EX=dpm_step
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch
from torch import Tensor

from minidiff.grade.stub import YourTurnError
from minidiff.samplers import estimate_x0, levels


def half_log_snr(abar: Tensor) -> Tensor:
    """lambda = log(sqrt(abar) / sqrt(1 - abar)): grows as the noise goes.  DPM++ section 2.1."""
    # 1 line in the package
    raise YourTurnError("write half_log_snr")


def dpm_step(
    x_t: Tensor,
    x0: Tensor,
    abar: Tensor,
    abar_prev: Tensor,
    x0_last: Tensor | None = None,
    abar_last: Tensor | None = None,
) -> Tensor:
    """x_{t_prev} from x_t and the last two estimates of x0.  DPM++ algorithm 2 (2M).

    x0_last, abar_last   the estimate of the step before and the level it was made at. Without
                         them the step is of first order: DPM++ eq. 9, the same as DDIM's at eta 0.
    """
    # about 6 lines in the package
    raise YourTurnError("write dpm_step")


class Multistep:
    """The steps of one walk of DPM-Solver++, with the last estimate of each picture."""

    def __init__(self, end: int):
        self.end = end  # t_prev of the last step
        self.t_last: int | None = None
        self.x0_last: dict[int, Tensor] = {}  # by row: pictures may join the walk later

    def step(self, x_t, eps, v, t, t_prev, schedule, noise, rows, threshold):
        # about 9 lines in the package
        raise YourTurnError("write Multistep.step")
