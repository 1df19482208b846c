"""Following a velocity through time: the times to stop at, and three ways to step between them.

Flow matching's time: t = 0 is noise, t = 1 is clean, so the times rise (the timesteps of
`schedule.py` fall). A walk yields its starting point and then the picture after every step.
"""

from collections import deque
from collections.abc import Callable, Iterator

from torch import Tensor

from minidiff.equations import euler_step
from minidiff.errors import UserError

Velocity = Callable[[Tensor, float], Tensor]  # (x_t, t) to v, of x_t's shape
Walk = Callable[[Velocity, Tensor, list[float]], Iterator[Tensor]]


def even_times(num_steps: int, t_start: float = 0.0) -> list[float]:
    """t_start, ..., 1 in num_steps equal steps. Part B's num_ts is num_steps."""
    check_start(t_start)
    if num_steps < 1:
        raise UserError(f"a walk needs at least one step, not {num_steps}")
    return [t_start + (1 - t_start) * i / num_steps for i in range(num_steps)] + [1.0]


def step_times(t_start: float, step_size: float) -> list[float]:
    """t_start, t_start + h, ...: steps of one size, the last shortened to end on 1 exactly.

    Course fa26, 1.5: 50 steps of .02 from 0, 25 from .5, and 4 from .93, the last one of .01.
    """
    check_start(t_start)
    if not 0 < step_size <= 1:
        raise UserError(f"a step is larger than 0 and at most 1, not {step_size}")
    # a step that falls short of 1 by rounding only is the last: 50 * .02 may be .9999999
    whole = int((1 - t_start) / step_size - 1e-9)
    return [t_start + i * step_size for i in range(whole + 1)] + [1.0]


def check_start(t_start: float) -> None:
    if not 0 <= t_start < 1:
        raise UserError(f"t_start is a time from 0 (noise) to below 1 (clean), not {t_start}")


def euler_walk(velocity: Velocity, x: Tensor, times: list[float]) -> Iterator[Tensor]:
    """One velocity a step, taken for the whole step. The error of the walk is of order h."""
    yield x
    for t, t_next in zip(times[:-1], times[1:]):
        x = euler_step(x, velocity(x, t), t_next - t)
        yield x


def midpoint_walk(velocity: Velocity, x: Tensor, times: list[float]) -> Iterator[Tensor]:
    """Two velocities a step: half a step to try, and the whole one along the velocity there."""
    yield x
    for t, t_next in zip(times[:-1], times[1:]):
        half = euler_step(x, velocity(x, t), (t_next - t) / 2)
        x = euler_step(x, velocity(half, (t + t_next) / 2), t_next - t)
        yield x


def heun_walk(velocity: Velocity, x: Tensor, times: list[float]) -> Iterator[Tensor]:
    """Two velocities a step, where it starts and where Euler would end it; their mean is taken.

    The last step ends on t = 1, where some fields divide by 1 - t: there it is Euler's.
    """
    yield x
    for t, t_next in zip(times[:-1], times[1:]):
        v, h = velocity(x, t), t_next - t
        if t_next < 1:
            v = (v + velocity(euler_step(x, v, h), t_next)) / 2
        x = euler_step(x, v, h)
        yield x


def last(walk: Iterator[Tensor]) -> Tensor:
    """Run a walk to its end and return the final pictures."""
    return deque(walk, maxlen=1).pop()
