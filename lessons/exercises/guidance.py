"""Exercise `guidance`, course 1.6.

CFG says which prompts a step asks about (first the empty one, then the prompt) and how the two
answers combine. answers is a list of (eps, v), in the order of prompts; the result is one eps,
guided, and one v: the prompt's own, as the UNet gave it.

Check it:       make grade EX=guidance
Begin it anew:  delete this file, then `make lessons-sync`
"""

from dataclasses import dataclass

from minidiff.deepfloyd.unet import Cond
from minidiff.equations import classifier_free_guidance
from minidiff.grade.stub import YourTurnError
from minidiff.guidance import Guidance


@dataclass(frozen=True)
class CFG(Guidance):
    """Classifier-free guidance, section 1.6. The variance is the conditional answer's, unguided."""

    cond: Cond
    uncond: Cond
    scale: float = 7.0

    @property
    def prompts(self):
        # 1 line in the package
        raise YourTurnError("write CFG.prompts")

    def combine(self, answers):
        # about 2 lines in the package
        raise YourTurnError("write CFG.combine")
