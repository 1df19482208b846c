"""The DDPM of Part B, section 2: what it is trained on and how it is sampled.

The course's functions, for the time-conditioned UNet and, as `class_...`, for the one that also
knows the digit. Timesteps count from 0 to T-1 here, where the course counts from 1 to T; the UNet
is told t / T. Every formula is in `minidiff/equations.py`.
"""

from collections import deque
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from minidiff.equations import add_sigma_noise, classifier_free_guidance, ddpm_step, forward_process
from minidiff.errors import UserError
from minidiff.io.inputs import chance, digits, one_each, one_number, scales, sides, unit_pictures
from minidiff.mnist.unet import ClassConditionalUNet, TimeConditionalUNet
from minidiff.noise import SeededNoise
from minidiff.schedule import linear_schedule

Schedule = dict[str, Tensor]  # betas, alphas, alpha_bars, each (T,) fp32
Example = tuple[tuple[Tensor, ...], Tensor]  # what the UNet is called with, what it should answer


def ddpm_schedule(beta1: float = 1e-4, beta2: float = 0.02, num_ts: int = 300) -> Schedule:
    """betas from beta1 to beta2 in equal steps, alphas = 1 - betas, alpha_bars their products.

    Raises UserError unless 0 < beta1 < beta2 < 1 and there are at least two timesteps.
    """
    if not 0 < beta1 < beta2 < 1 or num_ts < 2:
        raise UserError(
            f"a schedule needs 0 < beta1 < beta2 < 1 and at least 2 timesteps; "
            f"got {beta1}, {beta2} and {num_ts}"
        )
    schedule = linear_schedule(beta1, beta2, num_ts)
    betas, alpha_bars = schedule.betas.float(), schedule.abars.float()
    return {"betas": betas, "alphas": 1 - betas, "alpha_bars": alpha_bars}


def to_device(schedule: Schedule, device: torch.device | str) -> Schedule:
    """The same schedule with its tensors on a device."""
    return {name: values.to(device) for name, values in schedule.items()}


# --- training: one corrupted picture per clean one ------------------------------------------------
# x_0 is (N, 1, 28, 28) fp32 in [0, 1] throughout; the generator lives on x_0's device, and None is
# torch's own.


def denoiser_example(x: Tensor, sigma: float, generator: torch.Generator | None = None) -> Example:
    """Section 1.2: the picture under noise of strength sigma, and the picture.  Course B.2."""
    eps = noise_like(x, generator)
    return (add_sigma_noise(x, sigma, eps),), x


def ddpm_example(
    schedule: Schedule, x_0: Tensor, generator: torch.Generator | None = None
) -> Example:
    """Algorithm B.1, lines 2 to 4: ((x_t, t / T), eps), with a timestep of its own per picture."""
    abars = schedule["alpha_bars"]
    t = torch.randint(0, len(abars), (len(x_0),), device=x_0.device, generator=generator)
    eps = noise_like(x_0, generator)
    x_t = forward_process(x_0, abars[t][:, None, None, None], eps)
    return (x_t, t / len(abars)), eps


def class_ddpm_example(
    schedule: Schedule,
    x_0: Tensor,
    c: Tensor,
    p_uncond: float,
    generator: torch.Generator | None = None,
) -> Example:
    """Algorithm B.3: ((x_t, c, t / T, mask), eps); the mask drops whole class vectors."""
    (x_t, t), eps = ddpm_example(schedule, x_0, generator)
    mask = torch.rand(len(c), device=x_0.device, generator=generator) >= p_uncond
    return (x_t, c, t, mask), eps


def noise_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Gaussian noise of x's shape, on its device."""
    return torch.randn(x.shape, device=x.device, generator=generator)


def squared_error(unet: torch.nn.Module, example: Example) -> Tensor:
    """The loss of all models: one number, the mean over all pixels.  Course B.1, B.4 and B.5."""
    inputs, target = example
    return F.mse_loss(unet(*inputs).float(), target)


