"""Exercise `views`, course 1.8.

Views of a picture (B, C, H, W), each with its inverse. FlipUpDown turns rows upside down. Rotate
makes quarter turns, counter-clockwise. Negate changes the sign of the picture, but the variance,
which it does not touch, has none. Permute shuffles square pieces, in the order that self.order
gives. InnerCircle turns the disc in the middle by quarter turns.

Check it:       make grade EX=views
Begin it anew:  delete this file, then `make lessons-sync`
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from minidiff.errors import UserError
from minidiff.grade.stub import YourTurnError
from minidiff.views import View, turned_by


class FlipUpDown(View):
    """Upside down as in a lake: the course's flip, dim -2."""

    name = "flip"

    def view(self, x):
        # 1 line in the package
        raise YourTurnError("write FlipUpDown.view")

    inverse = view

    def frame(self, x, s):
        """The picture turns about its horizontal axis: squeezed flat at s = 0.5."""
        height = max(2, round(abs(math.cos(math.pi * s)) * x.shape[-2]))
        side = x if s < 0.5 else self.view(x)
        squeezed = F.interpolate(side, size=(height, x.shape[-1]), mode="area")
        spare = x.shape[-2] - height
        return F.pad(squeezed, (0, 0, spare // 2, spare - spare // 2), value=1.0)


@dataclass(frozen=True)
class Rotate(View):
    """A quarter, half or three-quarter turn, counter-clockwise. 180 is the page turned round."""

    degrees: int = 180

    def __post_init__(self):
        if self.degrees % 90:
            raise UserError(f"only quarter turns keep noise as it is, not {self.degrees} degrees")

    @property
    def name(self):
        return f"rotate{self.degrees}"

    def view(self, x):
        # 1 line in the package
        raise YourTurnError("write Rotate.view")

    def inverse(self, x):
        # 1 line in the package
        raise YourTurnError("write Rotate.inverse")

    def frame(self, x, s):
        return turned_by(x, self.degrees * s, fill=1.0)


class Negate(View):
    """A photographic negative. Noise is symmetric about 0, so the negated noise is as white."""

    name = "negate"

    def view(self, x):
        # 1 line in the package
        raise YourTurnError("write Negate.view")

    inverse = view

    def inverse_variance(self, v):
        # 1 line in the package
        raise YourTurnError("write Negate.inverse_variance")


@dataclass(frozen=True)
class Permute(View):
    """The picture cut into square pieces, shuffled by a seed. size 1 shuffles single pixels."""

    size: int = 16
    seed: int = 0

    @property
    def name(self):
        return f"permute{self.size}"

    def enlarged(self, factor):
        return Permute(self.size * factor, self.seed)

    def order(self, x: Tensor) -> Tensor:
        pieces = (x.shape[-2] // self.size) * (x.shape[-1] // self.size)
        return torch.randperm(pieces, generator=torch.Generator().manual_seed(self.seed))

    def shuffle(self, x: Tensor, order: Tensor) -> Tensor:
        return self.from_cells(self.to_cells(x)[:, order.to(x.device)], x.shape)

    def to_cells(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, pieces, C, size, size)"""
        b, c, h, w = x.shape
        n = self.size
        if h % n or w % n:
            raise UserError(f"{w} x {h} pixels cannot be cut into squares of {n}")
        cells = x.reshape(b, c, h // n, n, w // n, n).permute(0, 2, 4, 1, 3, 5)
        return cells.reshape(b, (h // n) * (w // n), c, n, n)

    def from_cells(self, cells: Tensor, shape) -> Tensor:
        b, c, h, w = shape
        n = self.size
        cells = cells.reshape(b, h // n, w // n, c, n, n).permute(0, 3, 1, 4, 2, 5)
        return cells.reshape(b, c, h, w)

    def view(self, x):
        # 1 line in the package
        raise YourTurnError("write Permute.view")

    def inverse(self, x):
        # 1 line in the package
        raise YourTurnError("write Permute.inverse")


class InnerCircle(View):
    """The disc inside the picture makes a quarter turn, the rest stands still.

    A quarter turn moves whole pixels, so nothing is interpolated.
    """

    name = "circle"

    def view(self, x):
        # 1 line in the package
        raise YourTurnError("write InnerCircle.view")

    def inverse(self, x):
        # 1 line in the package
        raise YourTurnError("write InnerCircle.inverse")

    def turn(self, x: Tensor, quarters: int) -> Tensor:
        # 1 line in the package
        raise YourTurnError("write InnerCircle.turn")

    def disc(self, x: Tensor) -> Tensor:
        side = x.shape[-1]
        offset = torch.arange(side, device=x.device) - (side - 1) / 2
        return offset[:, None] ** 2 + offset[None, :] ** 2 < (side / 2 * 0.75) ** 2

    def frame(self, x, s):
        turned = turned_by(x, 90 * s)
        return torch.where(self.disc(x), turned, x)
