"""Exercise `anagram`, course 1.8.

anagram_estimate is the mean of estimates that all hang upright. Anagram asks, for every view and
its prompt, about the picture as that view shows it: without the prompt and with it. combine guides
each pair, turns the estimate back, and takes the mean; v is that of the first prompt, turned back.
answers are in the order of prompts: empty, first, empty, second.

Check it:       make grade EX=anagram
Begin it anew:  delete this file, then `make lessons-sync`
"""

from dataclasses import dataclass

from torch import Tensor

from minidiff.deepfloyd.unet import Cond
from minidiff.equations import classifier_free_guidance
from minidiff.errors import UserError
from minidiff.grade.stub import YourTurnError
from minidiff.guidance import Guidance
from minidiff.views import View


def anagram_estimate(estimates: list[Tensor]) -> Tensor:
    """One estimate from several, each already turned back upright by its view.  Course 1.8."""
    # 1 line in the package
    raise YourTurnError("write anagram_estimate")


@dataclass(frozen=True)
class Anagram(Guidance):
    """Each view of the picture follows its own prompt: section 1.8.

    Each estimate is guided against the empty prompt *at its own view*, then turned back. The
    variance is that of the first prompt.
    """

    conds: tuple[Cond, ...]
    uncond: Cond
    views: tuple[View, ...]
    scale: float = 7.0

    def __post_init__(self):
        if len(self.conds) != len(self.views):
            raise UserError(f"{len(self.views)} views need as many prompts; got {len(self.conds)}")

    @property
    def prompts(self):
        # 1 line in the package
        raise YourTurnError("write Anagram.prompts")

    def pictures(self, x):
        # 1 line in the package
        raise YourTurnError("write Anagram.pictures")

    def combine(self, answers):
        # about 5 lines in the package
        raise YourTurnError("write Anagram.combine")
