"""How one step of a walk goes: x_t and the UNet's answer become x_t_prev.

As a guidance says how answers combine, a sampler says how a step is taken. `sampler.begin(...)`
starts a walk and gives the function that takes its steps; it has the arguments and the results of
`step` below, which is the course's own rule. What a walk must remember lives in that function, so
one sampler may serve many walks at once.

    course   A.3 with the UNet's variance: noise at every step, the one the book is about
    ddpm     A.3 with a fixed variance, the smallest one unless said otherwise
    ddim     the clean estimate noised again; eta says how much of that noise is fresh
    dpm++    DDIM without fresh noise, but with x0 carried on from the last two estimates
    heun     DDIM without fresh noise, but with the slope of both ends: two UNet calls a step

Where a threshold has changed x0, all but the first two go on with the eps that belongs to it, so
that both describe the same x_t.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from minidiff.equations import (
    add_noise,
    ddim_step,
    dpm_step,
    eps_from_x0,
    heun_correction,
    learned_range_log_variance,
    posterior_mean,
    x0_from_eps,
)
from minidiff.errors import UserError
from minidiff.noise import SeededNoise
from minidiff.schedule import Pairs, Schedule

Limit = Callable[[Tensor], Tensor]  # an x0 estimate -> the same within bounds
Ask = Callable[[Tensor, int], tuple[Tensor, Tensor]]  # pictures that move, t -> their eps and v
Stepper = Callable[..., tuple[Tensor, Tensor]]  # arguments and results of `step`

FIXED_V = {"learned": None, "small": -1.0, "large": 1.0}  # see equations.learned_range_log_variance


def step(
    x_t: Tensor,
    eps: Tensor,
    v: Tensor,
    t: int,
    t_prev: int,
    schedule: Schedule,
    noise: SeededNoise,
    rows: list[int],
    threshold: Limit | None,
) -> tuple[Tensor, Tensor]:
    """One transition t -> t_prev, course A.3: the next picture and the x0 behind it.

    x_t, eps, v   (R, 3, H, W), the pictures that move, and the answer of the UNet about them
    rows          which pictures of the batch these are: noise.draw(rows) gives theirs
    threshold     applied to x0, if there is one
    """
    abar, abar_prev = schedule.abar(t, like=x_t), schedule.abar(t_prev, like=x_t)
    x0 = x0_from_eps(x_t, eps, abar)
    if threshold is not None:
        x0 = threshold(x0)
    mean = posterior_mean(x_t, x0, abar, abar_prev)
    if t == 0:  # the pipeline's step onto x0 itself; the course's walk ends before it
        return mean, x0
    log_variance = learned_range_log_variance(v, abar, abar_prev)
    return add_noise(mean, log_variance, noise.draw(rows)), x0


class Sampler:
    """Base of all samplers: frozen dataclasses of their options."""

    def begin(self, pairs: Pairs, ask: Ask) -> Stepper:
        """The function that takes the steps of one walk, in their order.

        pairs   the walk; its last step may need care
        ask     the UNet once more, for a sampler that looks twice
        """
        raise TypeError(f"{type(self).__name__} must say how it takes a step")

    def calls(self, steps: int) -> int:
        """How many UNet calls a walk of so many steps takes."""
        return steps


@dataclass(frozen=True)
class Course(Sampler):
    """A.3. variance: "learned" by the UNet, "small" (the posterior's) or "large" (beta)."""

    variance: str = "learned"

    def __post_init__(self):
        if self.variance not in FIXED_V:
            raise UserError(f"variance is one of {', '.join(FIXED_V)}, not {self.variance!r}")

    def begin(self, pairs, ask):
        fixed_v = FIXED_V[self.variance]
        if fixed_v is None:
            return step
        return lambda x_t, eps, v, *rest: step(x_t, eps, torch.full_like(v, fixed_v), *rest)


@dataclass(frozen=True)
class DDPM(Course):
    """A.3 as DDPM has it: the variance is fixed, the network needs none."""

    variance: str = "small"


@dataclass(frozen=True)
class DDIM(Sampler):
    """DDIM (arXiv 2010.02502) eq. 12. eta 0 adds no noise; eta 1 as much as A.3's small variance.

    With eta 0 the start decides: one seed gives one picture, nearly whatever the number of steps.
    """

    eta: float = 0.0

    def __post_init__(self):
        if not 0 <= self.eta <= 1:
            raise UserError(f"eta is 0 (no fresh noise) to 1 (as much as ddpm), not {self.eta}")

    def begin(self, pairs, ask):
        return self.step

    def step(self, x_t, eps, v, t, t_prev, schedule, noise, rows, threshold):
        abar, abar_prev = levels(schedule, t, t_prev)
        x0 = estimate_x0(x_t, eps, abar, threshold)
        eps = eps if threshold is None else eps_from_x0(x_t, x0, abar)
        fresh = self.eta > 0 and t_prev >= 0  # the clean picture has none
        z = noise.draw(rows) if fresh else torch.zeros_like(x_t)
        return ddim_step(x0, eps, z, abar, abar_prev, self.eta), x0


@dataclass(frozen=True)
class DPMSolver(Sampler):
    """DPM-Solver++ 2M (arXiv 2211.01095, algorithm 2): the slope of x0 from two estimates.

    First order, which is DDIM with eta 0, where there is no estimate before, and at the last step:
    there the levels are so far apart that the slope would carry x0 away.
    """

    def begin(self, pairs, ask):
        return Multistep(pairs[-1][1]).step


class Multistep:
    """The steps of one walk of DPM-Solver++, with the last estimate of each picture."""

    def __init__(self, end: int):
        self.end = end  # t_prev of the last step
        self.t_last: int | None = None
        self.x0_last: dict[int, Tensor] = {}  # by row: pictures may join the walk later

    def step(self, x_t, eps, v, t, t_prev, schedule, noise, rows, threshold):
        abar, abar_prev = levels(schedule, t, t_prev)
        x0 = estimate_x0(x_t, eps, abar, threshold)
        if self.t_last is None or t_prev == self.end:
            x_prev = dpm_step(x_t, x0, abar, abar_prev)
        else:  # who has just joined has no slope: its last estimate is this one
            last = torch.stack([self.x0_last.get(row, now) for row, now in zip(rows, x0)])
            x_prev = dpm_step(x_t, x0, abar, abar_prev, last, *levels(schedule, self.t_last))
        self.t_last, self.x0_last = t, dict(zip(rows, x0))
        return x_prev, x0


@dataclass(frozen=True)
class Heun(Sampler):
    """EDM (arXiv 2206.00364), algorithm 1 without churn: TWO UNet calls a step.

    A step of DDIM with eta 0 shows where the walk would come to; the UNet is asked there again, and
    the step is taken anew with the mean of both slopes. The last step is taken once.
    """

    def calls(self, steps):
        return 2 * steps - 1

    def begin(self, pairs, ask):
        end = pairs[-1][1]

        def step(x_t, eps, v, t, t_prev, schedule, noise, rows, threshold):
            abar, abar_prev = levels(schedule, t, t_prev)
            x0 = estimate_x0(x_t, eps, abar, threshold)
            there = dpm_step(x_t, x0, abar, abar_prev)  # of first order
            if t_prev == end:
                return there, x0
            eps_there, _ = ask(there, t_prev)
            x0_there = estimate_x0(there, eps_there, abar_prev, threshold)
            return heun_correction(there, x0, x0_there, abar, abar_prev), x0

        return step


def levels(schedule: Schedule, *timesteps: int) -> list[Tensor]:
    """abar at each timestep, exact: numbers in float64, which leave a picture's dtype as it is."""
    exact = torch.zeros((), dtype=torch.float64)
    return [schedule.abar(t, like=exact).reshape(()) for t in timesteps]


def estimate_x0(x: Tensor, eps: Tensor, abar: Tensor, threshold: Limit | None) -> Tensor:
    """The clean picture behind x, at level abar, within the threshold's bounds if there is one."""
    x0 = x0_from_eps(x, eps, abar)
    return x0 if threshold is None else threshold(x0)


SAMPLERS = {"course": Course, "ddpm": DDPM, "ddim": DDIM, "dpm++": DPMSolver, "heun": Heun}


def make_sampler(
    name: str = "course", *, eta: float | None = None, variance: str | None = None
) -> Sampler:
    """A sampler by its name; None leaves an option as the sampler has it.

    eta       for ddim: 0 to 1
    variance  for course and ddpm: learned, small or large
    UserError for an unknown name or value, and for an option that the sampler does not have.
    """
    if name not in SAMPLERS:
        raise UserError(f"no sampler is called {name!r}; known: {', '.join(SAMPLERS)}")
    options = {"eta": eta, "variance": variance}
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        owners = [other for other, kind in SAMPLERS.items() if takes(kind, key)]
        if name not in owners:
            raise UserError(f"{name} has no {key}: that is an option of {' and '.join(owners)}")
    return SAMPLERS[name](**given)


def takes(kind: type[Sampler], option: str) -> bool:
    return option in {field.name for field in fields(kind)}
