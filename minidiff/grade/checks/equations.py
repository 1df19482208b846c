"""Part A's equations: closed forms in float64.

The numbers that are due come from the formulas in the course's text, worked out here with plain
numbers, or from what a formula must do: end points, round trips, Gaussian pictures.
"""

import math

import torch

from minidiff.grade.exercises import Exercise, Part
from minidiff.grade.expect import close, same_dtype, true
from minidiff.grade.inputs import values
from minidiff.grade.mistakes.catalogue import named

FILE = "minidiff/equations.py"
LEVELS = [(0.05, 0.1), (0.3, 0.45), (0.6, 0.9), (0.8, 0.97)]  # (abar, abar_prev)
SHAPE = (2, 3, 4, 4)


def at(abar: float) -> torch.Tensor:
    """One noise level for all pictures, as the loop gives it."""
    return torch.full((1, 1, 1, 1), abar, dtype=torch.float64)


def ones() -> torch.Tensor:
    return torch.ones(SHAPE, dtype=torch.float64)


def zeros() -> torch.Tensor:
    return torch.zeros(SHAPE, dtype=torch.float64)


def pictures(*names: str) -> list[torch.Tensor]:
    return [values(name, *SHAPE) for name in names]


def stay_float32(function, *arguments) -> None:
    """The result of float32 tensors must be float32, else a half-precision UNet refuses it."""
    narrow = [a.float() if isinstance(a, torch.Tensor) else a for a in arguments]
    same_dtype(function(*narrow), torch.float32, "the result for float32 input")


# --- 1.1 ----------------------------------------------------------------------------------------

forward = Exercise(
    "forward_process",
    "1.1",
    "Noise a clean picture x0 (B, C, H, W) to level abar with the noise eps of the same shape: "
    "equation A.2. abar is a tensor that broadcasts, (1, 1, 1, 1) or one level per picture, "
    "(B, 1, 1, 1). The result has the shape and dtype of x0.",
    [Part(FILE, "forward_process")],
)


@forward.check("the picture's coefficient is sqrt(abar)")
def forward_picture(code):
    for abar, _ in LEVELS:
        result = code.forward_process(ones(), at(abar), zeros())
        close(result, math.sqrt(abar), f"with x0 = 1, eps = 0 and abar = {abar}, the result")


@forward.check("the noise's coefficient is sqrt(1 - abar)")
def forward_noise(code):
    for abar, _ in LEVELS:
        result = code.forward_process(zeros(), at(abar), ones())
        close(result, math.sqrt(1 - abar), f"with x0 = 0, eps = 1 and abar = {abar}, the result")


@forward.check("end points: abar 1 is the picture, abar 0 the noise")
def forward_ends(code):
    x0, eps = pictures("x0", "eps")
    close(code.forward_process(x0, at(1.0), eps), x0, "at abar = 1, the result")
    close(code.forward_process(x0, at(0.0), eps), eps, "at abar = 0, the result")


@forward.trial
def forward_trial(code, draw):
    x0, eps = draw.picture("x0", scale=1.5, grad=True), draw.picture("eps", grad=True)
    return {"x_t": code.forward_process(x0, *draw.levels("abar"), eps)}


# --- 1.3 ----------------------------------------------------------------------------------------

invert = Exercise(
    "x0_from_eps",
    "1.3",
    "Solve equation A.2 for x0: the clean picture that x_t and its noise eps imply at level abar. "
    "All (B, C, H, W), abar broadcasts.",
    [Part(FILE, "x0_from_eps")],
)


@invert.check("coefficients of x_t and eps")
def invert_coefficients(code):
    for abar, _ in LEVELS:
        got = code.x0_from_eps(ones(), zeros(), at(abar))
        close(got, 1 / math.sqrt(abar), f"with x_t = 1, eps = 0 and abar = {abar}, the result")
        got = code.x0_from_eps(zeros(), ones(), at(abar))
        due = -math.sqrt((1 - abar) / abar)
        close(got, due, f"with x_t = 0, eps = 1 and abar = {abar}, the result")


