"""Exercise `denoise_step`, course 1.4.

One transition from t to t_prev, equation A.3: x0 from eps, thresholded if a threshold is given; the
mean of the step; its noise, of the log-variance that v says. Ask schedule.abar(t, like=x_t) for a
level and noise.draw(rows) for noise. The step from t = 0, which ends on the clean picture, adds no
noise. All pictures (B, 3, H, W); returns the next picture and x0. The equations are in
minidiff/equations.py.

Check it:       make grade EX=denoise_step
Begin it anew:  delete this file, then `make lessons-sync`
"""

from torch import Tensor

from minidiff.equations import add_noise, learned_range_log_variance, posterior_mean, x0_from_eps
from minidiff.grade.stub import YourTurnError
from minidiff.noise import SeededNoise
from minidiff.samplers import Limit
from minidiff.schedule import Schedule


def step(
    x_t: Tensor,
    eps: Tensor,
    v: Tensor,
    t: int,
    t_prev: int,
    schedule: Schedule,
    noise: SeededNoise,
    rows: list[int],
    threshold: Limit | None,
) -> tuple[Tensor, Tensor]:
    """One transition t -> t_prev, course A.3: the next picture and the x0 behind it.

    x_t, eps, v   (R, 3, H, W), the pictures that move, and the answer of the UNet about them
    rows          which pictures of the batch these are: noise.draw(rows) gives theirs
    threshold     applied to x0, if there is one
    """
    # about 9 lines in the package
    raise YourTurnError("write step")
