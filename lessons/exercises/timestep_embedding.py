"""Exercise `timestep_embedding`, course A.0.

The position code of the timesteps t (B,), as (B, dim) in float32: cos(t f_i) for the first half,
sin(t f_i) for the second, f_i = 10000^(-i / half), i from 0. A t that is a float may lie between
two timesteps.

Check it:       make grade EX=timestep_embedding
Begin it anew:  delete this file, then `make lessons-sync`
"""

import math

import torch
from torch import Tensor

from minidiff.grade.stub import YourTurnError


def sinusoid(t: Tensor, dim: int) -> Tensor:
    """Transformer position encoding of the timestep: (B,) -> (B, dim), cosines first, fp32.

    t may lie between two timesteps, as it does where flow.py asks.
    """
    # about 4 lines in the package
    raise YourTurnError("write sinusoid")
