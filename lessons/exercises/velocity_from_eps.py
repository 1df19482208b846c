"""Exercise `velocity_from_eps`, course fa26 Part A.

Any path x_t = alpha x1 + sigma eps has the velocity v = d_alpha x1 + d_sigma eps, where d_alpha and
d_sigma are the derivatives of alpha and sigma. Write v from eps, v from x1, and both of them from
v, sound at both ends of the path, where alpha or sigma is 0. score_from_velocity is the gradient of
the log-density, -eps / sigma, on the linear path alpha = t, sigma = 1 - t. Numbers or tensors may
stand for alpha and the rest.

Check it:       make grade EX=velocity_from_eps
Begin it anew:  delete this file, then `make lessons-sync`
"""

from torch import Tensor

from minidiff.grade.stub import YourTurnError


def velocity_from_eps(x_t, eps, alpha, sigma, d_alpha, d_sigma) -> Tensor:
    """The velocity that an estimate of the noise means, on any path.  SiT, eq. 6 and 7."""
    # 1 line in the package
    raise YourTurnError("write velocity_from_eps")


def velocity_from_x1(x_t, x1, alpha, sigma, d_alpha, d_sigma) -> Tensor:
    """The velocity that an estimate of the clean picture means, on any path."""
    # 1 line in the package
    raise YourTurnError("write velocity_from_x1")


def eps_from_velocity(x_t, v, alpha, sigma, d_alpha, d_sigma) -> Tensor:
    """The noise that a velocity means: both lines above, solved for eps; sound at every t."""
    # 1 line in the package
    raise YourTurnError("write eps_from_velocity")


def x1_from_path_velocity(x_t, v, alpha, sigma, d_alpha, d_sigma) -> Tensor:
    """The clean picture that a velocity means, on any path; x1_from_velocity on the linear one."""
    # 1 line in the package
    raise YourTurnError("write x1_from_path_velocity")


def score_from_velocity(x_t: Tensor, v: Tensor, t: float | Tensor) -> Tensor:
    """The gradient of the log-density at time t < 1 of the linear path, -eps / sigma.

    It is what a noisy sampler adds to the velocity.  SiT, eq. 9; DDPM's eps, divided by its scale.
    """
    # 1 line in the package
    raise YourTurnError("write score_from_velocity")
