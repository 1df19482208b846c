"""Exercise `second_picture`, course 0.

Upscaled is a guidance around another one, `inner`, for a network that sees two pictures: x_t and,
behind it in the channels, `seen`. Each query of the inner guidance is shown both as it wants to see
them; prompts and combine are the inner guidance's own.

Check it:       make grade EX=second_picture
Begin it anew:  delete this file, then `make lessons-sync`
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from minidiff.grade.stub import YourTurnError
from minidiff.guidance import Guidance


@dataclass(frozen=True)
class Upscaled(Guidance):
    """Any of the above in the second stage, whose UNet is shown a small picture beside x_t.

    inner   its Conds know the noise level that `seen` has: UNet.prepare(text, level)
    seen    (B, 3, H, W), the small picture, enlarged to the size of x_t and noised
    A view turns both, so that they still show the same.
    """

    inner: Guidance
    seen: Tensor

    @property
    def prompts(self):
        # 1 line in the package
        raise YourTurnError("write Upscaled.prompts")

    def pictures(self, x):
        # about 2 lines in the package
        raise YourTurnError("write Upscaled.pictures")

    def combine(self, answers):
        # 1 line in the package
        raise YourTurnError("write Upscaled.combine")
