"""Exercise `hybrid`, course 1.9.

hybrid_estimate takes the low frequencies of eps_far and the high ones of eps_near, given a function
low_pass. course_low_pass is torchvision's gaussian_blur with kernel 33, sigma 2. Hybrid guides both
estimates against one empty prompt and makes one of them; v is the far prompt's. answers are in the
order of prompts: empty, far, near.

Check it:       make grade EX=hybrid
Begin it anew:  delete this file, then `make lessons-sync`
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from minidiff.deepfloyd.unet import Cond
from minidiff.equations import classifier_free_guidance
from minidiff.grade.stub import YourTurnError
from minidiff.guidance import Guidance


def hybrid_estimate(eps_far: Tensor, eps_near: Tensor, low_pass) -> Tensor:
    """Low frequencies of one estimate, high frequencies of the other.  Course 1.9.

    low_pass is a function picture -> blurred picture; high-pass is what it takes away.
    """
    # 1 line in the package
    raise YourTurnError("write hybrid_estimate")


def course_low_pass(x: Tensor) -> Tensor:
    """The course's low-pass filter: Gaussian blur, kernel 33, sigma 2 pixels."""
    # about 2 lines in the package
    raise YourTurnError("write course_low_pass")


@dataclass(frozen=True)
class Hybrid(Guidance):
    """One prompt seen from afar, another close up: section 1.9. Variance of the far prompt."""

    far: Cond
    near: Cond
    uncond: Cond
    scale: float = 7.0
    low_pass: Callable[[Tensor], Tensor] = course_low_pass

    @property
    def prompts(self):
        # 1 line in the package
        raise YourTurnError("write Hybrid.prompts")

    def combine(self, answers):
        # about 4 lines in the package
        raise YourTurnError("write Hybrid.combine")
