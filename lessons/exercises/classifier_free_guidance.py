"""Exercise `classifier_free_guidance`, course 1.6.

Combine the estimate for the empty prompt and the one for the prompt, both (B, C, H, W): equation
A.4. scale 0 is the first, 1 is the second, 7 goes beyond it.

Check it:       make grade EX=classifier_free_guidance
Begin it anew:  delete this file, then `make lessons-sync`
"""

from torch import Tensor

from minidiff.grade.stub import YourTurnError


def classifier_free_guidance(eps_uncond: Tensor, eps_cond: Tensor, scale: float) -> Tensor:
    """Push the estimate along what the prompt changes.  Course A.4, CFG eq. 6 with w = scale - 1.

    scale 0 ignores the prompt, 1 is the plain conditional estimate, 7 is the course's value.
    """
    # 1 line in the package
    raise YourTurnError("write classifier_free_guidance")