@invert.check("round trip: noise a picture, take the noise away")
def invert_round_trip(code):
    x0, eps = pictures("x0", "eps")
    for abar, _ in LEVELS:
        x_t = math.sqrt(abar) * x0 + math.sqrt(1 - abar) * eps
        close(code.x0_from_eps(x_t, eps, at(abar)), x0, f"the picture regained at abar = {abar}")


@invert.check("a clean picture stays as it is; float32 stays float32")
def invert_clean(code):
    x0, eps = pictures("x0", "eps")
    close(code.x0_from_eps(x0, eps, at(1.0)), x0, "at abar = 1, the result")


@invert.trial
def invert_trial(code, draw):
    x_t, eps = draw.picture("x_t", scale=1.5, grad=True), draw.picture("eps", grad=True)
    return {"x0": code.x0_from_eps(x_t, eps, *draw.levels("abar"))}


# --- 1.4 ----------------------------------------------------------------------------------------

mean = Exercise(
    "posterior_mean",
    "1.4",
    "The mean of x_{t_prev}, given x_t and an estimate of x0, for a step of any stride: equation "
    "A.3 without its noise. x_t and x0 are (B, C, H, W); abar is the level of x_t, abar_prev the "
    "cleaner level the step goes to; both broadcast. alpha and beta belong to the whole stride.",
    [Part(FILE, "posterior_mean")],
)


@mean.check("coefficient of x0")
def mean_of_x0(code):
    for abar, prev in LEVELS:
        due = math.sqrt(prev) * (1 - abar / prev) / (1 - abar)
        got = code.posterior_mean(zeros(), ones(), at(abar), at(prev))
        close(got, due, f"with x0 = 1, x_t = 0, abar = {abar}, abar_prev = {prev}, the mean")


@mean.check("coefficient of x_t")
def mean_of_x_t(code):
    for abar, prev in LEVELS:
        due = math.sqrt(abar / prev) * (1 - prev) / (1 - abar)
        got = code.posterior_mean(ones(), zeros(), at(abar), at(prev))
        close(got, due, f"with x0 = 0, x_t = 1, abar = {abar}, abar_prev = {prev}, the mean")


@mean.check("a picture without noise stays on its path")
def mean_on_path(code):
    (x0,) = pictures("x0")
    for abar, prev in LEVELS:
        got = code.posterior_mean(math.sqrt(abar) * x0, x0, at(abar), at(prev))
        close(got, math.sqrt(prev) * x0, f"from sqrt(abar) x0, abar = {abar}, the mean")


@mean.check("a step onto the clean picture gives x0")
def mean_last(code):
    x_t, x0 = pictures("x_t", "x0")
    close(code.posterior_mean(x_t, x0, at(0.7), at(1.0)), x0, "at abar_prev = 1, the mean")


@mean.check("Bayes' rule for Gaussian pictures")
def mean_bayes(code):
    (x_t,) = pictures("x_t")
    for abar, prev in LEVELS:
        for spread in (0.5, 2.0):  # variance of the pictures' pixels
            total, before = abar * spread + 1 - abar, prev * spread + 1 - prev
            x0 = math.sqrt(abar) * spread / total * x_t  # the best estimate there is
            due = math.sqrt(abar / prev) * before / total * x_t
            got = code.posterior_mean(x_t, x0, at(abar), at(prev))
            close(got, due, f"for pictures of variance {spread} at abar = {abar}, the mean")


@mean.trial
def mean_trial(code, draw):
    x_t, x0 = draw.picture("x_t", scale=1.5, grad=True), draw.picture("x0", scale=1.5, grad=True)
    return {
        "the mean": code.posterior_mean(x_t, x0, *draw.levels("abar", "abar_prev", onto_clean=True))
    }


