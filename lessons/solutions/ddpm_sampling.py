# Written by `make lessons-sync`, do not edit: sha256 957a29403dae709c
"""Solution of `ddpm_sampling`, course B.2.3: from minidiff/equations.py, minidiff/mnist/ddpm.py."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from minidiff.equations import posterior_mean, x0_from_eps
from minidiff.mnist.ddpm import Schedule, to_device
from minidiff.mnist.unet import TimeConditionalUNet
from minidiff.sampling import SeededNoise


def ddpm_step(x_t: Tensor, eps: Tensor, z: Tensor, abar: Tensor, abar_prev: Tensor) -> Tensor:
    """One step of the MNIST sampler, from t to t - 1.  Course algorithm B.2, DDPM algorithm 2.

    z is fresh noise, zero on the last step. Its scale is sqrt(beta), not the posterior's.
    """
    beta = 1 - abar / abar_prev
    x0 = x0_from_eps(x_t, eps, abar)
    return posterior_mean(x_t, x0, abar, abar_prev) + beta**0.5 * z


@torch.no_grad()
def denoising_walk(
    estimate: Callable[[Tensor, Tensor], Tensor], schedule: Schedule, noise: SeededNoise
) -> Iterator[Tensor]:
    """Algorithm B.2: yields x_T, then the picture after each of the T steps, (N, 1, 28, 28).

    estimate: (x_t, t / T as (N,)) to the noise in x_t. schedule: on the device of `noise`.
    """
    abars = schedule["alpha_bars"]
    x = noise.draw()
    yield x
    for t in reversed(range(len(abars))):
        eps = estimate(x, torch.full((len(x),), t / len(abars), device=x.device))
        if t > 0:
            x = ddpm_step(x, eps, noise.draw(), abars[t], abars[t - 1])
        else:  # the last step ends at the clean picture, where abar is 1, and adds no noise
            x = ddpm_step(x, eps, torch.zeros_like(x), abars[0], torch.ones_like(abars[0]))
        yield x


def time_walk(
    unet: TimeConditionalUNet, ddpm_schedule: Schedule, seeds: list[int], img_wh=(28, 28)
) -> Iterator[Tensor]:
    """One picture per seed from the time-conditioned UNet, step by step, in eval mode."""
    unet.eval()
    device = next(unet.parameters()).device
    noise = SeededNoise(seeds, (1, img_wh[1], img_wh[0]), device)
    return denoising_walk(unet, to_device(ddpm_schedule, device), noise)
