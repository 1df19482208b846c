"""How a walk goes: which timesteps, which sampler, what limits the estimate. Words become objects.

    plan = make_plan(model)                     # what the checkpoint recommends
    plan = make_plan(model, steps="course")     # 990, 960, ..., 0 and equation A.3
    plan = make_plan(model, steps=8, sampler="ddim", eta=1.0, limit="clip")

A checkpoint may say how it is best sampled, in sampling.json beside its folders; the official ones
say nothing, and are sampled as the official pipeline does it.
"""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from minidiff.deepfloyd.checkpoint import read_json
from minidiff.deepfloyd.config import read_fields
from minidiff.deepfloyd.scheduler import SchedulerConfig
from minidiff.errors import UserError
from minidiff.io.inputs import finite_number, one_number, scale
from minidiff.samplers import SAMPLERS, Sampler, make_sampler
from minidiff.schedule import (
    SPACINGS,
    Pairs,
    course_pairs,
    even_timesteps,
    named_timesteps,
    pipeline_pairs,
    spaced_timesteps,
)

WALK_FILE = "sampling.json"
NOISY = 850  # from here on hardly anything of a picture is left: abar is below 0.06
LIMITS = ("none", "clip", "threshold")


@dataclass(frozen=True)
class Defaults:
    """What a checkpoint recommends; the values here are the official pipeline's.

    spacing and limit are for samplers other than the pipeline's own ("ddpm"), which follows
    scheduler_config.json; None: they follow it too. The rest is for a second stage: level is how
    much noise the small picture gets, as a timestep; strength the share of the walk that is walked;
    outside what an inpainting step puts where nothing is made anew, the original as it is, "clean",
    or "noised" to the level reached. An illusion, of two prompts at once, may have steps, guidance
    and a level of its own; None: as any picture. Above highest a network has seen no level.
    """

    steps: int = 50
    sampler: str = "ddpm"
    guidance: float = 7.0
    eta: float | None = None
    spacing: str | None = None
    limit: str | None = None
    level: int = 0
    strength: float = 1.0
    outside: str = "clean"
    highest: int = 999
    illusion_steps: int | None = None
    illusion_guidance: float | None = None
    illusion_level: int | None = None


OFFICIAL = Defaults()


@dataclass(frozen=True)
class Plan:
    """A walk, ready for sampling.denoise. `tells` is what a picture's file says of it."""

    pairs: Pairs
    sampler: Sampler | None = None
    limit: Callable[[Tensor], Tensor] | None = None
    guidance: float = 7.0
    tells: dict = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.pairs)


def read_defaults(folder: Path, official: Defaults = OFFICIAL) -> Defaults:
    """The recommendation in a checkpoint's folder; what it does not say is the official one."""
    file = folder / WALK_FILE
    raw = read_json(file) if file.is_file() else {}
    found = replace(official, **read_fields(Defaults, raw, {}, set(), WALK_FILE))
    check_word("outside", found.outside, ("clean", "noised"))
    return found


def make_plan(
    model,
    steps: int | str | None = None,
    sampler: str | None = None,
    spacing: str | None = None,
    eta: float | None = None,
    limit: str | None = None,
    guidance: float | None = None,
) -> Plan:
    """The walk that these words ask for; what is None is as the checkpoint recommends.

    steps     how many; or "course" (990, 960, ..., 0 with equation A.3); or a named list, "fast27"
    sampler   course, ddpm (the official pipeline's), ddim, dpm++ or heun
    spacing   leading, trailing or linspace, as the reference schedulers space them; or even: from
              990 to 0, as the course does
    eta       for ddim: 0 draws no noise, 1 as much as ddpm
    limit     what is done to every estimate of x0: none, clip (to [-1, 1]) or threshold (dynamic)
    guidance  how strongly the prompt steers; 1 is not at all
    Raises UserError for a word or number that means nothing.
    """
    advice = read_defaults(model.folder)
    steps = advice.steps if steps is None else steps
    if not isinstance(steps, str):
        steps = one_number(steps, "steps (or the name of a list of timesteps)")
    eta = None if eta is None else finite_number(eta, "eta")
    kind = steps if isinstance(steps, str) and not re.fullmatch(r"-?\d{1,18}", steps) else "number"
    if sampler is None:
        sampler = {"course": "course", "number": advice.sampler}.get(kind, "ddpm")
    check_word("sampler", sampler, tuple(SAMPLERS))
    recommended = sampler == advice.sampler and kind == "number"
    if eta is None and recommended:
        eta = advice.eta
    if limit is None:
        limit = advice.limit if recommended else None
    if limit is None:
        limit = "none" if sampler == "course" else limit_of(model.scheduler)
    if spacing is not None and kind != "number":
        raise UserError(f"steps {steps!r} is a list of timesteps: leave the spacing out")
    if spacing is None and kind == "number":
        spacing = (advice.spacing if recommended else None) or model.scheduler.timestep_spacing
        spacing = "even" if sampler == "course" else spacing
    pairs = make_pairs(kind, steps, spacing, model.scheduler)
    if kind == "number" and pairs[0][0] < NOISY:
        warnings.warn(
            f"{steps} {spacing} steps begin at t = {pairs[0][0]}, where a picture is not yet all"
            " noise, so it may stay grey: take a number that divides 1000, or trailing spacing"
        )
    strength = scale(advice.guidance if guidance is None else guidance)
    tells = {"steps": steps, "sampler": sampler, "limit": limit}
    tells |= {} if spacing is None else {"spacing": spacing}
    tells |= {} if eta is None else {"eta": eta}
    return Plan(
        pairs=pairs,
        sampler=make_sampler(sampler, eta=eta, variance=own_variance(sampler, model.scheduler)),
        limit=make_limit(limit, model.scheduler),
        guidance=strength,
        tells=tells,
    )


def own_variance(sampler: str, scheduler: SchedulerConfig) -> str | None:
    """The pipeline's own sampler takes the variance that the checkpoint's scheduler names."""
    return scheduler.variance if sampler == "ddpm" else None


def make_pairs(
    kind: str, steps: int | str, spacing: str | None, scheduler: SchedulerConfig
) -> Pairs:
    if kind == "course":
        return course_pairs()
    if kind != "number":
        return pipeline_pairs(named_timesteps(kind))
    check_word("spacing", spacing, (*SPACINGS, "even"))
    if spacing == "even":
        return course_pairs(even_timesteps(int(steps)))
    if spacing == scheduler.timestep_spacing:  # with its offset
        return pipeline_pairs(scheduler.timesteps(int(steps)))
    return pipeline_pairs(spaced_timesteps(int(steps), spacing))


def limit_of(scheduler: SchedulerConfig) -> str:
    """The word for what a checkpoint's scheduler does to its estimates."""
    return "threshold" if scheduler.thresholding else "clip" if scheduler.clip_sample else "none"


def make_limit(name: str, scheduler: SchedulerConfig) -> Callable[[Tensor], Tensor] | None:
    """What the word stands for, with the numbers of the checkpoint's scheduler."""
    check_word("limit", name, LIMITS)
    if name == "none":
        return None
    return replace(scheduler, thresholding=name == "threshold", clip_sample=True).limit


def check_word(what: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise UserError(f"{what} is one of {', '.join(known)}, not {word!r}")
