"""Flow matching on MNIST, Part B's second half since spring 2025, under the course's names.

t = 0 is noise and t = 1 is clean, the other way round than in `ddpm.py`; the UNet is told t itself
and answers with the velocity x_1 - x_0 instead of the noise. x_1 is the clean picture and x_0 the
noise. Every formula is in `minidiff/equations.py`, every block in `minidiff/mnist/unet.py`.
"""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from minidiff import ode
from minidiff.equations import classifier_free_guidance, linear_path, linear_velocity
from minidiff.io.inputs import chance, digits, one_each, one_number, scales, sides, unit_pictures
from minidiff.mnist.ddpm import (
    Example,
    check_answers,
    noise_like,
    seeds_from,
    squared_error,
)
from minidiff.mnist.unet import ClassConditionalUNet, concat
from minidiff.mnist.unet import TimeConditionalUNet as AddedTimeUNet
from minidiff.noise import SeededNoise

FRAMES = 15  # steps between the pictures of the way that class_fm_sample keeps


class TimeConditionalUNet(AddedTimeUNet):
    """The velocity at x (N, 1, 28, 28) and t (N,) in [0, 1].  Course 2.1.

    As the DDPM's, but time multiplies the feature maps, where it is added there.
    """

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        t = t[:, None]  # (N, 1)
        x1, x2, x3, u = self.encode(x)
        u = u * self.fc1_t(t)
        up1 = self.up1(concat(u, x3)) * self.fc2_t(t)
        return self.decode(up1, x2, x1)


# The class-conditioned flow UNet (course 2.4) is the DDPM's: c_1 u + t_1, then c_2 up1 + t_2.


# --- training -------------------------------------------------------------------------------------
# x_1 is (N, 1, 28, 28) fp32 in [0, 1]; the generator lives on its device, None is torch's own.


def flow_example(x_1: Tensor, generator: torch.Generator | None = None) -> Example:
    """Algorithm B.1: ((x_t, t), x_1 - x_0), with a time of its own for each picture."""
    t = torch.rand(len(x_1), device=x_1.device, generator=generator)
    x_0 = noise_like(x_1, generator)
    return (linear_path(x_1, x_0, t[:, None, None, None]), t), linear_velocity(x_1, x_0)


def class_flow_example(
    x_1: Tensor, c: Tensor, p_uncond: float, generator: torch.Generator | None = None
) -> Example:
    """Algorithm B.3: ((x_t, c, t, mask), x_1 - x_0); the mask drops whole class vectors."""
    (x_t, t), velocity = flow_example(x_1, generator)
    mask = torch.rand(len(c), device=x_1.device, generator=generator) >= p_uncond
    return (x_t, c, t, mask), velocity


def time_fm_forward(unet: TimeConditionalUNet, x_1: Tensor, num_ts: int = 50) -> Tensor:
    """The training loss for a batch of clean pictures.  Course B.5, algorithm B.1.

    num_ts is the course's argument and has no effect here: t is uniform in [0, 1], not on a grid.
    """
    x_1 = unit_pictures(x_1, next(unet.parameters()).device)
    unet.train()
    return squared_error(unet, flow_example(x_1))


def class_fm_forward(
    unet: ClassConditionalUNet, x_1: Tensor, c: Tensor, p_uncond: float = 0.1, num_ts: int = 300
) -> Tensor:
    """time_fm_forward with digits c (N,), int64, each dropped at chance p_uncond."""
    x_1 = unit_pictures(x_1, next(unet.parameters()).device)
    c, p_uncond = one_each(digits(c, x_1.device), x_1, "digit"), chance(p_uncond, "p_uncond")
    unet.train()
    return squared_error(unet, class_flow_example(x_1, c, p_uncond))


# --- sampling -------------------------------------------------------------------------------------


@torch.no_grad()
def flow_walk(
    velocity: ode.Velocity, noise: SeededNoise, num_ts: int, solver: ode.Walk = ode.euler_walk
) -> Iterator[Tensor]:
    """Algorithm B.2: yields the noise, then the picture after each of num_ts steps to t = 1."""
    yield from solver(velocity, noise.draw(), ode.even_times(one_number(num_ts, "num_ts")))


def digit_noise(unet: nn.Module, seeds: list[int], img_wh) -> SeededNoise:
    """The noise of one grey picture for each seed, where the UNet is."""
    width, height = sides(img_wh)
    return SeededNoise(seeds, (1, height, width), next(unet.parameters()).device)


