# Written by `make lessons-sync`, do not edit: sha256 744fd6c9299eb8de
"""Solution of `guided_sampling`, course B.2.5: from minidiff/mnist/ddpm.py."""

from collections.abc import Iterator

import torch
from torch import Tensor

from minidiff.equations import classifier_free_guidance
from minidiff.mnist.ddpm import Schedule, check_digits, denoising_walk, to_device
from minidiff.mnist.unet import ClassConditionalUNet
from minidiff.sampling import SeededNoise


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
    unet.eval()
    device = next(unet.parameters()).device
    c = check_digits(c).to(device)
    scale = torch.as_tensor(guidance_scale, dtype=torch.float32).to(device).reshape(-1, 1, 1, 1)
    mask = torch.cat([torch.zeros_like(c), torch.ones_like(c)])

    def guided(x: Tensor, t: Tensor) -> Tensor:
        both = unet(torch.cat([x, x]), torch.cat([c, c]), torch.cat([t, t]), mask)
        eps_uncond, eps_cond = both.chunk(2)
        return classifier_free_guidance(eps_uncond, eps_cond, scale)

    noise = SeededNoise(seeds, (1, img_wh[1], img_wh[0]), device)
    return denoising_walk(guided, to_device(ddpm_schedule, device), noise)
