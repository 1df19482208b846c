"""Who is that? The rule by which the demo's samples are judged, fixed before any result was seen.

A sample is compared with every training picture of all four sets, composited on the background
that was asked for. The distance between two pictures is the mean squared difference of their
colours in [-1, 1] after 2x2 average pooling, the smallest over shifts of the sample by -1, 0 or 1
pixel in each direction. The sample "is" its nearest picture; a hit means that this picture's
family is the one asked for. Top-5: one of the five nearest pictures is of that family.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from minidiff.emoji.captions import trainable
from minidiff.emoji.data import Record, composite
from minidiff.emoji.prompts import BORDER, COLOURS

Look = Callable[[Tensor], Tensor]
WHITE_FROM = 235  # a border is white when no channel of its median is below this, of 255


def as_it_is(x: Tensor) -> Tensor:
    """The look that changes nothing."""
    return x


def pooled(x: Tensor) -> Tensor:
    """Pictures (B, 3, 64, 64) in [-1, 1] as points (B, 3 * 32 * 32)."""
    return F.avg_pool2d(x, 2).flatten(1)


def shifts(x: Tensor) -> list[Tensor]:
    """x moved by -1, 0 and 1 pixel down and across, 9 in all; the edge repeats itself."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return [padded[..., r : r + height, c : c + width] for r in range(3) for c in range(3)]


def mean_squared(a: Tensor, b: Tensor) -> Tensor:
    """Points (A, D) and (B, D) -> mean squared differences (A, B)."""
    squares = a.square().sum(1)[:, None] + b.square().sum(1)[None, :] - 2 * a @ b.T
    return squares.clamp(min=0) / a.shape[1]


def pair_distances(samples: Tensor, pictures: Tensor) -> Tensor:
    """(B, 3, 64, 64) twice -> (B,): the judge's distance of each sample to its picture."""
    points = pooled(pictures.float())
    moved = [pooled(x) for x in shifts(samples.float().clamp(-1, 1))]
    return torch.stack([(x - points).square().mean(1) for x in moved]).min(0).values


class Gallery:
    """All training pictures, ready to be compared with."""

    def __init__(
        self,
        images: Tensor,
        records: list[Record],
        prompts: dict,
        device: torch.device | str = "cpu",
    ):
        """images (N, 64, 64, 4) uint8 with their records; prompts.json says what is left out."""
        kept = trainable(records, prompts)
        self.images = images[kept].to(device)
        self.records = [records[i] for i in kept]
        self.families = sorted({record.family for record in self.records})
        index = {family: i for i, family in enumerate(self.families)}
        self.index = index
        self.family_of = torch.tensor([index[r.family] for r in self.records], device=device)
        self.points: dict = {}  # (background, look) -> what the pictures are as points

    def points_on(self, rgb: tuple[int, int, int], look: Look) -> Tensor:
        """All pictures on one background, seen through `look`, as points; remembered."""
        if (rgb, look) not in self.points:
            background = torch.tensor(rgb, dtype=torch.uint8, device=self.images.device)
            self.points[rgb, look] = torch.cat(
                [
                    pooled(look(composite(part, background.expand(len(part), 3))))
                    for part in self.images.split(512)
                ]
            )
        return self.points[rgb, look]

    def distances(
        self, samples: Tensor, rgb: tuple[int, int, int] = COLOURS["white"], look: Look = as_it_is
    ) -> Tensor:
        """(B, 3, 64, 64) samples in [-1, 1] on background rgb -> (B, N) distances."""
        points = self.points_on(rgb, look)
        moved = shifts(samples.float().clamp(-1, 1))
        nearest = mean_squared(pooled(look(moved[0])), points)
        for x in moved[1:]:
            nearest = torch.minimum(nearest, mean_squared(pooled(look(x)), points))
        return nearest

    def hits(self, distances: Tensor, families: list[str], top: int) -> Tensor:
        """(B,) bool: whether one of the `top` nearest pictures is of the family asked for."""
        asked = torch.tensor([self.index[f] for f in families], device=distances.device)
        nearest = distances.topk(top, dim=1, largest=False).indices
        return (self.family_of[nearest] == asked[:, None]).any(1)

    def of_families(self, distances: Tensor, families: list[str]) -> tuple[Tensor, Tensor]:
        """(B, F) distance to each family's nearest picture, and (B, 1) to that of the asked one."""
        asked = torch.tensor([self.index[f] for f in families], device=distances.device)
        best = distances.new_full((len(distances), len(self.families)), float("inf"))
        best.scatter_reduce_(1, self.family_of.expand_as(distances), distances, "amin")
        return best, best.gather(1, asked[:, None])

    def ranks(self, distances: Tensor, families: list[str]) -> Tensor:
        """(B,) how many other families have a picture that is nearer; 0 means recognised."""
        best, own = self.of_families(distances, families)
        return (best < own).sum(1)

    def clarity(self, distances: Tensor, families: list[str]) -> Tensor:
        """(B,) distance of the nearest other family over the asked one's; above 1: recognised."""
        best, own = self.of_families(distances, families)
        others = best.masked_fill(best == own, float("inf")).min(1).values
        return others / own[:, 0].clamp(min=1e-6)

    def sets(self, distances: Tensor) -> list[str]:
        """The set of each sample's nearest picture."""
        return [self.records[i].set for i in distances.argmin(1).tolist()]


def on_border(x: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 3, pixels): the ring BORDER pixels wide."""
    ring = torch.ones(x.shape[-2:], dtype=torch.bool, device=x.device)
    ring[BORDER:-BORDER, BORDER:-BORDER] = False
    return x[..., ring]


def border_colour(x: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B, 3) in 0..255: the median of the border."""
    return (on_border(x.float().clamp(-1, 1)).median(-1).values + 1) * 127.5


def grain(x: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B,): how rough the ground is, 0 for a plain one.

    The standard deviation of the differences of neighbours in the top and bottom BORDER rows.
    """
    x = x.float().clamp(-1, 1)
    rows = torch.cat([x[..., :BORDER, :], x[..., -BORDER:, :]], dim=-2)
    return rows.diff(dim=-1).flatten(1).std(1)


def nearest_colour(rgb: Tensor) -> list[str]:
    """(B, 3) in 0..255 -> the name of the nearest of COLOURS, by Euclidean distance in RGB."""
    names = list(COLOURS)
    table = torch.tensor([COLOURS[name] for name in names], dtype=rgb.dtype, device=rgb.device)
    return [names[i] for i in torch.cdist(rgb, table).argmin(1).tolist()]


def is_white(rgb: Tensor) -> Tensor:
    """(B, 3) in 0..255 -> (B,) bool: no channel is below WHITE_FROM."""
    return (rgb >= WHITE_FROM).all(1)
