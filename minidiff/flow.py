"""Part A in flow coordinates: any loaded model of the noise, asked for velocities instead.

The course's newest edition (fall 2026) walks from t = 0, noise, to t = 1, clean, along
x_t = (1 - t) eps + t x1. A DDPM walks from timestep 999 to 0 along x_t = sqrt(abar) x1 +
sqrt(1 - abar) eps. At equal signal-to-noise the two states differ by one number:

    s = sqrt(t^2 + (1 - t)^2)      x_ddpm = x_flow / s      abar = t^2 / s^2

so the UNet is shown x / s at the timestep that has this abar, between two timesteps of the table
where none has, and its eps is turned into a velocity. No weights change. Euler's method in these
coordinates is DDIM with eta = 0 in the others.

    model = minidiff.load()
    velocity = cfg_velocity(model, *model.encode(["a rocket", ""]), w=7)
    x, states = euler_sample(noise.draw(), 0.0, 0.02, velocity)

As in course.py, pictures and times may come as the course's cells have them (io/inputs.py).
"""

import numpy as np
import torch
from torch import Tensor

from minidiff import ode
from minidiff.course import rows
from minidiff.deepfloyd.unet import Cond
from minidiff.equations import linear_path, x1_from_velocity
from minidiff.errors import UserError
from minidiff.guidance import CFG, Anagram, Guidance, Hybrid, Plain, course_low_pass
from minidiff.io.inputs import path_times, pictures
from minidiff.sampling import estimate
from minidiff.schedule import Schedule
from minidiff.views import Rotate, View


def timestep_at(schedule: Schedule, t: float) -> float:
    """The timestep, a float in 0..T-1, whose signal-to-noise is that of the linear path at t.

    log(abar / (1 - abar)) = 2 (log t - log(1 - t)), interpolated between entries of the table;
    beyond its ends, the end.
    """
    if t <= 0 or t >= 1:
        return 0.0 if t >= 1 else len(schedule) - 1.0
    abars = schedule.abars.numpy()[::-1]  # rising, as np.interp wants them
    log_snr = np.log(abars) - np.log1p(-abars)
    timesteps = np.arange(len(schedule))[::-1]
    return float(np.interp(2 * (np.log(t) - np.log1p(-t)), log_snr, timesteps))


def time_at(schedule: Schedule, timestep: int) -> float:
    """The other way: t of the linear path at the signal-to-noise of a timestep."""
    abar = float(schedule.abars[timestep])
    return abar**0.5 / (abar**0.5 + (1 - abar) ** 0.5)


class VelocityView:
    """A model and a guidance as a velocity field: called with (x, t), it answers like x.

    x: (B, 3, H, W) fp32 on the linear path, t: a number from 0 to below 1. The guidance has a row
    per picture. limit: whether the estimate of the clean picture is clipped to [-1, 1], as a
    picture is; the velocity then leads to the clipped one. Near t = 0 that estimate is a difference
    of two nearly equal pictures divided by t, and guidance multiplies its error.
    """

    def __init__(self, model, guidance: Guidance, limit: bool = True):
        self.model, self.guidance, self.limit = model, guidance, limit
        self.prompts = Cond.cat(guidance.prompts)
        self.first = time_at(model.schedule, len(model.schedule) - 1)  # the table's noisiest t

    @torch.no_grad()
    def __call__(self, x: Tensor, t: float) -> Tensor:
        t = float(path_times(t, x[:1]))
        if t == 1:
            raise UserError(
                "at t = 1 the picture is clean and nothing is left to walk: t is below 1"
            )
        for prompts in self.guidance.prompts:
            if len(prompts) != len(x):
                raise UserError(
                    f"this velocity is that of {len(prompts)} pictures, and x holds {len(x)}: make"
                    f" it with count={len(x)}"
                )
        x1 = self.clean(x, t)
        return (x1 - x) / (1 - t)  # where v leads if it stays: A.2 solved for v

    @torch.no_grad()
    def clean(self, x: Tensor, t: float) -> Tensor:
        """The clean picture that the UNet sees behind x."""
        x1 = self.unlimited(x, t)
        return x1.clamp(-1, 1) if self.limit else x1

    def unlimited(self, x: Tensor, t: float) -> Tensor:
        t = max(t, self.first)
        scale = (t**2 + (1 - t) ** 2) ** 0.5
        timestep = timestep_at(self.model.schedule, t)
        eps, _ = estimate(self.model.fast_unet, x / scale, timestep, self.guidance, self.prompts)
        return (x - (1 - t) * eps) / t  # the linear path solved for x1


