"""Where the reference schedulers' steps end, one x_t_prev for each timestep of a list.

Like make_reference.py this knows diffusers and not minidiff. Each step begins from a picture of its
own (by_rule.py) and asks the same made-up model. All but ddpm compute in float64 as far as they
can: with abar and sigmas in float32 the references are 4e-5 off themselves.

    limited   bound x0: by dynamic thresholding, or where a scheduler has none, by clipping
"""

import math
from collections.abc import Iterator
from unittest import mock

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    HeunDiscreteScheduler,
)
from torch import Tensor

from tests.by_rule import sampler_answer, step_inputs

COSINE = {"beta_schedule": "squaredcos_cap_v2"}
THRESHOLDS = {"thresholding": True, "dynamic_thresholding_ratio": 0.95, "sample_max_value": 1.5}


def exact_abars() -> Tensor:
    """abar of timesteps 0..999 in float64."""

    def abar(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - abar((i + 1) / 1000) / abar(i / 1000), 0.999) for i in range(1000)]
    return torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), 0)


ABARS = exact_abars()


def exact_sigmas(timesteps: list[int]) -> Tensor:
    """sqrt((1 - abar) / abar), and 0 for the end."""
    abars = ABARS[timesteps]
    return torch.cat([((1 - abars) / abars) ** 0.5, torch.zeros(1, dtype=torch.float64)])


def picture(t: int) -> Tensor:
    return step_inputs(t)["x"].double()


def ddpm(variance: str, limited: bool, timesteps: list[int]) -> Iterator[Tensor]:
    """DDPMScheduler in float32 and with its own abar; limited: clipped."""
    scheduler = DDPMScheduler(**COSINE, variance_type=variance, clip_sample=limited)
    scheduler.set_timesteps(timesteps=timesteps)
    noise = "diffusers.schedulers.scheduling_ddpm.randn_tensor"
    for t in timesteps:
        inputs, x = step_inputs(t), step_inputs(t)["x"]
        with mock.patch(noise, lambda *args, z=inputs["noise"], **kwargs: z):
            yield scheduler.step(sampler_answer(x, t)[0], t, x).prev_sample


class Stride(int):
    """A number of steps that answers with a stride when 1000 is divided by it.

    DDIMScheduler takes the next level to be t - 1000 // n, whatever its list says: right for
    leading spacing only. This gives it the level that the list has.
    """

    def __rfloordiv__(self, other):
        return int(self)


def ddim(eta: float, limited: bool, timesteps: list[int]) -> Iterator[Tensor]:
    scheduler = DDIMScheduler(**COSINE, **(THRESHOLDS if limited else {"clip_sample": False}))
    scheduler.alphas_cumprod = ABARS
    for t, t_prev in zip(timesteps, [*timesteps[1:], -1]):
        scheduler.num_inference_steps = Stride(t - t_prev)
        x, z = picture(t), step_inputs(t)["noise"].double()
        eps, _ = sampler_answer(x, t)
        step = scheduler.step(eps, t, x, eta, use_clipped_model_output=True, variance_noise=z)
        yield step.prev_sample


def dpm(limited: bool, timesteps: list[int]) -> Iterator[Tensor]:
    """DPM-Solver++, order 2, midpoint, final sigma 0: the scheduler's defaults."""
    scheduler = DPMSolverMultistepScheduler(**COSINE, **(THRESHOLDS if limited else {}))
    scheduler.set_timesteps(timesteps=timesteps)
    scheduler.sigmas = exact_sigmas(timesteps)
    for t in timesteps:
        x = picture(t)
        yield scheduler.step(sampler_answer(x, t)[0], t, x).prev_sample


def heun(limited: bool, timesteps: list[int]) -> Iterator[Tensor]:
    """It walks x / sqrt(abar), and goes to a step's far end before it decides; limited: clipped."""
    scheduler = HeunDiscreteScheduler(**COSINE, clip_sample=limited)
    scheduler.set_timesteps(timesteps=timesteps)
    sigmas = exact_sigmas(timesteps)
    scheduler.sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
    scale = {t: float(ABARS[t]) ** 0.5 for t in timesteps} | {-1: 1.0}
    for t, t_prev in zip(timesteps, [*timesteps[1:], -1]):
        x = picture(t)
        there = scheduler.step(sampler_answer(x, t)[0], t, x / scale[t]).prev_sample
        if t_prev >= 0:
            eps, _ = sampler_answer(there * scale[t_prev], t_prev)
            there = scheduler.step(eps, t_prev, there).prev_sample
        yield there * scale[t_prev]