variance = Exercise(
    "learned_variance",
    "1.4",
    "The random half of a step. posterior_variance(abar, abar_prev) is the smallest variance a "
    "step may have. learned_range_log_variance mixes it with beta of the stride, as the UNet's v "
    "(B, 3, H, W) in [-1, 1] says: v = -1 is the smallest, v = +1 is beta, and what is mixed are "
    "the logarithms. add_noise adds noise of that log-variance to the mean.",
    [
        Part(FILE, "posterior_variance"),
        Part(FILE, "learned_range_log_variance"),
        Part(FILE, "add_noise"),
    ],
)


@variance.check("posterior variance")
def variance_posterior(code):
    for abar, prev in LEVELS:
        due = (1 - prev) / (1 - abar) * (1 - abar / prev)
        got = code.posterior_variance(at(abar), at(prev))
        close(got, due, f"posterior_variance(abar = {abar}, abar_prev = {prev})")


@variance.check("v = -1 and v = +1 are the two ends")
def variance_ends(code):
    for abar, prev in LEVELS:
        beta = 1 - abar / prev
        small = (1 - prev) / (1 - abar) * beta
        for v, due in ((-1.0, small), (1.0, beta)):
            got = code.learned_range_log_variance(v * ones(), at(abar), at(prev))
            close(got, math.log(due), f"at v = {v:+.0f}, abar = {abar}, the log-variance")


@variance.check("in between, logarithms are mixed")
def variance_middle(code):
    for abar, prev in LEVELS:
        beta = 1 - abar / prev
        small = (1 - prev) / (1 - abar) * beta
        got = code.learned_range_log_variance(zeros(), at(abar), at(prev))
        due = math.log(math.sqrt(small * beta))
        close(got, due, f"at v = 0, abar = {abar}, the log-variance")


@variance.check("a step onto the clean picture has a finite log-variance")
def variance_last(code):
    got = code.learned_range_log_variance(-ones(), at(0.7), at(1.0))
    close(got, math.log(1e-20), "at abar_prev = 1 and v = -1, the log-variance")


@variance.check("noise is scaled by the standard deviation")
def variance_noise(code):
    for variance_, due in ((0.25, 0.5), (4.0, 2.0), (1e-4, 1e-2)):
        got = code.add_noise(zeros(), math.log(variance_) * ones(), ones())
        close(got, due, f"with mean 0, variance {variance_} and eps = 1, the result")
    (x,) = pictures("x")
    close(code.add_noise(x, zeros(), zeros()), x, "with eps = 0, the result")


@variance.trial
def variance_trial(code, draw):
    levels = draw.levels("abar", "abar_prev", onto_clean=True)
    return {"posterior_variance": code.posterior_variance(*levels)}


@variance.trial
def log_variance_trial(code, draw):
    v = (draw.picture("v") / 2).clamp(-1, 1).requires_grad_()
    levels = draw.levels("abar", "abar_prev", onto_clean=True)
    return {"the log-variance": code.learned_range_log_variance(v, *levels)}


@variance.trial
def add_noise_trial(code, draw):
    mean, log_variance = draw.picture("mean", grad=True), draw.picture("log_variance", grad=True)
    return {"the noised mean": code.add_noise(mean, log_variance - 2, draw.picture("eps"))}


# --- 1.6 ----------------------------------------------------------------------------------------

cfg = Exercise(
    "classifier_free_guidance",
    "1.6",
    "Combine the estimate for the empty prompt and the one for the prompt, both (B, C, H, W): "
    "equation A.4. scale 0 is the first, 1 is the second, 7 goes beyond it.",
    [Part(FILE, "classifier_free_guidance")],
)


@cfg.check("scale 0 ignores the prompt")
def cfg_zero(code):
    u, c = pictures("uncond", "cond")
    close(code.classifier_free_guidance(u, c, 0.0), u, "at scale 0, the estimate")


@cfg.check("scale 1 is the prompt's estimate")
def cfg_one(code):
    u, c = pictures("uncond", "cond")
    close(code.classifier_free_guidance(u, c, 1.0), c, "at scale 1, the estimate")