# --- the course's functions, under its names ----------------------------------------------------
# velocity is any function (x, t) -> v, most often one of the next two.


def predict_velocity(model, prompt_embeds: Tensor, count: int = 1) -> ode.Velocity:
    """The conditional velocity field of a prompt, or of one prompt for each of `count` pictures."""
    return VelocityView(model, Plain(rows(model, prompt_embeds, count)))


def cfg_velocity(
    model, prompt_embeds: Tensor, uncond_prompt_embeds: Tensor, w: float = 7.0, count: int = 1
) -> ode.Velocity:
    """2.1: v_c + w (v_c - v_u), A.4. w = 0 is the conditional velocity: gamma is w + 1.

    Guidance is linear, so it is the same whether eps or velocities are guided.
    """
    cond, uncond = (rows(model, p, count) for p in (prompt_embeds, uncond_prompt_embeds))
    return VelocityView(model, CFG(cond, uncond, scale=w + 1))


def interpolate(image: Tensor, noise: Tensor, t: float | Tensor) -> Tensor:
    """1.1: the picture (B, 3, H, W) in [-1, 1] at time t: 0 is the noise, 1 the picture. A.1"""
    image = pictures(image)
    noise = pictures(noise, image.device)
    if noise.shape != image.shape:
        raise UserError(
            f"noise and picture are one shape, and these are {tuple(noise.shape)} and"
            f" {tuple(image.shape)}"
        )
    return linear_path(image, noise, path_times(t, image))


def one_step_denoise(x: Tensor, t: float, velocity: ode.Velocity) -> Tensor:
    """1.3: the clean picture in one long step. A.2"""
    x = pictures(x)
    return x1_from_velocity(x, asked(velocity)(x, t), t)


def euler_sample(
    x_start: Tensor, t_start: float, step_size: float, velocity: ode.Velocity
) -> tuple[Tensor, list[Tensor]]:
    """1.5: Euler's method from t_start to exactly 1, the last step shortened if need be. A.3

    Returns the final pictures and all states, the first of them x_start.
    """
    times = ode.step_times(t_start, step_size)
    states = list(ode.euler_walk(asked(velocity), pictures(x_start), times))
    return states[-1], states


def asked(velocity: ode.Velocity) -> ode.Velocity:
    """The same, if it can be called with (x, t)."""
    if not callable(velocity):
        raise UserError(
            f"velocity is a function (x, t) -> v, such as cfg_velocity(model, ...) makes, not a"
            f" {type(velocity).__name__}"
        )
    return velocity


def edit(
    image: Tensor, noise: Tensor, t_start: float, velocity: ode.Velocity, step_size: float = 0.02
) -> Tensor:
    """3.1 and 3.2, SDEdit: the picture taken back to t_start, and walked from there to 1.

    A smaller t_start is more noise and so a freer edit.
    """
    return euler_sample(interpolate(image, noise, t_start), t_start, step_size, velocity)[0]


def visual_anagrams(
    model,
    noise: Tensor,
    prompt_embeds: Tensor,
    prompt_embeds_turned: Tensor,
    uncond_prompt_embeds: Tensor,
    w: float = 7.0,
    step_size: float = 0.02,
    view: View | None = None,
) -> Tensor:
    """3.3: one prompt upright, the other after a half turn, (v_1 + turn(v_2)) / 2."""
    conds = tuple(rows(model, p, len(noise)) for p in (prompt_embeds, prompt_embeds_turned))
    uncond = rows(model, uncond_prompt_embeds, len(noise))
    guidance = Anagram(conds, uncond, (View(), view or Rotate(180)), scale=w + 1)
    return euler_sample(noise, 0.0, step_size, VelocityView(model, guidance))[0]


def make_hybrids(
    model,
    noise: Tensor,
    prompt_embeds_far: Tensor,
    prompt_embeds_near: Tensor,
    uncond_prompt_embeds: Tensor,
    w: float = 7.0,
    step_size: float = 0.02,
) -> Tensor:
    """3.4: low frequencies of the far prompt's velocity, high ones of the near prompt's."""
    embeds = (prompt_embeds_far, prompt_embeds_near, uncond_prompt_embeds)
    guidance = Hybrid(*(rows(model, p, len(noise)) for p in embeds), w + 1, course_low_pass)
    return euler_sample(noise, 0.0, step_size, VelocityView(model, guidance))[0]
