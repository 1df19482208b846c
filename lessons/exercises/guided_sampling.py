"""Exercise `guided_sampling`, course B.2.5.

Algorithm B.4. class_walk samples a picture of digit c[i] per seed: in each step the UNet is asked
with the mask at 0 and at 1, in one call, and the two estimates are combined by classifier-free
guidance. guidance_scale is a number, or (N,). The UNet is in eval mode.

Check it:       make grade EX=guided_sampling
Begin it anew:  delete this file, then `make lessons-sync`
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from minidiff.equations import classifier_free_guidance
from minidiff.grade.stub import YourTurnError
from minidiff.mnist.ddpm import Schedule, check_digits, denoising_walk, to_device
from minidiff.mnist.unet import ClassConditionalUNet
from minidiff.noise import SeededNoise


def class_walk(
    unet: ClassConditionalUNet,
    ddpm_schedule: Schedule,
    c: Tensor,
    seeds: list[int],
    guidance_scale: float | Tensor = 5.0,
    img_wh=(28, 28),
) -> Iterator[Tensor]:
    """One picture of digit c[i] per seed, step by step, with guidance.  Algorithm B.4.

    guidance_scale: one number, or one per picture as (N,). Both estimates of a step, with the
    digit and without, come from one call of the UNet.
    """
    # about 11 lines in the package
    raise YourTurnError("write class_walk")
