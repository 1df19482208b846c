"""Ways of looking at a picture that turn one reading of an anagram into the other.

A view must keep white noise white: each output pixel is one input pixel, perhaps negated. A blur
or an interpolated rotation is not allowed, and the lesson on anagrams shows what happens then.

    view(x)       (B, C, H, W) -> what the second prompt sees
    inverse(x)    undoes it; applied to the noise estimate
    frame(x, s)   the picture on its way from one reading (s = 0) to the other (s = 1), for GIFs

The interface follows Geng et al. 2024, "Visual Anagrams", arXiv 2311.17919.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from minidiff.errors import UserError


class View:
    """The identity, and what other views inherit."""

    name = "identity"

    def view(self, x: Tensor) -> Tensor:
        return x

    def inverse(self, x: Tensor) -> Tensor:
        return x

    def inverse_variance(self, v: Tensor) -> Tensor:
        """A variance moves with its pixel, and keeps its sign even where a view negates."""
        return self.inverse(v)

    def enlarged(self, factor: int) -> "View":
        """The view that does to pictures `factor` times as large what this one does."""
        return self

    def frame(self, x: Tensor, s: float) -> Tensor:
        """A cross-fade; views with a motion of their own override this."""
        return (1 - s) * x + s * self.view(x)


class FlipUpDown(View):
    """Upside down as in a lake: the course's flip, dim -2."""

    name = "flip"

    def view(self, x):
        return x.flip(-2)

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
        return x.rot90(self.degrees // 90, dims=(-2, -1))

    def inverse(self, x):
        return x.rot90(-(self.degrees // 90), dims=(-2, -1))

    def frame(self, x, s):
        return turned_by(x, self.degrees * s, fill=1.0)


class Negate(View):
    """A photographic negative. Noise is symmetric about 0, so the negated noise is as white."""

    name = "negate"

    def view(self, x):
        return -x

    inverse = view

    def inverse_variance(self, v):
        return v


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
        return self.shuffle(x, self.order(x))

    def inverse(self, x):
        return self.shuffle(x, self.order(x).argsort())


class InnerCircle(View):
    """The disc inside the picture makes a quarter turn, the rest stands still.

    A quarter turn moves whole pixels, so nothing is interpolated.
    """

    name = "circle"

    def view(self, x):
        return self.turn(x, 1)

    def inverse(self, x):
        return self.turn(x, -1)

    def turn(self, x: Tensor, quarters: int) -> Tensor:
        return torch.where(self.disc(x), x.rot90(quarters, dims=(-2, -1)), x)

    def disc(self, x: Tensor) -> Tensor:
        side = x.shape[-1]
        offset = torch.arange(side, device=x.device) - (side - 1) / 2
        return offset[:, None] ** 2 + offset[None, :] ** 2 < (side / 2 * 0.75) ** 2

    def frame(self, x, s):
        turned = turned_by(x, 90 * s)
        return torch.where(self.disc(x), turned, x)


class Skew(View):
    """Every column slides down by its own number of rows, out at the bottom, in at the top."""

    name = "skew"

    def view(self, x):
        return self.slide(x, 1.0)

    def inverse(self, x):
        return self.slide(x, -1.0)

    def slide(self, x: Tensor, amount: float) -> Tensor:
        rows = torch.arange(x.shape[-2], device=x.device)[:, None]
        shift = (torch.arange(x.shape[-1], device=x.device) * amount).round().long()[None, :]
        source = (rows - shift) % x.shape[-2]
        return x.gather(-2, source.expand_as(x))

    def frame(self, x, s):
        return self.slide(x, s)


def turned_by(x: Tensor, degrees: float, fill: float = 0.0) -> Tensor:
    """Pictures turned by any angle, for the frames of a GIF; the corners are `fill`."""
    # Imported here: it takes a second, and most walks turn nothing by half.
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import rotate

    # What lies outside counts as 0 in the edges' pixels, too: shifted so that 0 is the fill, or a
    # white picture would have a grey outline.
    return rotate(x - fill, degrees, interpolation=InterpolationMode.BILINEAR) + fill


VIEWS = {
    view.name: view
    for view in [
        View(),
        FlipUpDown(),
        Rotate(90),
        Rotate(180),
        Rotate(270),
        Negate(),
        InnerCircle(),
        Skew(),
        Permute(16),
        Permute(1),
    ]
}


def find_view(view: "str | View") -> View:
    """The view of that name, or the view itself. UserError for a name that none has."""
    if isinstance(view, View):
        return view
    if view not in VIEWS:
        raise UserError(f"no view is called {view!r}; known: {', '.join(VIEWS)}")
    return VIEWS[view]
