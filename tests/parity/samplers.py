"""Every step of many walks: DDIM, DPM-Solver++ 2M, Heun and fixed variances against diffusers."""

from collections.abc import Iterator
from functools import partial
from itertools import product

from diffusers import DDPMScheduler

from minidiff.deepfloyd.scheduler import VARIANCES
from minidiff.equations import dynamic_threshold, static_threshold
from minidiff.samplers import DDIM, DPMSolver, Heun, make_sampler
from minidiff.schedule import NAMED_TIMESTEPS, SPACINGS, named_timesteps, spaced_timesteps
from tests import reference_samplers as reference
from tests.parity.table import Check
from tests.sampler_steps import steps_by_rule

COUNTS = [1, 4, 10, 27, 50]


def checks() -> Iterator[Check]:
    yield spacings_equal()
    dynamic, static = (None, dynamic_threshold), (None, static_threshold)
    yield compared("DDIM eta 0", DDIM(0.0), partial(reference.ddim, 0.0), dynamic)
    yield compared("DDIM eta 1", DDIM(1.0), partial(reference.ddim, 1.0), dynamic)
    yield compared("DPM-Solver++ 2M", DPMSolver(), reference.dpm, dynamic)
    yield compared("Heun", Heun(), reference.heun, static)
    for kind in ("fixed_small", "fixed_small_log", "fixed_large"):
        sampler = make_sampler("ddpm", variance=VARIANCES[kind])
        # This reference works in float32, with 1 - abar of some 1e-4 near t = 0.
        yield compared(f"DDPM {kind}", sampler, partial(reference.ddpm, kind), static, 1e-4)


def spacings_equal() -> Check:
    """1 to 1000 steps. Where the reference's 'trailing' has a last -1 too many, it is left out."""
    check = Check("timesteps: three spacings, 1 to 1000 steps", stated=3000)
    for spacing in SPACINGS:
        scheduler = DDPMScheduler(timestep_spacing=spacing)
        for count in range(1, 1001):
            scheduler.set_timesteps(count)
            due = [t for t in scheduler.timesteps.tolist() if t >= 0]
            check.equal(spaced_timesteps(count, spacing), due, f"{spacing} {count}")
    return check


def walks() -> list[list[int]]:
    made = [spaced_timesteps(count, spacing) for spacing in SPACINGS for count in COUNTS]
    return [*made, *(named_timesteps(name) for name in NAMED_TIMESTEPS)]


def compared(name: str, sampler, reference_walk, limits, relative: float = 1e-5) -> Check:
    cases = sum(len(timesteps) for timesteps in walks()) * len(limits)
    check = Check(f"{name}, every step", cases, relative=relative)
    for limit, timesteps in product(limits, walks()):
        ours = steps_by_rule(sampler, timesteps, limit)
        theirs = reference_walk(limit is not None, timesteps)
        for x, due in zip(ours, theirs, strict=True):
            check.compare(x, due)
    return check
