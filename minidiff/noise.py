"""Where random numbers come from: one generator per picture, so that a seed is a promise."""

import torch
from torch import Tensor

from minidiff.errors import UserError
from minidiff.io.inputs import whole_numbers


class SeededNoise:
    """Gaussian noise from one CPU generator per picture.

    A picture's noise depends on its own seed and on how often it has drawn, never on the batch it
    is in or on the device: the same bits everywhere.
    """

    def __init__(self, seeds: list[int], shape: tuple[int, ...] = (3, 64, 64), device="cpu"):
        seeds = whole_numbers(seeds, "seeds")
        if not seeds:
            raise UserError("give at least one seed")
        wrong = [s for s in seeds if not 0 <= s < 2**63]
        if wrong:
            raise UserError(f"a seed is a whole number from 0 to 2^63 - 1, not {wrong[0]}")
        self.generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        self.shape, self.device = shape, device

    def draw(self, rows: list[int] | None = None) -> Tensor:
        """(len(rows), *shape): the next noise of these pictures, of all when rows is None."""
        rows = range(len(self.generators)) if rows is None else rows
        if max(rows, default=0) >= len(self.generators):
            raise UserError(
                f"the noise has {len(self.generators)} seeds and picture {max(rows)} asks for its"
                " own: give a seed for each picture"
            )
        # dtype and device by name: torch's own defaults may have been set to others
        how = {"dtype": torch.float32, "device": "cpu"}
        drawn = [torch.randn(self.shape, generator=self.generators[i], **how) for i in rows]
        return torch.stack(drawn).to(self.device)

    def fit(self, x: Tensor) -> "SeededNoise":
        """The same generators, drawing where pictures x (B, ...) are. UserError unless both the
        number and the shape of pictures are those of the noise."""
        if (len(self.generators), *self.shape) != tuple(x.shape):
            raise UserError(
                f"the pictures are {tuple(x.shape)} and the noise is"
                f" {(len(self.generators), *self.shape)}: SeededNoise takes a seed for"
                " each picture"
            )
        fitted = SeededNoise([0], self.shape, x.device)
        fitted.generators = self.generators
        return fitted
