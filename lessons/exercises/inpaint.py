"""Exercise `inpaint`, course 1.7.2.

inpaint_blend keeps x_t where mask is 1 and the noised original where it is 0: equation A.5.
keep_outside returns the function after_step(x, t_prev, rows) that the loop calls after every step:
it noises original[rows] to the level just reached, t_prev, with noise.draw(rows) and
schedule.abar(t_prev, like=x), and blends. original is (B, 3, H, W), mask (B or 1, 1, H, W);
one_mask_each(mask, original) makes it one per picture, to be taken by rows as well.

Check it:       make grade EX=inpaint
Begin it anew:  delete this file, then `make lessons-sync`
"""

from collections.abc import Callable

from torch import Tensor

from minidiff.equations import forward_process
from minidiff.grade.stub import YourTurnError
from minidiff.noise import SeededNoise
from minidiff.sampling import one_mask_each
from minidiff.schedule import Schedule


def inpaint_blend(x_t: Tensor, x_orig_t: Tensor, mask: Tensor) -> Tensor:
    """Keep what was made inside the mask, the original outside.  Course A.5, RePaint eq. 8.

    mask is 1 where new content goes. x_orig_t is the original *noised to the level x_t has now*.
    """
    # 1 line in the package
    raise YourTurnError("write inpaint_blend")


def keep_outside(
    original: Tensor, mask: Tensor, schedule: Schedule, noise: SeededNoise
) -> Callable[[Tensor, int, list[int]], Tensor]:
    """An `after_step` that inpaints (course A.5): new content where mask is 1, original elsewhere.

    original (B, 3, H, W), mask (B or 1, 1, H, W) of 0 and 1, bool or numbers. The original is
    noised to the level just reached, t_prev, not to the one the step came from.
    """
    # about 6 lines in the package
    raise YourTurnError("write keep_outside")
