# Written by `make lessons-sync`, do not edit: sha256 76b0d8bdfa6a967d
"""Solution of `guidance`, course 1.6: from minidiff/guidance.py."""

from dataclasses import dataclass

from minidiff.deepfloyd.unet import Cond
from minidiff.equations import classifier_free_guidance
from minidiff.guidance import Guidance


@dataclass(frozen=True)
class CFG(Guidance):
    """Classifier-free guidance, section 1.6. The variance is the conditional answer's, unguided."""

    cond: Cond
    uncond: Cond
    scale: float = 7.0

    @property
    def prompts(self):
        return [self.uncond, self.cond]

    def combine(self, answers):
        (eps_uncond, _), (eps_cond, v) = answers
        return classifier_free_guidance(eps_uncond, eps_cond, self.scale), v
