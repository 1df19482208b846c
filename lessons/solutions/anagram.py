# Written by `make lessons-sync`, do not edit: sha256 67901cb7dede2c72
"""Solution of `anagram`, course 1.8: from minidiff/equations.py, minidiff/guidance.py."""

from dataclasses import dataclass

from torch import Tensor

from minidiff.deepfloyd.unet import Cond
from minidiff.equations import classifier_free_guidance
from minidiff.errors import UserError
from minidiff.guidance import Guidance
from minidiff.views import View


def anagram_estimate(estimates: list[Tensor]) -> Tensor:
    """One estimate from several, each already turned back upright by its view.  Course 1.8."""
    # eps = (eps_1 + eps_2) / 2
    return sum(estimates) / len(estimates)


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
        return [cond for own in self.conds for cond in (self.uncond, own)]

    def pictures(self, x):
        return [seen for view in self.views for seen in [view.view(x)] * 2]

    def combine(self, answers):
        estimates = []
        for view, (eps_u, _), (eps_c, _) in zip(self.views, answers[::2], answers[1::2]):
            eps = classifier_free_guidance(eps_u, eps_c, self.scale)
            estimates.append(view.inverse(eps))
        return anagram_estimate(estimates), self.views[0].inverse_variance(answers[1][1])
