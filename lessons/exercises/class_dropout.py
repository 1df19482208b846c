"""Exercise `class_dropout`, course B.2.4.

Algorithm B.3. class_ddpm_example adds to ddpm_example the digits c (N,) and a mask (N,): 0 where
the whole class is dropped, with chance p_uncond, 1 elsewhere. It gives ((x_t, c, t / T, mask),
eps).

Check it:       make grade EX=class_dropout
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch
from torch import Tensor

from minidiff.grade.stub import YourTurnError
from minidiff.mnist.ddpm import Example, Schedule, ddpm_example


def class_ddpm_example(
    schedule: Schedule,
    x_0: Tensor,
    c: Tensor,
    p_uncond: float,
    generator: torch.Generator | None = None,
) -> Example:
    """Algorithm B.3: ((x_t, c, t / T, mask), eps); the mask drops whole class vectors."""
    # about 3 lines in the package
    raise YourTurnError("write class_ddpm_example")
