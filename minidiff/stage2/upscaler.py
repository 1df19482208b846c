"""The second stage at work, beside the studio of the first: its pictures become large ones.

    upscaler = Upscaler(studio)                          # the second stage found beside the first
    small = studio.draw("a cat", seeds=range(4))
    large = upscaler.upscale(small.tensor, "a cat", seeds=range(4))

An Upscaler is a studio too. Its jobs are made by the same words as the first stage's, and then
know the small pictures they enlarge.
"""

import warnings
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from minidiff.deepfloyd.unet import Cond
from minidiff.errors import UserError
from minidiff.guidance import Plain
from minidiff.io.devices import free_memory
from minidiff.io.inputs import one_number
from minidiff.model import load_second
from minidiff.stage2.cascade import enlarge as enlarged
from minidiff.stage2.cascade import first_step, recommended, upscale
from minidiff.studio import SEED, Job, Pictures, Studio
from minidiff.views import find_view

SPARE = 2 << 30  # bytes beside the weights of a network: activations at 256 pixels


@dataclass(frozen=True)
class Enlarging(Job):
    """A job that also knows what it enlarges: low (B, 3, h, w), to be noised to `level`."""

    low: Tensor | None = None
    level: int = 0
    outside: str = "clean"  # of a mask: see plan.Defaults

    def take(self, rows: list[int]) -> "Enlarging":
        return replace(super().take(rows), low=self.low[rows])


class Upscaler(Studio):
    """The second stage of a studio. folder: default, the one that lies beside the first stage's."""

    def __init__(self, first: Studio, folder=None):
        model = load_second(first.model, folder)
        batch = 1 if model.device.type == "cpu" else min(first.batch, 8)
        super().__init__(model, batch, first.progress)
        self.first, self.level = first, 0

    def upscale(self, low: Tensor, prompts, seeds=SEED, **how) -> Pictures:
        """Small pictures (B, 3, h, w) in [-1, 1], a row for every prompt and seed, made large.

        level     0..999: how much noise hides them from the network, as a timestep
        strength  the share of the walk that is done; below 1 it begins at the enlarged picture
        negative  and steps, sampler, ...: as in Studio.draw. Default: what the checkpoint
                  recommends, else the official pipeline's 50 steps, guidance 4, level 250
        """
        return self.finish(self.enlarging("drawing", low, prompts, seeds, **how))

    def enlarging(self, kind: str, low: Tensor, *what, level=None, strength=None, **how):
        """A job made as the first stage's was: kind is drawing, editing, inpainting, anagrams or
        hybrids, and `what` and `how` are that method's arguments."""
        usual = recommended(self.model.folder, kind)
        advised = usual.level
        if kind in ("anagrams", "hybrids") and usual.illusion_level is not None:
            advised = usual.illusion_level
        self.level = check_level(advised if level is None else level)
        if self.level > usual.highest:
            warnings.warn(
                f"this second stage has seen no noise level above {usual.highest}; at {self.level}"
                " it may draw anything"
            )
        words = {"steps": usual.steps, "guidance": usual.guidance}
        words |= {name: value for name, value in how.items() if value is not None}
        job = getattr(self, kind)(*what, **words)
        if kind == "editing":  # from several starts: all the first stage's rows, one after another
            job = job.take(list(range(len(job))) * max(1, len(low) // len(job)))
        return self.showing(job, low, usual.strength if strength is None else strength)

    def showing(self, job: Job, low: Tensor, strength: float = 1.0) -> Enlarging:
        """A job of this stage's own with the small pictures it enlarges; self.level is theirs."""
        if len(low) != len(job):
            raise UserError(f"{len(low)} small pictures, and {len(job)} prompts and seeds for them")
        start = first_step(len(job.plan), strength)
        low, original = low.to(self.model.device), job.original
        if original is None and start:
            original = enlarged(low, (self.model.sample_size,) * 2)
        guidance = job.guidance
        if job.plan.guidance == 1 and hasattr(guidance, "cond"):
            guidance = Plain(guidance.cond)  # half the work, and the same
        return Enlarging(
            guidance, job.seeds, job.plan, [start] * len(job), original, job.mask, low, self.level,
            recommended(self.model.folder, "inpainting").outside,
        )  # fmt: skip

    def editing(self, picture, prompt, seeds=SEED, **how) -> Job:
        """As the first stage's; where it begins is said by `enlarging`, for all rows alike."""
        job = self.drawing(prompt, seeds, **how)
        return replace(job, original=self.picture(picture).expand(len(job), -1, -1, -1))

    def anagrams(self, prompt, turned, seeds=SEED, view="flip", **how) -> Job:
        """As the first stage's, the view being that of larger pictures."""
        factor = self.model.sample_size // self.first.model.sample_size
        return super().anagrams(prompt, turned, seeds, find_view(view).enlarged(factor), **how)

    @torch.no_grad()
    def cond(self, prompts) -> Cond:
        """Prompts as this UNet wants them, with the noise level; the first stage encodes them."""
        states = self.first.states(prompts)
        self.make_room()
        for prompt in dict.fromkeys(prompts):
            if (prompt, self.level) not in self._prepared:
                prepared = self.model.unet.prepare(states[prompt][None], self.level)
                self._prepared[prompt, self.level] = prepared
        return Cond.cat([self._prepared[prompt, self.level] for prompt in prompts])

    def check_texts(self, prompts, negative="") -> None:
        """As in the first stage, but here a picture may go without any words."""
        super().check_texts([prompt for prompt in prompts if prompt], negative)

    def make_room(self) -> None:
        """Both networks stay where both fit; else the first leaves, and is read again when used."""
        if "unet" in self.model.__dict__:
            return
        free = free_memory(self.model.device)
        if free is not None and free < self.model.nbytes + SPARE:
            self.first.model.free_unet()

    def walk(self, job, seeds=SEED, **how):
        """Every step of an `enlarging` job's pictures in one batch."""
        model = self.model
        yield from upscale(
            model.fast_unet, model.schedule, job.low, job.level, job.plan.pairs, job.guidance,
            self.noise(job.seeds), start=job.starts[0], original=job.original, mask=job.mask,
            outside=job.outside, sampler=job.plan.sampler, threshold=job.plan.limit,
        )  # fmt: skip


def check_level(level: int) -> int:
    level = one_number(level, "the noise level")
    if not 0 <= level < 1000:
        raise UserError(f"the noise level is a timestep, 0 to 999, not {level!r}")
    return level