def ddpm_forward(
    unet: TimeConditionalUNet, ddpm_schedule: Schedule, x_0: Tensor, num_ts: int = 300
) -> Tensor:
    """The training loss for a batch of clean pictures (N, 1, 28, 28) in [0, 1].  Algorithm B.1."""
    x_0, ddpm_schedule = ready(unet, x_0, ddpm_schedule)
    check_length(ddpm_schedule, num_ts)
    unet.train()
    return squared_error(unet, ddpm_example(ddpm_schedule, x_0))


def class_ddpm_forward(
    unet: ClassConditionalUNet,
    ddpm_schedule: Schedule,
    x_0: Tensor,
    c: Tensor,
    p_uncond: float = 0.1,
    num_ts: int = 300,
) -> Tensor:
    """ddpm_forward with digits c (N,), int64, each dropped at chance p_uncond.  Algorithm B.3."""
    x_0, ddpm_schedule = ready(unet, x_0, ddpm_schedule)
    c, p_uncond = one_each(digits(c, x_0.device), x_0, "digit"), chance(p_uncond, "p_uncond")
    check_length(ddpm_schedule, num_ts)
    unet.train()
    return squared_error(unet, class_ddpm_example(ddpm_schedule, x_0, c, p_uncond))


def ready(unet: torch.nn.Module, x_0, schedule: Schedule) -> tuple[Tensor, Schedule]:
    """Pictures (N, 1, H, W) in [0, 1] and the schedule, where the UNet is. UserError for others."""
    device = next(unet.parameters()).device
    return unit_pictures(x_0, device), to_device(schedule, device)


def check_digits(c: Tensor) -> Tensor:
    """Digits as (N,) int64, also from one-hot rows. UserError for what is none."""
    return digits(c)


def check_length(schedule: Schedule, num_ts: int) -> None:
    if len(schedule["betas"]) != num_ts:
        raise UserError(
            f"num_ts is {num_ts} but the schedule has {len(schedule['betas'])} timesteps; "
            f"make it with ddpm_schedule(beta1, beta2, {num_ts})"
        )


# --- sampling: from noise to a digit --------------------------------------------------------------


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


def ddpm_sample(
    unet: TimeConditionalUNet,
    ddpm_schedule: Schedule,
    img_wh: tuple[int, int] = (28, 28),
    num_ts: int = 300,
    seed: int = 0,
    num_samples: int = 1,
) -> Tensor:
    """New digits, (num_samples, 1, 28, 28), about 0 to 1; picture i has seed + i. Algorithm B.2."""
    check_answers(unet, "noise")
    check_length(ddpm_schedule, num_ts)
    seeds = seeds_from(seed, num_samples)
    return last(time_walk(unet, ddpm_schedule, seeds, sides(img_wh)))


def class_ddpm_sample(
    unet: ClassConditionalUNet,
    ddpm_schedule: Schedule,
    c: Tensor,
    img_wh: tuple[int, int] = (28, 28),
    num_ts: int = 300,
    guidance_scale: float = 5.0,
    seed: int = 0,
) -> Tensor:
    """A picture of each digit in c (N,), (N, 1, 28, 28); picture i has seed + i.  Algorithm B.4."""
    check_answers(unet, "noise")
    check_length(ddpm_schedule, num_ts)
    c = digits(c)
    gamma = scales(guidance_scale, len(c), "cpu")
    return last(class_walk(unet, ddpm_schedule, c, seeds_from(seed, len(c)), gamma, sides(img_wh)))


def check_answers(unet: torch.nn.Module, wanted: str) -> None:
    """UserError for shipped or saved weights of the other edition: the classes may be the same."""
    found = getattr(unet, "answers", wanted)
    if found != wanted:
        raise UserError(
            f"these weights were trained to answer with the {found}, and this function walks by the"
            f" {wanted}: load the model of the other edition, such as"
            f" {'class' if wanted == 'noise' else 'flow-class'}.safetensors"
        )


def seeds_from(seed: int, count: int) -> list[int]:
    """A seed for each picture: picture i has seed + i."""
    seed, count = one_number(seed, "a seed"), one_number(count, "num_samples")
    return [seed + i for i in range(count)]


def last(walk: Iterator[Tensor]) -> Tensor:
    """Run a walk to its end and return the final pictures."""
    return deque(walk, maxlen=1).pop()
