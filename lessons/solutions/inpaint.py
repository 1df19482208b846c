# Written by `make lessons-sync`, do not edit: sha256 92620d68db4ac115
"""Solution of `inpaint`, course 1.7.2: from minidiff/equations.py, minidiff/sampling.py."""

from collections.abc import Callable

from torch import Tensor

from minidiff.equations import forward_process
from minidiff.sampling import SeededNoise, one_mask_each
from minidiff.schedule import Schedule


def inpaint_blend(x_t: Tensor, x_orig_t: Tensor, mask: Tensor) -> Tensor:
    """Keep what was made inside the mask, the original outside.  Course A.5, RePaint eq. 8.

    mask is 1 where new content goes. x_orig_t is the original *noised to the level x_t has now*.
    """
    # x_t <- m x_t + (1 - m) forward(x_orig, t)
    return mask * x_t + (1 - mask) * x_orig_t


def keep_outside(
    original: Tensor, mask: Tensor, schedule: Schedule, noise: SeededNoise
) -> Callable[[Tensor, int, list[int]], Tensor]:
    """An `after_step` that inpaints (course A.5): new content where mask is 1, original elsewhere.

    original (B, 3, H, W), mask (B or 1, 1, H, W) of 0 and 1, bool or numbers. The original is
    noised to the level just reached, t_prev, not to the one the step came from.
    """
    mask = one_mask_each(mask, original)

    def after_step(x: Tensor, t_prev: int, rows: list[int]) -> Tensor:
        abar = schedule.abar(t_prev, like=x)
        noised = forward_process(original[rows], abar, noise.draw(rows))
        return inpaint_blend(x, noised, mask[rows])

    return after_step
