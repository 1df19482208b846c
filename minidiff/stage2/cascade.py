"""The second stage: a small picture becomes a large one, by the loop of sampling.py.

The UNet of stage II is shown the small picture beside x_t, as three more channels, enlarged and
with noise on it. That is all that is new, and it is a guidance, guidance.Upscaled: the loop, the
schedule, the samplers and classifier-free guidance are those of stage I.

Why noise on it: in training the small pictures were shrunk photographs, at work they are what
stage I drew, with faults that no photograph has. Noise hides the difference, in training and at
work alike, and the network is told how much there is: its `level`, a timestep of the same schedule.

Sources: Ho et al. 2021, cascaded diffusion, arXiv 2106.15282; Saharia et al. 2022, Imagen, arXiv
2205.11487. Order of draws and defaults are those of diffusers' three super-resolution pipelines.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from minidiff.deepfloyd.unet import UNet
from minidiff.equations import forward_process, inpaint_blend
from minidiff.errors import UserError
from minidiff.guidance import Guidance, Upscaled
from minidiff.noise import SeededNoise
from minidiff.plan import Defaults, read_defaults
from minidiff.sampling import Step, denoise, keep_outside, noised_start, one_mask_each
from minidiff.schedule import Pairs, Schedule

# How the official pipelines walk the second stage; whatever is not one of KINDS is DRAWING.
DRAWING = Defaults(steps=50, guidance=4.0, level=250)
EDITING, INPAINTING = replace(DRAWING, strength=0.8), Defaults(100, guidance=4.0, strength=0.8)
KINDS = {"editing": EDITING, "inpainting": INPAINTING}


def recommended(folder: Path, kind: str) -> Defaults:
    """The official pipeline's values, or those of the checkpoint's own sampling.json."""
    return read_defaults(folder, KINDS.get(kind, DRAWING))


def first_step(steps: int, strength: float) -> int:
    """Where a walk begins of which the share `strength`, rounded down, is done."""
    if not 0 < strength <= 1:
        raise UserError(f"strength must be above 0 and at most 1, not {strength}")
    return steps - max(1, min(int(steps * strength), steps))


def enlarge(low: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, 3, h, w) -> (B, 3, *size), bilinear: the corners' pixels stay the corners' pixels."""
    return F.interpolate(low, size, mode="bilinear", align_corners=True)


def noised_low(low: Tensor, level: int, schedule: Schedule, noise: SeededNoise) -> Tensor:
    """What the network is shown of the small pictures (B, 3, h, w): as large as the noise, noised.

    It is made once and stays for the whole walk: the network reads it as one thing it was given.
    """
    eps = noise.draw()
    large = enlarge(low, eps.shape[-2:])
    return forward_process(large, schedule.abar(level, like=large), eps)


def upscale(
    unet: UNet,
    schedule: Schedule,
    low: Tensor,
    level: int,
    pairs: Pairs,
    guidance: Guidance,
    noise: SeededNoise,
    *,
    start: int = 0,
    original: Tensor | None = None,
    mask: Tensor | None = None,
    outside: str = "clean",
    **how,
) -> Iterator[Step]:
    """Walk the second stage; yields a Step after each step, as `denoise` does.

    low       (B, 3, h, w) in [-1, 1], what stage I drew; any size
    level     0..999, the timestep to which it is noised; the guidance's Conds were prepared with it
    noise     of the large size. It is drawn for the start, for `low`, and then for the steps
    original  (B, 3, H, W), a picture that is edited: the walk begins at its noised self
    mask      with it, (B or 1, 1, H, W): 1 where the picture is made anew. Elsewhere the original
              stays: as it is, without noise, from the first step to the last, as the official
              pipeline has it; or, outside="noised", noised to each level, as in stage I. A network
              that has not learned to bear clean parts in noise leaves grain beside them
    how       sampler, threshold, fixed_v: see denoise
    """
    check_low(low, noise)
    after_step = None
    if original is None:
        x = noise.draw()
    else:
        x = noised_start(original, pairs, [start] * len(original), schedule, noise)
    if mask is not None and outside == "clean":
        after_step = keep_clean(original, mask)
        x = after_step(x, pairs[start][0], list(range(len(x))))
    elif mask is not None:  # the start is noised everywhere already
        after_step = keep_noised(original, mask, schedule, noise, end=pairs[-1][1])
    seen = noised_low(low.to(x), level, schedule, noise)
    yield from denoise(
        unet, schedule, x, pairs, Upscaled(guidance, seen), noise,
        start=start, after_step=after_step, **how,
    )  # fmt: skip


def keep_clean(original: Tensor, mask: Tensor) -> Callable[[Tensor, int, list[int]], Tensor]:
    """An `after_step` as the official second stage inpaints: outside the mask the clean original.

    Stage I noises it to the level of the rest instead (sampling.keep_outside). Here the small
    picture tells the network what the whole shall be, and the seam is no wider than a few pixels.
    """
    mask = one_mask_each(mask, original)

    def after_step(x: Tensor, t_prev: int, rows: list[int]) -> Tensor:
        return inpaint_blend(x, original[rows], mask[rows])

    return after_step


def keep_noised(
    original: Tensor, mask: Tensor, schedule: Schedule, noise: SeededNoise, end: int
) -> Callable[[Tensor, int, list[int]], Tensor]:
    """As in stage I, but clean after the last step, the one to timestep `end`."""
    noised, clean = keep_outside(original, mask, schedule, noise), keep_clean(original, mask)

    def after_step(x: Tensor, t_prev: int, rows: list[int]) -> Tensor:
        return (clean if t_prev == end else noised)(x, t_prev, rows)

    return after_step


def check_low(low: Tensor, noise: SeededNoise) -> None:
    """UserError for what is no batch of pictures in [-1, 1], one for each seed."""
    if low.ndim != 4 or low.shape[1] != 3 or not low.is_floating_point():
        raise UserError(
            f"the small pictures must be (B, 3, h, w) in [-1, 1]; got {tuple(low.shape)} of"
            f" {low.dtype}"
        )
    if len(low) != len(noise.generators):
        raise UserError(f"{len(low)} small pictures need {len(low)} seeds, one for each")
