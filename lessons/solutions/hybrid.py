# Written by `make lessons-sync`, do not edit: sha256 d441c8ae72d44f10
"""Solution of `hybrid`, course 1.9: from minidiff/equations.py, minidiff/guidance.py."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from minidiff.deepfloyd.unet import Cond
from minidiff.equations import classifier_free_guidance
from minidiff.guidance import Guidance


def hybrid_estimate(eps_far: Tensor, eps_near: Tensor, low_pass) -> Tensor:
    """Low frequencies of one estimate, high frequencies of the other.  Course 1.9.

    low_pass is a function picture -> blurred picture; high-pass is what it takes away.
    """
    # eps = lowpass(eps_1) + highpass(eps_2),  highpass(e) = e - lowpass(e)
    return low_pass(eps_far) + (eps_near - low_pass(eps_near))


def course_low_pass(x: Tensor) -> Tensor:
    """The course's low-pass filter: Gaussian blur, kernel 33, sigma 2 pixels."""
    return gaussian_blur(x, kernel_size=33, sigma=2.0)


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
        return [self.uncond, self.far, self.near]

    def combine(self, answers):
        (eps_u, _), (eps_far, v), (eps_near, _) = answers
        far = classifier_free_guidance(eps_u, eps_far, self.scale)
        near = classifier_free_guidance(eps_u, eps_near, self.scale)
        return hybrid_estimate(far, near, self.low_pass), v
