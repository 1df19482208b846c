"""The step equations in float64: round trips, coefficients, end points, and the known traps."""

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minidiff import equations as eq
from minidiff.schedule import cosine_schedule, linear_schedule

COSINE, LINEAR = cosine_schedule(), linear_schedule()
# A later and an earlier level: 0 <= t_prev < t, or -1 for the clean picture.
steps = st.tuples(st.integers(0, 999), st.integers(-1, 998)).filter(lambda p: p[1] < p[0])
seeds = st.integers(0, 2**31)
some = settings(max_examples=60, deadline=None, derandomize=True)


def picture(seed: int, count: int = 1, shape=(2, 3, 4, 4)) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count)]


def abar(t: int, schedule=COSINE) -> torch.Tensor:
    return schedule.abar(t, like=torch.zeros((), dtype=torch.float64))


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-9) -> bool:
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance)


# --- forward process and its inverse ----------------------------------------------------------


@some
@given(seeds, st.integers(-1, 999))
def test_x0_comes_back_from_its_noise(seed, t):
    x0, eps = picture(seed, 2)
    x_t = eq.forward_process(x0, abar(t), eps)
    # Where abar is 2e-9, as at 999, x0 is multiplied by 5e-5 and loses that many digits.
    assert close(eq.x0_from_eps(x_t, eps, abar(t)), x0, 1e-13 / float(abar(t)) ** 0.5 + 1e-13)


def test_forward_process_ends():
    x0, eps = picture(0, 2)
    assert torch.equal(eq.forward_process(x0, abar(-1), eps), x0)
    assert close(eq.forward_process(x0, abar(999), eps), eps, 1e-3)


@some
@given(st.integers(0, 999))
def test_forward_process_keeps_unit_variance(t):
    """sqrt(abar)^2 + sqrt(1 - abar)^2 = 1: a picture of variance 1 stays one."""
    one, zero = torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, 1)
    signal = eq.forward_process(one, abar(t), zero)
    noise = eq.forward_process(zero, abar(t), one)
    assert float(signal**2 + noise**2) == pytest.approx(1, abs=1e-12)


@some
@given(seeds, st.integers(0, 299))
def test_noising_in_one_jump_or_step_by_step_has_the_same_distribution(seed, t):
    """x_t = sqrt(1 - beta) x_{t-1} + sqrt(beta) eps, t + 1 times: same mean and same variance."""
    (x0,) = picture(seed)
    mean, variance = x0, torch.zeros_like(x0)
    for beta in LINEAR.betas[: t + 1]:
        mean, variance = (1 - beta) ** 0.5 * mean, (1 - beta) * variance + beta
    level = abar(t, LINEAR)
    zeros, ones = torch.zeros_like(x0), torch.ones_like(x0)
    assert close(eq.forward_process(x0, level, zeros), mean)
    assert close(eq.forward_process(zeros, level, ones) ** 2, variance)


# --- the posterior ----------------------------------------------------------------------------


@some
@given(seeds, steps)
def test_posterior_is_bayes_rule(seed, pair):
    """q(x_prev | x_t, x0) is proportional to q(x_t | x_prev) q(x_prev | x0), two Gaussians."""
    x_t, x0 = picture(seed, 2)
    now, before = abar(pair[0]), abar(pair[1])
    if pair[1] == -1:
        assert close(eq.posterior_mean(x_t, x0, now, before), x0)
        assert float(eq.posterior_variance(now, before)) == 0
        return
    alpha = now / before
    # precision and weighted mean of the two factors, as functions of x_prev
    precision = alpha / (1 - alpha) + 1 / (1 - before)
    mean = (alpha**0.5 * x_t / (1 - alpha) + before**0.5 * x0 / (1 - before)) / precision
    assert close(eq.posterior_mean(x_t, x0, now, before), mean, 1e-7)
    assert float(eq.posterior_variance(now, before)) == pytest.approx(
        float(1 / precision), rel=1e-6
    )


@some
@given(seeds, steps)
def test_posterior_keeps_the_marginal(seed, pair):
    """Drawing x_prev from the posterior of a noised x0 gives a draw of the forward process."""
    (x0,) = picture(seed)
    now, before = abar(pair[0]), abar(pair[1])
    zeros = torch.zeros_like(x0)
    mean = eq.posterior_mean(eq.forward_process(x0, now, zeros), x0, now, before)
    assert close(mean, eq.forward_process(x0, before, zeros), 1e-8)
    from_x_t = eq.posterior_mean(torch.ones_like(x0), zeros, now, before)
    variance = from_x_t**2 * (1 - now) + eq.posterior_variance(now, before)
    assert close(variance, (1 - before).expand_as(variance), 1e-8)


