"""Samplers with fewer steps: DDIM with any share of fresh noise, DPM-Solver++ of second order."""

import math

import torch

from minidiff.grade.checks.equations import LEVELS, SHAPE, at, ones, pictures, zeros
from minidiff.grade.exercises import Exercise, Part
from minidiff.grade.expect import close
from minidiff.grade.inputs import ClosedFormSchedule, cosine_abar, values

EQUATIONS, SAMPLERS = "minidiff/equations.py", "minidiff/samplers.py"
WALK = [(900, 700), (700, 450), (450, 150), (150, 0)]


def posterior(abar: float, prev: float) -> float:
    return (1 - prev) / (1 - abar) * (1 - abar / prev)


def clip(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(-0.5, 0.5)


# --- DDIM ---------------------------------------------------------------------------------------

ddim = Exercise(
    "ddim_step",
    "beyond 1.9",
    "A step without the dice, or with as many of them as eta says: DDIM, arXiv 2010.02502, eq. 12 "
    "and 16, with abar where the paper writes alpha. eps_from_x0 solves equation A.2 for the "
    "noise. ddim_step noises the estimate x0 to the level abar_prev again: with eps, the noise "
    "that was there, and with z, fresh noise, whose standard deviation sigma is eta times that of "
    "posterior_variance(abar, abar_prev); together they have the variance of that level. "
    "DDIM.step is such a step of a walk: levels and estimate_x0 give abar and the x0 within the "
    "threshold; where a threshold has changed x0, eps must be taken anew from it. Fresh noise is "
    "noise.draw(rows), drawn only if eta is above 0 and the step does not end on the clean "
    "picture, t_prev = -1. It returns the next picture and x0.",
    [
        Part(EQUATIONS, "eps_from_x0"),
        Part(EQUATIONS, "ddim_step"),
        Part(SAMPLERS, "DDIM", ("step",)),
    ],
)


@ddim.check("the noise that x_t and x0 imply")
def ddim_eps(code):
    for abar, _ in LEVELS:
        got = code.eps_from_x0(ones(), zeros(), at(abar))
        close(got, 1 / math.sqrt(1 - abar), f"with x_t = 1, x0 = 0 and abar = {abar}, eps")
        got = code.eps_from_x0(zeros(), ones(), at(abar))
        due = -math.sqrt(abar / (1 - abar))
        close(got, due, f"with x_t = 0, x0 = 1 and abar = {abar}, eps")


@ddim.check("eta 0 is the forward process, with estimates")
def ddim_without_noise(code):
    for abar, prev in LEVELS:
        what = f"from abar = {abar} to {prev}"
        got = code.ddim_step(ones(), zeros(), ones(), at(abar), at(prev), 0.0)
        close(got, math.sqrt(prev), f"{what}, with x0 = 1 and eps = 0, the result")
        got = code.ddim_step(zeros(), ones(), ones(), at(abar), at(prev), 0.0)
        close(got, math.sqrt(1 - prev), f"{what}, with x0 = 0 and eps = 1, the result")


@ddim.check("eta 1 adds the noise of the posterior variance")
def ddim_fresh(code):
    for abar, prev in LEVELS:
        got = code.ddim_step(zeros(), zeros(), ones(), at(abar), at(prev), 1.0)
        due = math.sqrt(posterior(abar, prev))
        close(got, due, f"from abar = {abar} to {prev}, with z = 1 alone, the result")


@ddim.check("fresh and old noise together have the variance of the level")
def ddim_budget(code):
    for eta in (1.0, 0.5, 0.2):
        for abar, prev in LEVELS:
            levels, what = (
                (at(abar), at(prev), eta),
                f"with eta {eta}, from abar = {abar} to {prev}",
            )
            fresh = code.ddim_step(zeros(), zeros(), ones(), *levels)
            close(
                fresh,
                eta * math.sqrt(posterior(abar, prev)),
                f"{what}, with z = 1 alone, the result",
            )
            old = code.ddim_step(zeros(), ones(), zeros(), *levels)
            close(fresh**2 + old**2, 1 - prev, f"{what}, the variance of both noises together")


@ddim.check("the step onto the clean picture is x0")
def ddim_last(code):
    x0, eps, z = pictures("x0", "eps", "z")
    close(code.ddim_step(x0, eps, z, at(0.9), at(1.0), 1.0), x0, "at abar_prev = 1, the result")


@ddim.trial
def ddim_trial(code, draw):
    x0, eps, z = (draw.picture(name, grad=True) for name in ("x0", "eps", "z"))
    abar, abar_prev = draw.levels("abar", "abar_prev", onto_clean=True)
    eta = draw.choice("eta", (0.5, 0.0, 1.0))
    return {
        "eps_from_x0": code.eps_from_x0(x0, eps, abar),
        "ddim_step": code.ddim_step(x0, eps, z, abar, abar_prev, eta),
    }


@ddim.trial
def ddim_walk_trial(code, draw):
    walker, limit = (
        code.DDIM(draw.choice("eta", (0.5, 0.0, 1.0))),
        draw.choice("limit", (clip, None)),
    )
    return walked(walker, draw, limit, lambda i: draw.rows(f"rows of step {i}", draw.batch))


def walked(walker, draw, limit, rows_at) -> dict:
    """x_prev and x0 of every step of a drawn walk; rows_at(i) are the pictures that move."""
    noise, outputs = draw.noise(3), {}
    shape = (draw.batch, 3, draw.height, draw.width)
    for i, (t, t_prev) in enumerate(draw.pairs()):
        rows = rows_at(i)
        x_t, eps, v = (draw.tensor(f"{name} {i}", *shape)[rows] for name in ("x", "eps", "v"))
        moved = walker.step(x_t, eps, v, t, t_prev, ClosedFormSchedule(), noise, rows, limit)
        outputs |= {f"x0 of step {i}": moved[1], f"x after step {i}": moved[0]}
    return outputs | {"the number of draws of noise": noise.drawn}


# --- DPM-Solver++ -------------------------------------------------------------------------------

dpm = Exercise(
    "dpm_step",
    "beyond 1.9",
    "DPM-Solver++ 2M, arXiv 2211.01095, algorithm 2: DDIM's step, but x0 is carried on along the "
    "slope between the last two estimates. half_log_snr is lambda = log(sqrt(abar) / sqrt(1 - "
    "abar)). With h the step in lambda and h_last the one before, D = (1 + h / (2 h_last)) x0 - "
    "h / (2 h_last) x0_last takes the place of x0; without x0_last it is x0 itself. The step is "
    "sigma'/sigma x_t + (sqrt(abar') - sqrt(abar) sigma'/sigma) D, with sigma = sqrt(1 - abar) "
    "and ' for abar_prev. Multistep.step takes the steps of one walk: it keeps t and, by row, the "
    "x0 of each picture; a picture that joins late has no estimate before, and begins with "
    "x0_last = x0. The walk's first step, and the last, which ends at self.end, are of first "
    "order.",
    [
        Part(EQUATIONS, "half_log_snr"),
        Part(EQUATIONS, "dpm_step"),
        Part(SAMPLERS, "Multistep", ("step",)),
    ],
)


def lam(abar: float) -> float:
    return math.log(math.sqrt(abar) / math.sqrt(1 - abar))


@dpm.check("lambda is the log of signal over noise, of amplitudes")
def dpm_lambda(code):
    for abar, _ in LEVELS:
        close(code.half_log_snr(at(abar)), lam(abar), f"lambda at abar = {abar}")


@dpm.check("of first order it is DDIM's step without noise")
def dpm_first(code):
    for abar, prev in LEVELS:
        ratio = math.sqrt((1 - prev) / (1 - abar))
        got = code.dpm_step(ones(), zeros(), at(abar), at(prev))
        close(got, ratio, f"from abar = {abar} to {prev}, with x_t = 1 and x0 = 0, the result")
        got = code.dpm_step(zeros(), ones(), at(abar), at(prev))
        due = math.sqrt(prev) - math.sqrt(abar) * ratio
        close(got, due, f"from abar = {abar} to {prev}, with x_t = 0 and x0 = 1, the result")


@dpm.check("the step onto the clean picture is x0")
def dpm_last(code):
    x_t, x0 = pictures("x_t", "x0")
    close(code.dpm_step(x_t, x0, at(0.9), at(1.0)), x0, "at abar_prev = 1, the result")


@dpm.check("an estimate that does not change is carried nowhere")
def dpm_still(code):
    x_t, x0 = pictures("x_t", "x0")
    got = code.dpm_step(x_t, x0, at(0.3), at(0.45), x0, at(0.2))
    close(got, code.dpm_step(x_t, x0, at(0.3), at(0.45)), "with x0_last = x0, the result")


@dpm.check("x0 is carried on along the slope in lambda, by half the step")
def dpm_second(code):
    x_t, x0, x0_last = pictures("x_t", "x0", "x0_last")
    for last, abar, prev in ((0.05, 0.1, 0.3), (0.2, 0.3, 0.9), (0.3, 0.8, 0.85)):
        got = code.dpm_step(x_t, x0, at(abar), at(prev), x0_last, at(last))
        due = second_order(x_t, x0, x0_last, abar, prev, last)
        close(got, due, f"for abar {last}, then {abar}, then {prev}, the result")


def picture_at(i: int, row: int):
    """x_t and eps of the i-th step, for one row."""
    return values(f"x {i}", *SHAPE)[row], values(f"e {i}", *SHAPE)[row]


def estimate(i: int, row: int, threshold=None):
    abar = cosine_abar(WALK[i][0])
    x_t, eps = picture_at(i, row)
    x0 = (x_t - math.sqrt(1 - abar) * eps) / math.sqrt(abar)
    return x0 if threshold is None else threshold(x0)


def second_order(x_t, x0, x0_last, abar, prev, last):
    """Algorithm 2 with the paper's letters; with x0_last = x0 it is of first order."""
    r = (lam(abar) - lam(last)) / (lam(prev) - lam(abar))
    d = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * x0_last
    ratio = math.sqrt((1 - prev) / (1 - abar))
    return ratio * x_t + (math.sqrt(prev) - math.sqrt(abar) * ratio) * d


@dpm.trial
def dpm_trial(code, draw):
    shape, exact = (draw.batch, 3, draw.height, draw.width), {"dtype": torch.float64, "grad": True}
    x_t, x0, x0_last = (draw.tensor(name, *shape, **exact) for name in ("x_t", "x0", "x0_last"))
    last, abar, prev = (a.double() for a in draw.levels("abar_last", "abar", "abar_prev"))
    return {
        "half_log_snr": code.half_log_snr(abar),
        "dpm_step of first order": code.dpm_step(x_t, x0, abar, prev),
        "dpm_step": code.dpm_step(x_t, x0, abar, prev, x0_last, last),
    }


@dpm.trial
def dpm_walk_trial(code, draw):
    pairs, limit = draw.pairs(), draw.choice("limit", (None, clip))
    late = draw.rows("pictures that join at the second step", draw.batch)

    def rows_at(i: int) -> list[int]:
        return [row for row in range(draw.batch) if i > 0 or row not in late or draw.batch == 1]

    return walked(code.Multistep(pairs[-1][1]), draw, limit, rows_at)