def time_walk(
    unet: TimeConditionalUNet, seeds: list[int], num_ts: int = 50, img_wh=(28, 28), solver=None
) -> Iterator[Tensor]:
    """One picture per seed from the time-conditioned UNet, step by step, in eval mode."""
    unet.eval()
    check_answers(unet, "velocity")
    noise = digit_noise(unet, seeds, img_wh)

    def velocity(x: Tensor, t: float) -> Tensor:
        return unet(x, torch.full((len(x),), t, device=x.device))

    return flow_walk(velocity, noise, num_ts, solver or ode.euler_walk)


def guided_velocity(
    unet: ClassConditionalUNet, c: Tensor, scale: float | Tensor, x: Tensor, t: float
) -> Tensor:
    """Algorithm B.4, line 4: u_uncond + gamma (u_cond - u_uncond), from one call of the UNet.

    c: (N,) int64. scale: gamma, a number or (N, 1, 1, 1); 0 ignores the digit, 1 is conditional.
    """
    told = torch.cat([torch.zeros_like(c), torch.ones_like(c)])
    times = torch.full((2 * len(x),), t, device=x.device)
    u_uncond, u_cond = unet(torch.cat([x, x]), torch.cat([c, c]), times, told).chunk(2)
    return classifier_free_guidance(u_uncond, u_cond, scale)


def class_walk(
    unet: ClassConditionalUNet,
    c: Tensor,
    seeds: list[int],
    num_ts: int = 300,
    guidance_scale: float | Tensor = 5.0,
    img_wh=(28, 28),
    solver=None,
) -> Iterator[Tensor]:
    """One picture of digit c[i] per seed, step by step, in eval mode.

    guidance_scale: gamma, one number or one per picture as (N,). solver: a walk of `ode.py`.
    """
    unet.eval()
    check_answers(unet, "velocity")
    noise = digit_noise(unet, seeds, img_wh)
    c = digits(c, noise.device)
    velocity = partial(guided_velocity, unet, c, scales(guidance_scale, len(c), noise.device))
    return flow_walk(velocity, noise, num_ts, solver or ode.euler_walk)


def time_fm_sample(
    unet: TimeConditionalUNet,
    img_wh: tuple[int, int] = (28, 28),
    num_ts: int = 50,
    seed: int = 0,
    num_samples: int = 1,
) -> Tensor:
    """New digits, (num_samples, 1, 28, 28), about 0 to 1; i has seed + i.  Algorithm B.2."""
    return ode.last(time_walk(unet, seeds_from(seed, num_samples), num_ts, img_wh))


def class_fm_sample(
    unet: ClassConditionalUNet,
    c: Tensor,
    img_wh: tuple[int, int] = (28, 28),
    num_ts: int = 300,
    guidance_scale: float = 5.0,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """A picture of each digit in c (N,), and its way there.  Algorithm B.4.

    Returns (N, 1, 28, 28) and (N, frames, 1, 28, 28): 16 frames evenly spaced (of fewer than 15
    steps all), the first of them noise and the last one the result. Picture i has seed + i.
    """
    c, num_ts = digits(c), one_number(num_ts, "num_ts")
    frames = min(FRAMES, num_ts)
    kept = {round(i * num_ts / frames) for i in range(frames + 1)} if num_ts > 0 else set()
    states = class_walk(unet, c, seeds_from(seed, len(c)), num_ts, guidance_scale, img_wh)
    way = torch.stack([x for i, x in enumerate(states) if i in kept], dim=1)
    return way[:, -1].clone(), way


# --- the course's modules -------------------------------------------------------------------------


class TimeConditionalFM(nn.Module):
    """The UNet with its num_ts: calling it is the training loss, `sample` draws."""

    def __init__(self, unet: TimeConditionalUNet, num_ts: int = 50, img_hw=(28, 28)):
        super().__init__()
        self.unet, self.num_ts, self.img_hw = unet, num_ts, img_hw

    def forward(self, x: Tensor) -> Tensor:
        return time_fm_forward(self.unet, x, self.num_ts)

    def sample(self, img_wh: tuple[int, int] | None = None, seed: int = 0) -> Tensor:
        """One digit; img_wh: by default img_hw, the other way round."""
        return time_fm_sample(self.unet, img_wh or self.img_hw[::-1], self.num_ts, seed)


class ClassConditionalFM(nn.Module):
    """As TimeConditionalFM, for digits that are asked for."""

    def __init__(self, unet: ClassConditionalUNet, num_ts: int = 300, p_uncond: float = 0.1):
        super().__init__()
        self.unet, self.num_ts, self.p_uncond = unet, num_ts, p_uncond

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return class_fm_forward(self.unet, x, c, self.p_uncond, self.num_ts)

    def sample(self, c: Tensor, img_wh=(28, 28), guidance_scale: float = 5.0, seed: int = 0):
        return class_fm_sample(self.unet, c, img_wh, self.num_ts, guidance_scale, seed)
