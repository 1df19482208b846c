"""The one denoising loop. Everything in Part A is this loop with another guidance or another start.

    for (t, t_prev) in pairs:
        ask the UNet (once, all pictures and all prompts together)
        estimate x0, take the mean of the step, add its noise; or as another sampler does it

The loop is a generator: it yields after every step, so that a caller can show progress, keep the
frames of a GIF, or stop.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from minidiff.deepfloyd.unet import Cond, UNet
from minidiff.equations import forward_process, inpaint_blend
from minidiff.errors import UserError
from minidiff.guidance import Answer, Guidance
from minidiff.io import inputs
from minidiff.noise import SeededNoise
from minidiff.samplers import Sampler, step
from minidiff.schedule import Pairs, Schedule


@dataclass(frozen=True)
class Step:
    """What one turn of the loop did. Pictures that had not started yet stand still in x."""

    t: int
    t_prev: int
    rows: list[int]  # which pictures moved
    x_t: Tensor  # (B, 3, H, W), all pictures before the step
    eps: Tensor  # (len(rows), 3, H, W), the combined estimate
    v: Tensor  # (len(rows), 3, H, W), where the variance lies between its bounds, -1 to 1
    x0: Tensor  # (len(rows), 3, H, W), the clean picture it implies, thresholded if asked
    x: Tensor  # (B, 3, H, W), all pictures after the step


def estimate(unet: UNet, x: Tensor, t: int, guidance: Guidance, prompts: Cond) -> Answer:
    """One batched UNet call for all queries of the guidance; (eps, v), each like x.

    prompts is `guidance.prompts` as one Cond: made once, used every step.
    """
    pictures = guidance.pictures(x)
    dtype = unet.dtype
    out = unet(torch.cat(pictures).to(dtype), t, prompts).to(x.dtype)
    answers = [tuple(answer.chunk(2, dim=1)) for answer in out.chunk(len(pictures))]
    return guidance.combine(answers)


@torch.no_grad()
def denoise(
    unet: UNet,
    schedule: Schedule,
    x: Tensor,
    pairs: Pairs,
    guidance: Guidance,
    noise: SeededNoise,
    *,
    start: int | list[int] = 0,
    sampler: Sampler | None = None,
    threshold: Callable[[Tensor], Tensor] | None = None,
    after_step: Callable[[Tensor, int, list[int]], Tensor] | None = None,
    fixed_v: float | None = None,
) -> Iterator[Step]:
    """Walk x (B, 3, H, W), fp32, down the pairs; yield a Step after each.

    start       index into pairs where each picture begins (one number, or one per picture): a
                batch may hold pictures that join later, as the six levels of SDEdit do
    sampler     how a step is taken, see samplers.py; None is the course's A.3
    threshold   applied to every x0 estimate, for example equations.dynamic_threshold
    after_step  (x_rows, t_prev, rows) -> x_rows, applied to the pictures that moved: inpainting
    fixed_v     a number in [-1, 1] in place of the UNet's variance channels: -1 is the posterior
                variance ("fixed_small"), 1 is beta ("fixed_large")
    """
    check_walk(x, pairs)
    starts = check_starts(start, len(x), len(pairs))
    rows: list[int] = []

    def ask(x_rows: Tensor, t: int) -> Answer:
        return estimate(unet, x_rows, t, asked, prompts)

    take_step = step if sampler is None else sampler.begin(pairs, ask)
    for i, (t, t_prev) in enumerate(pairs):
        active = [row for row, first in enumerate(starts) if first <= i]
        if not active:
            continue
        if active != rows:  # somebody joined: choose the prompts' rows anew
            rows, asked = active, guidance.take(active)
            prompts = Cond.cat(asked.prompts)
        x_t = x[rows]
        eps, v = ask(x_t, t)
        v = v if fixed_v is None else torch.full_like(v, fixed_v)
        x_prev, x0 = take_step(x_t, eps, v, t, t_prev, schedule, noise, rows, threshold)
        if after_step is not None:
            x_prev = after_step(x_prev, t_prev, rows)
        before, x = x, x.clone()
        x[rows] = x_prev
        yield Step(t, t_prev, rows, before, eps, v, x0, x)


def check_walk(x: Tensor, pairs: Pairs) -> None:
    """UserError for a walk without steps, and for pictures in half precision or in bytes."""
    if not pairs:
        raise UserError("the walk has no steps: its list of timesteps needs at least two")
    if not isinstance(x, Tensor) or x.dtype not in (torch.float32, torch.float64):
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise UserError(f"the walk is in float32, and the pictures are {kind}: use x.float()")


def check_starts(start: int | list[int], batch: int, steps: int) -> list[int]:
    """A start index per picture. UserError unless all lie in the walk and there is one for each."""
    starts = inputs.whole_numbers(start, "i_start")
    starts = starts * batch if inputs.is_single(start) else starts
    if len(starts) != batch:
        raise UserError(f"{batch} pictures need {batch} start indices; got {len(starts)}")
    wrong = [s for s in starts if not 0 <= s < steps]
    if wrong:
        raise UserError(
            f"i_start must be 0 to {steps - 1} for a walk of {steps} steps, not {wrong[0]}"
        )
    return starts


def last(steps: Iterator[Step]) -> Tensor:
    """Run a walk to its end and return the pictures."""
    for done in steps:
        x = done.x
    return x


# --- the two things built on the loop ----------------------------------------------------------


def noised_start(
    x0: Tensor, pairs: Pairs, starts: list[int], schedule: Schedule, noise: SeededNoise
) -> Tensor:
    """SDEdit's beginning (course 1.7): each picture noised to the timestep where it starts.

    A larger start index is a *later* start: less noise, closer to the original.
    """
    check_starts(starts, len(x0), len(pairs))
    t = torch.tensor([pairs[s][0] for s in starts])
    return forward_process(x0, schedule.abar(t, like=x0), noise.draw())


def keep_outside(
    original: Tensor, mask: Tensor, schedule: Schedule, noise: SeededNoise
) -> Callable[[Tensor, int, list[int]], Tensor]:
    """An `after_step` that inpaints (course A.5): new content where mask is 1, original elsewhere.

    original (B, 3, H, W), mask (B or 1, 1, H, W) of 0 and 1, bool or numbers. The original is
    noised to the level just reached, t_prev, not to the one the step came from.
    """
    mask = one_mask_each(mask, original)

    def after_step(x: Tensor, t_prev: int, rows: list[int]) -> Tensor:
        abar = schedule.abar(t_prev, like=x)
        noised = forward_process(original[rows], abar, noise.draw(rows))
        return inpaint_blend(x, noised, mask[rows])

    return after_step


def one_mask_each(mask: Tensor, original: Tensor) -> Tensor:
    """The mask as numbers, (B, 1, H, W). UserError unless it fits the pictures and is 0 to 1."""
    return inputs.mask(mask, original).expand(len(original), -1, -1, -1)
