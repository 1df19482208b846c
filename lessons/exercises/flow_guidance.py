"""Exercise `flow_guidance`, course fa25 B.2.6, fa26 2.1.

The same thing in its two notations. guide_velocity is A.4 of autumn 2026, with a w that is 0 for
the conditional velocity. guided_velocity is algorithm B.4, line 4: it asks the UNet once, about the
digits masked (0) and told (1), at time t for all, and combines the two velocities with the scale
gamma, which is 1 for the conditional one: a number, or (N, 1, 1, 1).

Check it:       make grade EX=flow_guidance
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch
from torch import Tensor

from minidiff.equations import classifier_free_guidance
from minidiff.grade.stub import YourTurnError
from minidiff.mnist.unet import ClassConditionalUNet


def guide_velocity(v_uncond: Tensor, v_cond: Tensor, w: float) -> Tensor:
    """Guidance with the course's w of fa26, A.4: w = 0 is the conditional velocity.

    It is classifier_free_guidance at gamma = w + 1, which counts from the unconditional one.
    """
    # 1 line in the package
    raise YourTurnError("write guide_velocity")


def guided_velocity(
    unet: ClassConditionalUNet, c: Tensor, scale: float | Tensor, x: Tensor, t: float
) -> Tensor:
    """Algorithm B.4, line 4: u_uncond + gamma (u_cond - u_uncond), from one call of the UNet.

    c: (N,) int64. scale: gamma, a number or (N, 1, 1, 1); 0 ignores the digit, 1 is conditional.
    """
    # about 4 lines in the package
    raise YourTurnError("write guided_velocity")
