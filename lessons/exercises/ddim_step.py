"""Exercise `ddim_step`, course beyond 1.9.

A step without the dice, or with as many of them as eta says: DDIM, arXiv 2010.02502, eq. 12 and 16,
with abar where the paper writes alpha. eps_from_x0 solves equation A.2 for the noise. ddim_step
noises the estimate x0 to the level abar_prev again: with eps, the noise that was there, and with z,
fresh noise, whose standard deviation sigma is eta times that of posterior_variance(abar,
abar_prev); together they have the variance of that level. DDIM.step is such a step of a walk:
levels and estimate_x0 give abar and the x0 within the threshold; where a threshold has changed x0,
eps must be taken anew from it. Fresh noise is noise.draw(rows), drawn only if eta is above 0 and
the step does not end on the clean picture, t_prev = -1. It returns the next picture and x0.

Check it:       make grade EX=ddim_step
Begin it anew:  delete this file, then `make lessons-sync`
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from minidiff.equations import posterior_variance
from minidiff.errors import UserError
from minidiff.grade.stub import YourTurnError
from minidiff.samplers import Sampler, estimate_x0, levels


def eps_from_x0(x_t: Tensor, x0: Tensor, abar: Tensor) -> Tensor:
    """The noise in x_t if x0 is the clean picture: A.2 solved for eps.  DDPM eq. 9."""
    # 1 line in the package
    raise YourTurnError("write eps_from_x0")


def ddim_step(
    x0: Tensor, eps: Tensor, z: Tensor, abar: Tensor, abar_prev: Tensor, eta: float = 0.0
) -> Tensor:
    """x_{t_prev} by the forward process, with estimates in place of the truth.  DDIM eq. 12, 16.

    z is fresh noise. eta says how much of the noise is z: none at 0, and at 1 as much as a step of
    A.3 adds with the posterior variance. The rest is eps, the noise that was there.
    """
    # about 3 lines in the package
    raise YourTurnError("write ddim_step")


@dataclass(frozen=True)
class DDIM(Sampler):
    """DDIM (arXiv 2010.02502) eq. 12. eta 0 adds no noise; eta 1 as much as A.3's small variance.

    With eta 0 the start decides: one seed gives one picture, nearly whatever the number of steps.
    """

    eta: float = 0.0

    def __post_init__(self):
        if not 0 <= self.eta <= 1:
            raise UserError(f"eta is 0 (no fresh noise) to 1 (as much as ddpm), not {self.eta}")

    def begin(self, pairs, ask):
        return self.step

    def step(self, x_t, eps, v, t, t_prev, schedule, noise, rows, threshold):
        # about 6 lines in the package
        raise YourTurnError("write DDIM.step")
