# Written by `make lessons-sync`, do not edit: sha256 c0738074ca45748e
"""Solution of `class_dropout`, course B.2.4: from minidiff/mnist/ddpm.py."""

import torch
from torch import Tensor

from minidiff.mnist.ddpm import Example, Schedule, ddpm_example


def class_ddpm_example(
    schedule: Schedule,
    x_0: Tensor,
    c: Tensor,
    p_uncond: float,
    generator: torch.Generator | None = None,
) -> Example:
    """Algorithm B.3: ((x_t, c, t / T, mask), eps); the mask drops whole class vectors."""
    (x_t, t), eps = ddpm_example(schedule, x_0, generator)
    mask = torch.rand(len(c), device=x_0.device, generator=generator) >= p_uncond
    return (x_t, c, t, mask), eps