def test_strides_use_the_beta_of_the_whole_stride():
    """Trap: from 990 to 960, beta is 1 - abar_990 / abar_960 = 0.94, not beta_990 = 0.18."""
    now, before = abar(990), abar(960)
    whole, single = float(1 - now / before), float(COSINE.betas[990])
    assert whole > 0.9 > 0.3 > single
    largest = eq.learned_range_log_variance(torch.ones(1, dtype=torch.float64), now, before)
    assert math.exp(float(largest)) == pytest.approx(whole)
    x0_share = eq.posterior_mean(torch.zeros(1), torch.ones(1), now, before)
    assert float(x0_share) == pytest.approx(float(before**0.5 * whole / (1 - now)), rel=1e-6)


# --- variance ---------------------------------------------------------------------------------


@some
@given(steps, st.floats(-1, 1))
def test_learned_variance_is_mixed_in_log_space(pair, v):
    """Trap: v mixes logarithms. -1 is the posterior variance, +1 is beta, 0 the geometric mean."""
    now, before = abar(pair[0]), abar(pair[1])

    def log_variance(x: float) -> float:
        return float(eq.learned_range_log_variance(torch.tensor(x).double(), now, before))

    largest = math.log(float(1 - now / before))
    smallest = math.log(max(float(eq.posterior_variance(now, before)), 1e-20))
    assert log_variance(1) == pytest.approx(largest, abs=1e-9)
    assert log_variance(-1) == pytest.approx(smallest, abs=1e-9)
    assert log_variance(v) == pytest.approx(
        (1 + v) / 2 * largest + (1 - v) / 2 * smallest, abs=1e-6
    )


def test_log_variance_of_the_last_step_is_finite():
    """Onto x0 the posterior variance is 0, whose logarithm would be -inf."""
    v = torch.linspace(-1, 1, 5, dtype=torch.float64)
    assert eq.learned_range_log_variance(v, abar(0), abar(-1)).isfinite().all()


def test_noise_is_scaled_by_the_standard_deviation():
    """Trap: exp(log_variance / 2), not the variance and not its logarithm."""
    noise = torch.full((1,), 3.0)
    moved = eq.add_noise(torch.ones(1), torch.tensor([math.log(0.25)]), noise)
    assert float(moved) == pytest.approx(1 + 0.5 * 3)


# --- guidance ---------------------------------------------------------------------------------


@some
@given(seeds, st.floats(-3, 12))
def test_guidance_is_a_line_through_both_estimates(seed, scale):
    uncond, cond = picture(seed, 2)
    guided = eq.classifier_free_guidance(uncond, cond, scale)
    assert close(guided, (1 - scale) * uncond + scale * cond)


def test_guidance_ends():
    uncond, cond = picture(1, 2)
    assert torch.equal(eq.classifier_free_guidance(uncond, cond, 0), uncond)
    assert close(eq.classifier_free_guidance(uncond, cond, 1), cond)


def test_anagram_estimate_is_the_mean():
    a, b = picture(2, 2)
    assert close(eq.anagram_estimate([a, b]), (a + b) / 2)
    assert close(eq.anagram_estimate([a]), a)


@some
@given(seeds)
def test_hybrid_of_one_estimate_with_itself_changes_nothing(seed):
    """Low-pass plus high-pass is everything, whatever the filter."""
    (eps,) = picture(seed)

    def low_pass(x):
        return x.roll(1, dims=-1) * 0.3 + x * 0.5

    assert close(eq.hybrid_estimate(eps, eps, low_pass), eps)


def test_hybrid_takes_low_of_the_far_and_high_of_the_near():
    far, near = picture(3, 2)

    def average(x):
        return x.mean(dim=(-2, -1), keepdim=True).expand_as(x)

    mixed = eq.hybrid_estimate(far, near, average)
    assert close(average(mixed), average(far))
    assert close(mixed - average(mixed), near - average(near))


# --- thresholding and inpainting --------------------------------------------------------------


def test_threshold_leaves_a_picture_in_range_alone():
    x0 = picture(4)[0].clamp(-1, 1)
    assert close(eq.dynamic_threshold(x0, max_value=1.5), x0, 0)


@some
@given(seeds, st.floats(0.1, 20), st.floats(1, 3))
def test_threshold_bounds_every_picture_by_itself(seed, size, largest):
    """Trap: the quantile is taken per picture, is at least 1 and at most max_value."""
    x0 = picture(seed)[0] * size
    together = eq.dynamic_threshold(x0, 0.95, largest)
    assert float(together.abs().max()) <= 1
    for i in range(2):
        s = float(torch.quantile(x0[i].abs().float().flatten(), 0.95))
        s = min(max(s, 1), largest)
        assert close(together[i], x0[i].clamp(-s, s) / s, 1e-6)