@cfg.check("scale 7 goes seven times as far")
def cfg_seven(code):
    got = code.classifier_free_guidance(2 * ones(), 3 * ones(), 7.0)
    close(got, 9.0, "with 2 for the empty prompt and 3 for the prompt, at scale 7, the estimate")


@cfg.check("where both agree, the scale does not matter")
def cfg_agree(code):
    (u,) = pictures("uncond")
    close(
        code.classifier_free_guidance(u, u.clone(), 7.0), u, "for two equal estimates, the result"
    )


@cfg.trial
def cfg_trial(code, draw):
    u, c = draw.picture("uncond", grad=True), draw.picture("cond", grad=True)
    scale = draw.choice("scale", (0.0, 1.0, 7.0, 2.5, 0, 5))
    return {"the estimate": code.classifier_free_guidance(u, c, scale)}


# --- A.0 ----------------------------------------------------------------------------------------

threshold = Exercise(
    "dynamic_threshold",
    "A.0",
    "Squeeze an over-guided estimate x0 (B, C, H, W) back into [-1, 1], as Imagen does: s is the "
    "ratio-quantile of |x0| of each picture, at least 1 and at most max_value; clip to [-s, s], "
    "then divide by s.",
    [Part(FILE, "dynamic_threshold")],
)


def ramp() -> torch.Tensor:
    """Two pictures whose |x| are 0..4 in 101 steps, and half as much; signs alternate."""
    one = torch.linspace(0, 4, 101, dtype=torch.float64)[:100].reshape(1, 1, 10, 10)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(50).reshape(1, 1, 10, 10)
    return torch.cat([one * signs, one * signs / 2])


@threshold.check("the result lies in [-1, 1]")
def threshold_range(code):
    got = code.dynamic_threshold(ramp(), 0.95, 10.0)
    true(
        float(got.abs().max()) <= 1 + 1e-9,
        f"the largest value is {float(got.abs().max()):.4g}; nothing may lie beyond 1",
    )


@threshold.check("a picture already within [-1, 1] is left alone")
def threshold_tame(code):
    x = ramp() / 4
    close(code.dynamic_threshold(x, 0.5, 1.5), x, "a picture within [-1, 1]")


@threshold.check("each picture has its own quantile of |x0|")
def threshold_quantile(code):
    x = ramp()
    got = code.dynamic_threshold(x, 0.5, 10.0)
    sign = mixed_sign(code, x, got)
    for row, s in ((0, 1.98), (1, 1.0)):  # the medians of |x| are 1.98 and 0.99
        close(got[row], x[row].clamp(-s, s) / s, f"picture {row}, whose s is {s},", 1e-5, **sign)


def mixed_sign(code, x: torch.Tensor, got: object) -> dict[str, str]:
    """A hint if a picture alone is squeezed in another way than in its batch, however written."""
    try:
        alone = torch.cat([code.dynamic_threshold(row, 0.5, 10.0) for row in x.split(1)])
        mixed = got.shape == alone.shape and not torch.allclose(got, alone, 1e-4, 1e-4)
    except Exception:  # the check itself says what is wrong
        return {}
    return named("threshold-one-for-the-batch") if mixed else {}


@threshold.check("s is at most max_value")
def threshold_top(code):
    x = ramp()
    due = x.clamp(-1.5, 1.5)[:1] / 1.5
    close(code.dynamic_threshold(x, 0.95, 1.5)[:1], due, "with max_value = 1.5, the picture", 1e-5)


@threshold.trial
def threshold_trial(code, draw):
    spreads = torch.tensor(draw.numbers("spreads", draw.batch, 0.3, 2.5), dtype=draw.dtype)
    x0 = draw.picture("x0", grad=True) * spreads[:, None, None, None]
    settings = draw.choice("settings", ((), (0.5, 5.0), (0.8, 1.2), (0.995, 3.0), (0.9,)))
    return {"the result": code.dynamic_threshold(x0, *settings)}
