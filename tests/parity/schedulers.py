"""Every step of many walks: minidiff's sampling step against DDPMScheduler."""

import random
from collections.abc import Iterator

import torch
from diffusers import DDPMScheduler
from diffusers.pipelines.deepfloyd_if import timesteps as named

from minidiff.equations import dynamic_threshold
from minidiff.noise import SeededNoise
from minidiff.sampling import step
from minidiff.schedule import (
    NAMED_TIMESTEPS,
    cosine_schedule,
    leading_timesteps,
    named_timesteps,
    pipeline_pairs,
    strided_timesteps,
)
from tests.parity.table import Check

SCHEDULER = {
    "beta_schedule": "squaredcos_cap_v2",
    "variance_type": "learned_range",
    "thresholding": True,
    "dynamic_thresholding_ratio": 0.95,
    "sample_max_value": 1.5,
}
LEADING = [1, 7, 10, 20, 27, 50, 99, 100, 150, 300, 1000]
SHAPE = (3, 16, 16)
SEEDS = [11, 12]
NEAR_ZERO = 50  # up to this t, 1 - abar is below 1e-2 and float32 holds few digits of it


def checks() -> Iterator[Check]:
    yield walks_equal()
    yield schedule_equal()
    yield from all_steps()


def walks_equal() -> Check:
    """The timesteps of every spacing and of the named lists."""
    check = Check("timesteps: leading spacings, named lists", stated=len(LEADING) + 8)
    scheduler = DDPMScheduler(**SCHEDULER)
    for count in LEADING:
        scheduler.set_timesteps(count)
        check.equal(leading_timesteps(count), scheduler.timesteps.tolist())
    for name in NAMED_TIMESTEPS:
        check.equal(named_timesteps(name), list(getattr(named, f"{name}_timesteps")))
    return check


def schedule_equal() -> Check:
    """abar itself: the reference computes it in float32, we in float64."""
    check = Check("abar of the cosine schedule, 1000 timesteps", stated=1, relative=1e-6)
    check.compare(cosine_schedule().abars, DDPMScheduler(**SCHEDULER).alphas_cumprod)
    return check


def walks() -> list[list[int]]:
    """Spacings, the course's stride, named lists, and lists that follow no rule."""
    rng = random.Random(0)
    uneven = [sorted(rng.sample(range(1000), rng.randint(2, 60)), reverse=True) for _ in range(8)]
    made = [leading_timesteps(count) for count in LEADING]
    made += [named_timesteps(name) for name in NAMED_TIMESTEPS]
    return [*made, strided_timesteps(), [0], [999], [999, 0], *uneven]


def all_steps() -> Iterator[Check]:
    """Thresholding, learned variance, noise for t > 0 only and drawn alike on both sides."""
    rest = Check(f"DDPMScheduler, every step from t > {NEAR_ZERO}", 2495, relative=1e-5)
    near = Check(f"DDPMScheduler, every step from t <= {NEAR_ZERO}", 133, relative=3e-4)
    same = Check("DDPMScheduler, random numbers drawn in a walk", 31)
    for number, timesteps in enumerate(walks()):
        walk(timesteps, number, rest, near, same)
    yield from (rest, near, same)


def walk(timesteps: list[int], number: int, rest: Check, near: Check, same: Check) -> None:
    """One walk; each step begins from where the reference's last one ended."""
    scheduler, schedule = DDPMScheduler(**SCHEDULER), cosine_schedule()
    scheduler.set_timesteps(timesteps=timesteps)
    noise = SeededNoise(SEEDS, SHAPE)
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    answers = torch.Generator().manual_seed(number)
    x = torch.randn(2, *SHAPE, generator=answers)
    for t, t_prev in pipeline_pairs(timesteps):
        eps, v = made_answer(x, answers)
        out = torch.cat([eps, v], dim=1)
        expected = scheduler.step(out, torch.tensor(t), x, generator=generators).prev_sample
        ours, _ = step(x, eps, v, t, t_prev, schedule, noise, [0, 1], dynamic_threshold)
        (near if t <= NEAR_ZERO else rest).compare(ours, expected)
        x = expected
    states = [g.get_state().tolist() for g in generators]
    same.equal([g.get_state().tolist() for g in noise.generators], states, f"walk {number}")


def made_answer(x, generator) -> tuple[torch.Tensor, torch.Tensor]:
    """eps half right, as a network's would be, and v a little beyond [-1, 1] at times."""
    eps = 0.7 * x + 0.7 * torch.randn(x.shape, generator=generator)
    return eps, 1.05 * torch.randn(x.shape, generator=generator).tanh()
