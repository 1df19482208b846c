"""Where random numbers come from: one generator per picture, so that a seed is a promise."""

import torch
from torch import Tensor

from minidiff.errors import UserError


class SeededNoise:
    """Gaussian noise from one CPU generator per picture.

    A picture's noise depends on its own seed and on how often it has drawn, never on the batch it
    is in or on the device: the same bits everywhere.
    """

    def __init__(self, seeds: list[int], shape: tuple[int, ...] = (3, 64, 64), device="cpu"):
        if not seeds:
            raise UserError("give at least one seed")
        wrong = [s for s in seeds if not 0 <= s < 2**63]
        if wrong:
            raise UserError(f"a seed is a whole number from 0 to 2^63 - 1, not {wrong[0]}")
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.shape, self.device = shape, device

    def draw(self, rows: list[int] | None = None) -> Tensor:
        """(len(rows), *shape): the next noise of these pictures, of all when rows is None."""
        rows = range(len(self.generators)) if rows is None else rows
        drawn = [torch.randn(self.shape, generator=self.generators[i]) for i in rows]
        return torch.stack(drawn).to(self.device)
