"""Exercise `denoise_loop`, course 1.4.

estimate asks the UNet once for all pictures of a guidance: cat them, call unet(x, t, prompts),
split the answer into one (eps, v) per picture, channels first half and second, and let the guidance
combine them. denoise walks x (B, 3, H, W) down the pairs, yields a Step after each, and lets
pictures join at their own start. It uses `step` of minidiff/samplers.py, or what sampler.begin
gives in its place. See the docstring for threshold, after_step and fixed_v.

Check it:       make grade EX=denoise_loop
Begin it anew:  delete this file, then `make lessons-sync`
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from minidiff.deepfloyd.unet import Cond, UNet
from minidiff.grade.stub import YourTurnError
from minidiff.guidance import Answer, Guidance
from minidiff.noise import SeededNoise
from minidiff.samplers import Sampler, step
from minidiff.sampling import Step, check_starts, check_walk
from minidiff.schedule import Pairs, Schedule


def estimate(unet: UNet, x: Tensor, t: int, guidance: Guidance, prompts: Cond) -> Answer:
    """One batched UNet call for all queries of the guidance; (eps, v), each like x.

    prompts is `guidance.prompts` as one Cond: made once, used every step.
    """
    # about 5 lines in the package
    raise YourTurnError("write estimate")


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
    # about 22 lines in the package
    raise YourTurnError("write denoise")
