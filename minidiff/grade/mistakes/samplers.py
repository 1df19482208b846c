"""Wrong versions of DDIM and DPM-Solver++: the equations, and what a walk of them must remember."""

from functools import partial

from minidiff.grade.exercises import REFERENCE
from minidiff.grade.mistakes.mutation import Mutation

EQUATIONS, SAMPLERS = "minidiff/equations.py", "minidiff/samplers.py"

ddim = partial(Mutation, exercise="ddim_step", file=EQUATIONS)
IMPLIED, PLAIN = "the noise that x_t and x0 imply", "eta 0 is the forward process, with estimates"
FRESH = "eta 1 adds the noise of the posterior variance"
BUDGET = "fresh and old noise together have the variance of the level"
EPS = "return (x_t - abar**0.5 * x0) / (1 - abar) ** 0.5"
VARIANCE = "variance = eta**2 * posterior_variance(abar, abar_prev)"
KEPT = "kept = (1 - abar_prev - variance).clamp(min=0)"
SUM = "return abar_prev**0.5 * x0 + kept**0.5 * eps + variance**0.5 * z"
AGAIN = "eps = eps if threshold is None else eps_from_x0(x_t, x0, abar)"

dpm = partial(Mutation, exercise="dpm_step", file=EQUATIONS)
LAMBDA, FIRST = (
    "lambda is the log of signal over noise, of amplitudes",
    "of first order it is DDIM's step without noise",
)
SLOPE = "x0 is carried on along the slope in lambda, by half the step"
CARRIED = "x0 = x0 + h / (2 * h_last) * (x0 - x0_last)"
RATIO = "ratio = ((1 - abar_prev) / (1 - abar)) ** 0.5\n    return ratio * x_t"
STEP = "return ratio * x_t + (abar_prev**0.5 - abar**0.5 * ratio) * x0"
KEEPS = "self.t_last, self.x0_last = t, dict(zip(rows, x0))"

