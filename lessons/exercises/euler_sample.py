"""Exercise `euler_sample`, course fa26 1.5.

Equations A.2 and A.3 of autumn 2026. x1_from_velocity is the clean picture in one long step.
euler_step goes from t to t + h along v. step_times is the list t_start, t_start + h, ..., 1 as
floats, its last step shortened so that it ends on exactly 1 (a step that rounding alone would add
is not taken); check_start refuses a wrong t_start, and a step not above 0 and up to 1 is a
UserError. euler_walk yields x, then the picture after each step; velocity(x, t) is asked at the
time where the step begins.

Check it:       make grade EX=euler_sample
Begin it anew:  delete this file, then `make lessons-sync`
"""

from collections.abc import Iterator

from torch import Tensor

from minidiff.errors import UserError
from minidiff.grade.stub import YourTurnError
from minidiff.ode import Velocity, check_start


def x1_from_velocity(x_t: Tensor, v: Tensor, t: float | Tensor) -> Tensor:
    """The picture where the linear path ends if v stays as it is.  Course A.2 of fa26."""
    # 1 line in the package
    raise YourTurnError("write x1_from_velocity")


def euler_step(x_t: Tensor, v: Tensor, h: float) -> Tensor:
    """From time t to t + h along the velocity at t.  Course algorithm B.2, A.3 of fa26."""
    # 1 line in the package
    raise YourTurnError("write euler_step")


def step_times(t_start: float, step_size: float) -> list[float]:
    """t_start, t_start + h, ...: steps of one size, the last shortened to end on 1 exactly.

    Course fa26, 1.5: 50 steps of .02 from 0, 25 from .5, and 4 from .93, the last one of .01.
    """
    # about 5 lines in the package
    raise YourTurnError("write step_times")


def euler_walk(velocity: Velocity, x: Tensor, times: list[float]) -> Iterator[Tensor]:
    """One velocity a step, taken for the whole step. The error of the walk is of order h."""
    # about 4 lines in the package
    raise YourTurnError("write euler_walk")