def test_threshold_keeps_its_dtype():
    """Trap: torch.quantile wants float32; half-precision pictures must not come back as float32."""
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        assert eq.dynamic_threshold(torch.ones(2, 3, 4, 4, dtype=dtype) * 3).dtype == dtype


def test_inpainting_is_new_where_the_mask_is_one():
    new, original = picture(5, 2)
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.float64)
    mask[..., :2] = 1
    blended = eq.inpaint_blend(new, original, mask)
    assert torch.equal(blended[..., :2], new[..., :2])
    assert torch.equal(blended[..., 2:], original[..., 2:])


# --- Part B and training ----------------------------------------------------------------------


@some
@given(seeds, st.integers(0, 299))
def test_mnist_step_is_algorithm_two_of_ddpm(seed, t):
    """(x_t - beta / sqrt(1 - abar) eps) / sqrt(alpha) + sqrt(beta) z: the same, without x0."""
    x_t, eps, z = picture(seed, 3)
    now, before = abar(t, LINEAR), abar(t - 1, LINEAR)
    alpha = now / before
    beta = 1 - alpha
    by_paper = (x_t - beta / (1 - now) ** 0.5 * eps) / alpha**0.5 + beta**0.5 * z
    assert close(eq.ddpm_step(x_t, eps, z, now, before), by_paper, 1e-8)


def test_mnist_last_step_is_its_estimate_of_x0():
    x_t, eps = picture(6, 2)
    last = eq.ddpm_step(x_t, eps, torch.zeros_like(x_t), abar(0, LINEAR), abar(-1, LINEAR))
    assert close(last, eq.x0_from_eps(x_t, eps, abar(0, LINEAR)))


@some
@given(seeds)
def test_kl_is_that_of_torch(seed):
    mean, log_var, mean2, log_var2 = picture(seed, 4, (5,))
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (0.5 * log_var).exp()),
        torch.distributions.Normal(mean2, (0.5 * log_var2).exp()),
    )
    assert close(eq.gaussian_kl(mean, log_var, mean2, log_var2), expected)
    assert close(eq.gaussian_kl(mean, log_var, mean, log_var), torch.zeros_like(mean))


# --- the file as a whole ----------------------------------------------------------------------

EQUATIONS = [
    f for _, f in inspect.getmembers(eq, inspect.isfunction) if f.__module__ == eq.__name__
]


@pytest.mark.parametrize("function", EQUATIONS, ids=lambda f: f.__name__)
def test_equations_change_none_of_their_inputs_and_are_short(function):
    names = inspect.signature(function).parameters
    given_ = {name: argument(name) for name in names}
    copies = {k: v.clone() for k, v in given_.items() if isinstance(v, torch.Tensor)}
    first, second = function(**given_), function(**given_)
    assert torch.equal(first, second), "an equation draws no random numbers"
    assert all(torch.equal(given_[k], copies[k]) for k in copies)
    text = inspect.getsource(function)  # its docstring as written: __doc__ is dedented from 3.13 on
    code = text.replace(text.split('"""')[1], "")
    assert len(code.strip().splitlines()) <= 17, "an equation is at most 15 lines and its docstring"


def argument(name: str):
    """Something that fits a parameter of that name."""
    numbers = {"scale": 7.0, "ratio": 0.95, "max_value": 1.5, "eta": 0.5, "limit": 1.0}
    if name in numbers:
        return numbers[name]
    levels = {"abar": 500, "abar_prev": 470, "abar_last": 530}
    if name in levels:
        return abar(levels[name])
    if name == "low_pass":
        return lambda x: x / 2
    if name == "estimates":
        return picture(7, 2)
    return picture(len(name))[0]


@some
@given(st.lists(st.integers(0, 999), min_size=2, max_size=2))
def test_every_picture_of_a_batch_may_have_its_own_t(ts):
    x0, eps = picture(8, 2)
    levels = COSINE.abar(torch.tensor(ts), like=x0)
    together = eq.forward_process(x0, levels, eps)
    for i, t in enumerate(ts):
        assert close(together[i], eq.forward_process(x0[i], abar(t), eps[i]))


def test_the_one_step_denoiser_gets_noise_that_is_added_and_nothing_scaled():
    x, noise = picture(3, 2)
    assert close(eq.add_sigma_noise(x, 0.5, noise), x + noise / 2)
    sigmas = torch.tensor([0.0, 2.0], dtype=torch.float64)[:, None, None, None]
    noised = eq.add_sigma_noise(x, sigmas, noise)
    assert torch.equal(noised[0], x[0]) and close(noised[1], x[1] + 2 * noise[1])
