# Written by `make lessons-sync`, do not edit: sha256 b0e0096cdec4f957
"""Solution of `timesteps`, course 1.4: from minidiff/schedule.py."""

from minidiff.errors import UserError
from minidiff.schedule import Pairs, check_timesteps


def strided_timesteps(start: int = 990, stride: int = 30) -> list[int]:
    """The course's list: 990, 960, ..., 30, 0 (section 1.4)."""
    return list(range(start, -1, -stride))


def course_pairs(timesteps: list[int] | None = None) -> Pairs:
    """(990, 960), ..., (30, 0): the course's 33 transitions. The walk ends *at* t = 0."""
    timesteps = strided_timesteps() if timesteps is None else timesteps
    check_timesteps(timesteps)
    return list(zip(timesteps[:-1], timesteps[1:]))


def pipeline_pairs(timesteps: list[int]) -> Pairs:
    """The official pipeline's walk over such a list: one more step, from the last t to x0."""
    check_timesteps(timesteps)
    return list(zip(timesteps, [*timesteps[1:], -1]))


def leading_timesteps(num_steps: int, num_timesteps: int = 1000) -> list[int]:
    """The official pipeline's default spacing, 'leading': (n-1) r, ..., r, 0 with r = T // n."""
    if not 1 <= num_steps <= num_timesteps:
        raise UserError(f"steps must be 1 to {num_timesteps}, not {num_steps}")
    stride = num_timesteps // num_steps
    return [i * stride for i in reversed(range(num_steps))]
