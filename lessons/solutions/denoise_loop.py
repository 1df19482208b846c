# Written by `make lessons-sync`, do not edit: sha256 d109e0d162ce2484
"""Solution of `denoise_loop`, course 1.4: from minidiff/sampling.py."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from minidiff.deepfloyd.unet import Cond, UNet
from minidiff.guidance import Answer, Guidance
from minidiff.sampling import SeededNoise, Step, check_starts, check_walk, step
from minidiff.schedule import Pairs, Schedule


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
    threshold: Callable[[Tensor], Tensor] | None = None,
    after_step: Callable[[Tensor, int, list[int]], Tensor] | None = None,
    fixed_v: float | None = None,
) -> Iterator[Step]:
    """Walk x (B, 3, H, W), fp32, down the pairs; yield a Step after each.

    start       index into pairs where each picture begins (one number, or one per picture): a
                batch may hold pictures that join later, as the six levels of SDEdit do
    threshold   applied to every x0 estimate, for example equations.dynamic_threshold
    after_step  (x_rows, t_prev, rows) -> x_rows, applied to the pictures that moved: inpainting
    fixed_v     a number in [-1, 1] in place of the UNet's variance channels: -1 is the posterior
                variance ("fixed_small"), 1 is beta ("fixed_large")
    """
    check_walk(x, pairs)
    starts = check_starts(start, len(x), len(pairs))
    rows: list[int] = []
    for i, (t, t_prev) in enumerate(pairs):
        active = [row for row, first in enumerate(starts) if first <= i]
        if not active:
            continue
        if active != rows:  # somebody joined: choose the prompts' rows anew
            rows, asked = active, guidance.take(active)
            prompts = Cond.cat(asked.prompts)
        x_t = x[rows]
        eps, v = estimate(unet, x_t, t, asked, prompts)
        v = v if fixed_v is None else torch.full_like(v, fixed_v)
        x_prev, x0 = step(x_t, eps, v, t, t_prev, schedule, noise, rows, threshold)
        if after_step is not None:
            x_prev = after_step(x_prev, t_prev, rows)
        before, x = x, x.clone()
        x[rows] = x_prev
        yield Step(t, t_prev, rows, before, eps, x0, x)
