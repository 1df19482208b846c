# Written by `make lessons-sync`, do not edit: sha256 971eaafc93bdbe10
"""Solution of `schedule`, course 1.1: from minidiff/schedule.py."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from minidiff.errors import UserError
from minidiff.schedule import check_floating


@dataclass(frozen=True)
class Schedule:
    """betas and abar = cumprod(1 - betas), float64 on the CPU, one entry per timestep 0..T-1."""

    betas: Tensor

    def __post_init__(self):
        object.__setattr__(self, "abars", torch.cumprod(1 - self.betas.double(), dim=0))

    def __len__(self) -> int:
        return len(self.betas)

    def abar(self, t: int | Tensor, like: Tensor) -> Tensor:
        """abar at t, shaped to multiply pictures: (1, 1, 1, 1) for a number, (B, 1, 1, 1) for (B,).

        t = -1 stands for "before the first step" and gives 1, the clean picture. The result has
        the dtype and device of `like`.
        """
        check_floating(like)
        t = torch.as_tensor(t, device="cpu").reshape(-1)
        if not bool(((t >= -1) & (t < len(self))).all()):
            raise UserError(f"timestep {t.tolist()} is outside -1..{len(self) - 1}")
        abars = torch.where(t < 0, torch.ones((), dtype=torch.float64), self.abars[t])
        return abars.to(like.dtype).to(like.device)[:, None, None, None]


def cosine_schedule(num_timesteps: int = 1000, max_beta: float = 0.999) -> Schedule:
    """DeepFloyd IF's schedule, squaredcos_cap_v2.  IDDPM eq. 17 (arXiv 2102.09672)."""

    def abar(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    steps = [(i / num_timesteps, (i + 1) / num_timesteps) for i in range(num_timesteps)]
    betas = [min(1 - abar(end) / abar(start), max_beta) for start, end in steps]
    return Schedule(torch.tensor(betas, dtype=torch.float64))


def linear_schedule(first: float = 1e-4, last: float = 0.02, num_timesteps: int = 300) -> Schedule:
    """Part B's schedule: betas evenly spaced, both ends included.  DDPM section 4."""
    return Schedule(torch.linspace(first, last, num_timesteps, dtype=torch.float64))
