# Written by `make lessons-sync`, do not edit: sha256 a7b1b7ac1fc4d071
"""Solution of `denoise_step`, course 1.4: from minidiff/sampling.py."""

from torch import Tensor

from minidiff.equations import add_noise, learned_range_log_variance, posterior_mean, x0_from_eps


def step(x_t, eps, v, t, t_prev, schedule, noise, rows, threshold) -> tuple[Tensor, Tensor]:
    """One transition t -> t_prev, course A.3: the next picture and the x0 behind it."""
    abar, abar_prev = schedule.abar(t, like=x_t), schedule.abar(t_prev, like=x_t)
    x0 = x0_from_eps(x_t, eps, abar)
    if threshold is not None:
        x0 = threshold(x0)
    mean = posterior_mean(x_t, x0, abar, abar_prev)
    if t == 0:  # the pipeline's step onto x0 itself; the course's walk ends before it
        return mean, x0
    log_variance = learned_range_log_variance(v, abar, abar_prev)
    return add_noise(mean, log_variance, noise.draw(rows)), x0
