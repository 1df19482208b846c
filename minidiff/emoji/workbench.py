"""What every measurement of the demo shares: how samples are drawn, how many, and a table's row.

Everything is sampled with the course's own loop: 990..0, equation A.3, v_sigma in every step, no
thresholding, guidance 7 and 33 steps unless a row says otherwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from tqdm import tqdm

from minidiff.deepfloyd.unet import Cond
from minidiff.emoji.data import Record, composite
from minidiff.emoji.judge import Gallery
from minidiff.emoji.prompts import COLOURS, clear_borders, read_prompts
from minidiff.guidance import Guidance
from minidiff.plan import Plan
from minidiff.samplers import make_sampler
from minidiff.sampling import last
from minidiff.studio import Studio

STEPS, SCALE = 33, 7.0
BATCH_ON_GPU, BATCH_ON_CPU = 300, 8  # pictures sampled at once; a CPU likes its cache


@dataclass(frozen=True)
class Counts:
    """How many of each are measured."""

    naming: int  # prompts
    seeds: int  # samples of each of them
    curve: int  # prompts at each point of the two curves
    pairs: int  # (concept, colour) pairs
    styles: int  # concepts, each in four styles
    unseen: int  # held-out pictures
    known: int  # training pictures, for the error of the predicted noise
    phrase: int  # samples of the phrase at each guidance
    edits: int  # held-out pictures that are edited
    grounds: int  # prompts drawn in each number of steps
    illusions: int  # pairs of each kind


# fmt: off
FULL = Counts(naming=300, seeds=2, curve=300, pairs=200, styles=50, unseen=200, known=512,
              phrase=200, edits=50, grounds=100, illusions=100)
FAST = Counts(naming=12, seeds=1, curve=0, pairs=6, styles=1, unseen=6, known=16,
              phrase=8, edits=6, grounds=2, illusions=2)
# fmt: on


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    value: float
    count: int  # pictures behind the value
    goal: str = ""
    error: float = 0.0  # one standard error of the value, where there is one


class Workbench:
    """A studio, the pictures it is compared with, and how many of each are measured.

    model: what minidiff.load returns. images (N, 64, 64, 4) uint8 and records: load_emoji's.
    """

    def __init__(self, model, images: Tensor, records: list[Record], plan: Counts):
        self.model, self.plan = model, plan
        self.device = model.device
        self.batch = BATCH_ON_GPU if self.device.type == "cuda" else BATCH_ON_CPU
        self.studio = Studio(model, self.batch, progress=lambda done, total: None)
        self.prompts = read_prompts()
        self.gallery = Gallery(images, records, self.prompts, self.device)
        self.clear = clear_borders(images, records)
        held_out = {concept["code"] for concept in self.prompts["held_out"]}
        picked = [i for i, record in enumerate(records) if record.code in held_out]
        self.unseen = images[spread(picked, plan.unseen)].to(self.device)

    def nothing(self, count: int) -> Cond:
        """The empty prompt for `count` pictures."""
        return self.studio.cond([""] * count)

    def draw(
        self,
        texts: list[str],
        seeds: list[int] | None = None,
        steps: int = STEPS,
        scale: float = SCALE,
        plan: Plan | None = None,
    ) -> Tensor:
        """A guided sample per text: (B, 3, 64, 64), fp32. Without seeds they are 0, 1, 2, ...

        plan: another walk than the course's, with its own guidance.
        """
        seeds = list(range(len(texts))) if seeds is None else seeds
        plan = self.walk(steps, scale) if plan is None else plan

        def guide(rows: slice) -> Guidance:
            return self.studio.cfg(texts[rows], plan.guidance)

        return self.draw_guided(guide, seeds, plan)

    def draw_guided(
        self, guide: Callable[[slice], Guidance], seeds: list[int], plan: Plan | None = None
    ) -> Tensor:
        """A sample per seed, a batch at a time; guide(rows) makes the guidance of those rows."""
        plan = self.walk() if plan is None else plan
        done = []
        batches = range(0, len(seeds), self.batch)
        for first in tqdm(batches, "batches", leave=False, disable=len(batches) == 1):
            rows = slice(first, first + self.batch)
            job = self.studio.job(guide(rows), seeds[rows], plan)
            done.append(last(self.studio.walk(job)))
        return torch.cat(done)

    def walk(self, steps: int = STEPS, scale: float = SCALE, variance: str | None = None) -> Plan:
        """The course's step, evenly from 990 to 0 in any number of steps: 33 is the course's walk.

        variance: small or large in place of the learned one.
        """
        plan = self.studio.plan(steps, sampler="course", guidance=scale)
        if variance is None:
            return plan
        return replace(plan, sampler=make_sampler("course", variance=variance))

    @torch.no_grad()
    def predict(self, x_t: Tensor, t: int, cond: Cond) -> tuple[Tensor, Tensor]:
        """(eps, v) in fp32 for pictures that are all at t, a batch at a time."""
        dtype = self.model.unet.dtype
        outs = []
        for rows in torch.arange(len(x_t)).split(self.batch):
            outs.append(self.model.unet(x_t[rows].to(dtype), t, cond.take(rows.tolist())).float())
        return torch.cat(outs).chunk(2, dim=1)

    def abar(self, t: int, like: Tensor) -> Tensor:
        return self.model.schedule.abar(t, like=like)


def spread(items: Sequence, count: int) -> list:
    """`count` of the items, evenly spaced; all of them when there are no more."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def on_white(images: Tensor) -> Tensor:
    """RGBA uint8 (N, 64, 64, 4) on white: (N, 3, 64, 64) in [-1, 1]."""
    return on_plain(images, COLOURS["white"])


def on_plain(images: Tensor, rgb: tuple[int, int, int]) -> Tensor:
    """RGBA uint8 (N, 64, 64, 4) on a background, 0..255: (N, 3, 64, 64) in [-1, 1]."""
    colour = torch.tensor(rgb, dtype=torch.uint8, device=images.device)
    return composite(images, colour.expand(len(images), 3))


def share_row(what: str, hits: Tensor, goal: str = "") -> Row:
    """The fraction of a bool tensor that is true, with its standard error."""
    p, n = share(hits), len(hits)
    return Row(what, p, n, goal, (p * (1 - p) / n) ** 0.5)


def share(hits: Tensor) -> float:
    """The fraction of a bool tensor that is true."""
    return hits.float().mean().item()