SAMPLER_VERSIONS = [
    # DDIM
    ddim(
        name="ddim-eps-picture-not-scaled",
        old=EPS,
        new="return (x_t - x0) / (1 - abar) ** 0.5",
        caught_by=IMPLIED,
        hint="The whole clean picture is taken off x_t, which holds only a share of it.",
        picture="Right without a threshold; with one, a negative of x0 counts as noise.",
    ),
    ddim(
        name="ddim-eps-no-root",
        old=EPS,
        new="return (x_t - abar**0.5 * x0) / (1 - abar)",
        caught_by=IMPLIED,
        hint="What is left of x_t is divided by the noise's variance, not by its size.",
        picture="Right without a threshold; with one, noise that grows towards the end.",
    ),
    ddim(
        name="ddim-stays-at-its-level",
        old=SUM,
        new="return abar**0.5 * x0 + kept**0.5 * eps + variance**0.5 * z",
        caught_by=PLAIN,
        hint="x0 gets the strength of the level the step comes from.",
        picture="The picture is always one step too faint for its noise: pale and vague.",
    ),
    ddim(
        name="ddim-old-noise-no-root",
        old=SUM,
        new="return abar_prev**0.5 * x0 + kept * eps + variance**0.5 * z",
        caught_by=PLAIN,
        hint="The noise that was there is scaled by a variance.",
        picture="Noise runs out before the network says so: smooth, flat, little detail.",
    ),
    ddim(
        name="ddim-fresh-noise-no-root",
        old=SUM,
        new="return abar_prev**0.5 * x0 + kept**0.5 * eps + variance * z",
        caught_by=FRESH,
        hint="Fresh noise is scaled by its variance; the size of noise is the root of that.",
        picture="Right at eta 0; at eta 1 smooth, for noise is taken away and not replaced.",
    ),
    ddim(
        name="ddim-variance-is-beta",
        old=VARIANCE,
        new="variance = eta**2 * (1 - abar / abar_prev)",
        caught_by=FRESH,
        hint="Fresh noise has the larger variance, beta; DDIM's eta is a share of the posterior's.",
        picture="Right at eta 0; at eta 1 grain, for the last steps add more than their level has.",
    ),
    ddim(
        name="ddim-noise-on-top",
        old=KEPT,
        new="kept = 1 - abar_prev",
        caught_by=BUDGET,
        hint="Fresh noise is added and none of the old is given up for it: too much in all.",
        picture="Right at eta 0; with any eta above it, grain that no later step removes.",
    ),
    ddim(
        name="ddim-eta-not-squared",
        old=VARIANCE,
        new="variance = eta * posterior_variance(abar, abar_prev)",
        caught_by=BUDGET,
        hint="eta is a share of the standard deviation, not of the variance.",
        picture="Right at eta 0 and 1; in between, more dice than were asked for.",
    ),
    ddim(
        name="ddim-keeps-the-old-eps",
        file=SAMPLERS,
        old=AGAIN,
        new="eps = eps",
        caught_by=REFERENCE,
        hint="x0 was changed by the threshold and eps was not: together they are not x_t any more.",
        picture="Grain and dull colours at high guidance: each step loses what was clipped off.",
    ),
    ddim(
        name="ddim-eps-at-the-next-level",
        file=SAMPLERS,
        old=AGAIN,
        new="eps = eps if threshold is None else eps_from_x0(x_t, x0, abar_prev)",
        caught_by=REFERENCE,
        hint="eps is taken from x_t with the level that the step goes to.",
        picture="Right without a threshold; with one, noise that grows from step to step.",
    ),
    ddim(
        name="ddim-draws-on-the-clean-picture",
        file=SAMPLERS,
        old="fresh = self.eta > 0 and t_prev >= 0",
        new="fresh = t_prev >= 0",
        caught_by=REFERENCE,
        hint="Noise is drawn though eta is 0: who draws next from these seeds gets other noise.",
        picture="Not to be seen in a walk alone; an inpainting with the same seeds differs.",
    ),
    # DPM-Solver++
    dpm(
        name="dpm-lambda-of-variances",
        old="return 0.5 * (abar / (1 - abar)).log()",
        new="return (abar / (1 - abar)).log()",
        caught_by=LAMBDA,
        hint="This is the log of the ratio of variances; lambda is that of amplitudes.",
        picture="Not to be seen here, where only a ratio of two of them is used.",
    ),
    dpm(
        name="dpm-lambda-upside-down",
        old="return 0.5 * (abar / (1 - abar)).log()",
        new="return 0.5 * ((1 - abar) / abar).log()",
        caught_by=LAMBDA,
        hint="lambda falls as the picture gets cleaner: noise stands over signal.",
        picture="Not to be seen here, where only a ratio of two of them is used.",
    ),
    dpm(
        name="dpm-ratio-no-root",
        old=RATIO,
        new="ratio = (1 - abar_prev) / (1 - abar)\n    return ratio * x_t",
        caught_by=FIRST,
        hint="What is kept of x_t is a ratio of variances, not of sizes.",
        picture="Noise runs out too early: smooth shapes without detail.",
    ),
    dpm(
        name="dpm-x0-on-top",
        old=STEP,
        new="return ratio * x_t + (abar_prev**0.5 - abar**0.5) * x0",
        caught_by=FIRST,
        hint="x_t already holds a share of x0, and it is scaled down with the noise.",
        picture="The picture stays too faint: grey, with noise that is too strong for it.",
    ),
    dpm(
        name="dpm-slope-backwards",
        old=CARRIED,
        new="x0 = x0 - h / (2 * h_last) * (x0 - x0_last)",
        caught_by=SLOPE,
        hint="x0 is carried back to where it came from, not on.",
        picture="Blurred: every step leans on the vaguer estimate before it.",
    ),
    dpm(
        name="dpm-whole-step",
        old=CARRIED,
        new="x0 = x0 + h / h_last * (x0 - x0_last)",
        caught_by=SLOPE,
        hint="x0 is carried to the end of the step; the midpoint stands for the whole.",
        picture="Too crisp: edges overshoot, halos with few steps.",
    ),
    dpm(
        name="dpm-steps-swapped",
        old=CARRIED,
        new="x0 = x0 + h_last / (2 * h) * (x0 - x0_last)",
        caught_by=SLOPE,
        hint="The ratio of the two steps stands upside down. It is 1 only if they are alike.",
        picture="Hardly to be seen with many even steps; with few, halos or blur.",
    ),
    dpm(
        name="dpm-last-step-carried-on",
        file=SAMPLERS,
        old="if self.t_last is None or t_prev == self.end:",
        new="if self.t_last is None:",
        caught_by=REFERENCE,
        hint="The last step is of second order, too. It is by far the longest in lambda.",
        picture="Grain: the last small change of x0 is multiplied many times. NaN onto x0 itself.",
    ),
    dpm(
        name="dpm-keeps-the-level-after",
        file=SAMPLERS,
        old=KEEPS,
        new="self.t_last, self.x0_last = t_prev, dict(zip(rows, x0))",
        caught_by=REFERENCE,
        hint="The estimate is kept with the level the step went to, where it was not made.",
        picture="NaN: the step before seems to have no length.",
    ),
    dpm(
        name="dpm-keeps-the-first-estimate",
        file=SAMPLERS,
        old=KEEPS,
        new="self.t_last, self.x0_last = t, self.x0_last or dict(zip(rows, x0))",
        caught_by=REFERENCE,
        hint="The estimate of the first step is kept for good; the last one is wanted.",
        picture="Halos everywhere: x0 runs away from its first vague version.",
    ),
    dpm(
        name="dpm-keeps-by-place",
        file=SAMPLERS,
        old=KEEPS,
        new="self.t_last, self.x0_last = t, dict(enumerate(x0))",
        caught_by=REFERENCE,
        hint="Estimates are kept by place among those that move; places change when one joins.",
        picture="SDEdit in a batch: a picture inherits the estimate of another one.",
    ),
]
