"""Exercise `ddpm_sampling`, course B.2.3.

Algorithm B.2. ddpm_step goes from t to t - 1 with fresh noise z, scaled by sqrt(beta).
denoising_walk draws x_T with noise.draw(), yields it, and then the picture after each step, t = T-1
.. 0; estimate(x_t, t / T as (N,)) is the noise in x_t. The last step ends where abar is 1 and adds
no noise. time_walk puts the UNet into eval mode and walks from the seeds.

Check it:       make grade EX=ddpm_sampling
Begin it anew:  delete this file, then `make lessons-sync`
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from minidiff.equations import posterior_mean, x0_from_eps
from minidiff.grade.stub import YourTurnError
from minidiff.mnist.ddpm import Schedule, to_device
from minidiff.mnist.unet import TimeConditionalUNet
from minidiff.noise import SeededNoise


def ddpm_step(x_t: Tensor, eps: Tensor, z: Tensor, abar: Tensor, abar_prev: Tensor) -> Tensor:
    """One step of the MNIST sampler, from t to t - 1.  Course algorithm B.2, DDPM algorithm 2.

    z is fresh noise, zero on the last step. Its scale is sqrt(beta), not the posterior's.
    """
    # about 3 lines in the package
    raise YourTurnError("write ddpm_step")


@torch.no_grad()
def denoising_walk(
    estimate: Callable[[Tensor, Tensor], Tensor], schedule: Schedule, noise: SeededNoise
) -> Iterator[Tensor]:
    """Algorithm B.2: yields x_T, then the picture after each of the T steps, (N, 1, 28, 28).

    estimate: (x_t, t / T as (N,)) to the noise in x_t. schedule: on the device of `noise`.
    """
    # about 10 lines in the package
    raise YourTurnError("write denoising_walk")


def time_walk(
    unet: TimeConditionalUNet, ddpm_schedule: Schedule, seeds: list[int], img_wh=(28, 28)
) -> Iterator[Tensor]:
    """One picture per seed from the time-conditioned UNet, step by step, in eval mode."""
    # about 4 lines in the package
    raise YourTurnError("write time_walk")
