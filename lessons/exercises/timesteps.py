"""Exercise `timesteps`, course 1.4.

strided_timesteps is the course's list 990, 960, ..., 30, 0. course_pairs makes of it the walk
[(990, 960), ..., (30, 0)]; pipeline_pairs goes one step further, from the last t to the clean
picture, which is called -1. leading_timesteps(n) is the official spacing: (n-1) r, ..., r, 0 with r
= T // n.

Check it:       make grade EX=timesteps
Begin it anew:  delete this file, then `make lessons-sync`
"""

from minidiff.grade.stub import YourTurnError
from minidiff.io.inputs import whole_numbers
from minidiff.schedule import Pairs, check_steps, check_timesteps


def strided_timesteps(start: int = 990, stride: int = 30) -> list[int]:
    """The course's list: 990, 960, ..., 30, 0 (section 1.4)."""
    # 1 line in the package
    raise YourTurnError("write strided_timesteps")


def course_pairs(timesteps: list[int] | None = None) -> Pairs:
    """(990, 960), ..., (30, 0): the course's 33 transitions. The walk ends *at* t = 0."""
    # about 4 lines in the package
    raise YourTurnError("write course_pairs")


def pipeline_pairs(timesteps: list[int]) -> Pairs:
    """The official pipeline's walk over such a list: one more step, from the last t to x0."""
    # about 3 lines in the package
    raise YourTurnError("write pipeline_pairs")


def leading_timesteps(num_steps: int, num_timesteps: int = 1000) -> list[int]:
    """The official pipeline's default spacing, 'leading': (n-1) r, ..., r, 0 with r = T // n."""
    # about 3 lines in the package
    raise YourTurnError("write leading_timesteps")
