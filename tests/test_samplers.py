"""Samplers: what they are to each other and to A.3, and where a perfect denoiser leads them."""

import math

import pytest
import torch
from layers import relative_error
from reference_files import read_reference
from sampler_steps import steps_by_rule
from torch import nn

from minidiff.deepfloyd.unet import Cond
from minidiff.equations import (
    ddim_step,
    dpm_step,
    dynamic_threshold,
    eps_from_x0,
    half_log_snr,
    static_threshold,
    x0_from_eps,
)
from minidiff.errors import UserError
from minidiff.guidance import CFG, Anagram, Plain
from minidiff.noise import SeededNoise
from minidiff.samplers import DDIM, DDPM, SAMPLERS, Course, DPMSolver, Heun, make_sampler
from minidiff.sampling import denoise, keep_outside, last, noised_start
from minidiff.schedule import (
    SPACINGS,
    cosine_schedule,
    course_pairs,
    even_timesteps,
    pipeline_pairs,
    spaced_timesteps,
    strided_timesteps,
)
from minidiff.views import FlipUpDown, View

SCHEDULE, SHAPE = cosine_schedule(), (3, 8, 8)
ALL = [*(make_sampler(name) for name in SAMPLERS), DDIM(1.0), DDIM(0.5), Course("large")]
WITHOUT_NOISE = [DDIM(), DPMSolver(), Heun()]
TEN = course_pairs(even_timesteps(10))


def nothing(rows: int) -> Cond:
    return Cond(torch.zeros(rows, 1), (), ())


class IdealDenoiser(nn.Module):
    """The best answer there is for a world of a few known pictures, in closed form and float64.

    The posterior mean of x0 is the mean of the pictures, each weighted by how likely x_t would be
    if it were the one behind the noise. v says the posterior's variance.
    """

    dtype = torch.float32

    def __init__(self, pictures):
        super().__init__()
        self.pictures, self.asked = pictures.double(), []

    def forward(self, x, t, cond):
        self.asked.append(int(t))
        abar, seen = SCHEDULE.abar(t, like=self.pictures), x.double()
        apart = seen[:, None] - abar[None] ** 0.5 * self.pictures[None]
        likely = -apart.square().sum((2, 3, 4)) / (2 * (1 - abar.flatten()))
        mean = torch.einsum("bn,nchw->bchw", likely.softmax(1), self.pictures)
        eps = eps_from_x0(seen, mean, abar)
        return torch.cat([eps, torch.full_like(eps, -1.0)], dim=1).to(x.dtype)


def world(count: int = 5):
    """A few pictures that are far apart, within [-1, 1]."""
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(3)) * 2 - 1


def walk(sampler, pairs, seeds=(1, 2, 3, 4), model=None, guidance=None, **options):
    """The steps of a walk from noise, and the model that was asked."""
    model, noise = model or IdealDenoiser(world()), SeededNoise(list(seeds), SHAPE)
    x = options.pop("x", None)
    x = noise.draw() if x is None else x
    guidance = guidance or Plain(nothing(len(seeds)))
    steps = denoise(model, SCHEDULE, x, pairs, guidance, noise, sampler=sampler, **options)
    return list(steps), model


def nearest(x, pictures):
    """For each row of x, which picture is nearest and its root mean square distance."""
    apart = (x[:, None] - pictures[None]).square().mean((2, 3, 4)).sqrt()
    return apart.argmin(1).tolist(), apart.amin(1)


# --- where they end ----------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [None, static_threshold, dynamic_threshold])
@pytest.mark.parametrize("steps", [4, 10, 33])
@pytest.mark.parametrize("sampler", ALL, ids=repr)
def test_an_ideal_denoiser_leads_every_walk_to_a_picture_of_its_world(sampler, steps, threshold):
    pictures, large = world(), sampler == Course("large")
    for spacing in SPACINGS:
        if large and spacing == "trailing":
            continue  # its last step ends on x0 from t > 0, and this variance is not 0 there
        pairs = pipeline_pairs(spaced_timesteps(steps, spacing))
        done, _ = walk(sampler, pairs, range(8), threshold=threshold)
        assert float(nearest(done[-1].x, pictures)[1].max()) < 0.005, spacing
    even = course_pairs(even_timesteps(steps))
    found, apart = nearest(walk(sampler, even, range(24))[0][-1].x, pictures)
    added = float((1 - SCHEDULE.abar(even[-1][0], like=pictures)) ** 0.5)
    # This walk ends at t = 0, with a trace of noise; "large" adds all of the last level's.
    assert float(apart.max()) < (1.5 * added if large else 0.02)
    assert len(set(found)) >= 3, "one picture for all seeds is no sampling"


@pytest.mark.parametrize("sampler", WITHOUT_NOISE, ids=repr)
def test_without_noise_the_start_decides_and_not_the_number_of_steps(sampler):
    walks = (walk(sampler, course_pairs(even_timesteps(n)), range(40))[0] for n in (15, 60))
    few, many = (nearest(steps[-1].x, world())[0] for steps in walks)
    assert sum(a == b for a, b in zip(few, many)) >= 38


class GaussianWorld(nn.Module):
    """The best denoiser for independent Gaussian pixels of spread 1/2: all is known exactly."""

    dtype, variance = torch.float64, 0.25

    def forward(self, x, t, cond):
        eps = (1 - SCHEDULE.abar(t, like=x)) ** 0.5 / self.spread(t, x) ** 2 * x
        return torch.cat([eps, 0 * eps], 1)

    def spread(self, t, x):
        """The standard deviation of x_t."""
        abar = SCHEDULE.abar(t, like=x)
        return (abar * self.variance + 1 - abar) ** 0.5


def test_twice_the_steps_halve_the_error_of_ddim_and_quarter_that_of_the_others():
    model, start, errors = GaussianWorld(), SeededNoise([1], SHAPE).draw().double(), {}
    exact = start * model.spread(200, start) / model.spread(900, start)
    for sampler in WITHOUT_NOISE:
        for n in (20, 40, 80):
            pairs = course_pairs([round(900 - 700 * i / n) for i in range(n + 1)])
            end = walk(sampler, pairs, [1], model, x=start)[0][-1].x
            errors[type(sampler), n] = float((end - exact).norm() / exact.norm())
    for kind, power in ((DDIM, 2), (DPMSolver, 4), (Heun, 3.5)):
        for n in (20, 40):
            assert errors[kind, n] / errors[kind, 2 * n] == pytest.approx(power, rel=0.15)
    assert errors[Heun, 20] < errors[DPMSolver, 20] / 3 < errors[DDIM, 20] / 10


# --- what they are to each other ----------------------------------------------------------------


@pytest.mark.parametrize("threshold", [None, static_threshold])
def test_ddim_with_eta_1_is_a_3_with_the_posterior_variance(threshold):
    options = {"guidance": CFG(nothing(4), nothing(4), 3.0), "threshold": threshold}
    for pairs in (course_pairs(), pipeline_pairs(spaced_timesteps(10))):
        ours, _ = walk(DDIM(1.0), pairs, **options)
        course, _ = walk(DDPM(), pairs, **options)
        for a, b in zip(ours, course):
            torch.testing.assert_close(a.x, b.x, atol=2e-4, rtol=1e-4)


def test_the_course_is_the_default_bit_for_bit():
    default, _ = walk(None, course_pairs())
    named, _ = walk(make_sampler("course"), course_pairs())
    assert all(torch.equal(a.x, b.x) for a, b in zip(default, named))
    for variance, v in (("small", -1.0), ("large", 1.0)):
        fixed, _ = walk(None, course_pairs(), fixed_v=v)
        for name in ("course", "ddpm"):
            other, _ = walk(make_sampler(name, variance=variance), course_pairs())
            assert torch.equal(fixed[-1].x, other[-1].x)
    small, _ = walk(make_sampler("ddpm"), course_pairs())
    assert torch.equal(small[-1].x, walk(DDPM("small"), course_pairs())[0][-1].x)


def test_the_first_and_the_last_step_of_dpm_are_ddim():
    x_t, x0 = (SeededNoise([seed], SHAPE).draw() for seed in (1, 2))
    for t, t_prev in ((990, 960), (500, 250), (30, 0), (30, -1)):
        abar, prev = SCHEDULE.abar(t, like=x_t), SCHEDULE.abar(t_prev, like=x_t)
        eps = eps_from_x0(x_t, x0, abar)
        ddim = ddim_step(x0, eps, torch.zeros_like(x0), abar, prev)
        torch.testing.assert_close(dpm_step(x_t, x0, abar, prev), ddim, atol=1e-6, rtol=1e-5)
    ddim, dpm = (walk(sampler, TEN)[0] for sampler in (DDIM(), DPMSolver()))
    torch.testing.assert_close(dpm[0].x, ddim[0].x, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(dpm[1].x, ddim[1].x, atol=1e-3)
    x, x0 = dpm[-2].x, dpm[-1].x0
    abar, prev = (SCHEDULE.abar(t, like=x) for t in TEN[-1])
    torch.testing.assert_close(dpm[-1].x, dpm_step(x, x0, abar, prev), atol=1e-4, rtol=0)


def test_dpm_carries_x0_on_by_the_log_of_its_levels():
    """Algorithm 2 of the paper, with its own letters."""
    x, x0, x0_last = (SeededNoise([seed], SHAPE).draw().double() for seed in (1, 2, 3))
    last_, now, prev = (SCHEDULE.abar(t, like=x) for t in (800, 700, 550))
    h, r = half_log_snr(prev) - half_log_snr(now), half_log_snr(now) - half_log_snr(last_)
    r = r / h
    d = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * x0_last
    sigma, sigma_prev = (1 - now) ** 0.5, (1 - prev) ** 0.5
    due = sigma_prev / sigma * x - prev**0.5 * ((-h).exp() - 1) * d
    torch.testing.assert_close(dpm_step(x, x0, now, prev, x0_last, last_), due)
    lam = math.log(float(now) ** 0.5 / (1 - float(now)) ** 0.5)
    assert float(half_log_snr(now)) == pytest.approx(lam)


def test_heun_asks_twice_a_step_and_once_at_the_end():
    steps, model = walk(Heun(), TEN)
    due = [t for pair in TEN[:-1] for t in pair] + [TEN[-1][0]]
    assert model.asked == due and len(due) == Heun().calls(10) == 19
    for sampler in (Course(), DDIM(), DPMSolver()):
        assert len(walk(sampler, TEN)[1].asked) == sampler.calls(10) == 10
    assert [step.t for step in steps] == [t for t, _ in TEN]


def test_eta_draws_noise_for_the_pictures_that_move_and_none_onto_the_clean_one():
    drawn = []

    class Counting(SeededNoise):
        def draw(self, rows=None):
            drawn.append(rows)
            return super().draw(rows)

    def rows_of(sampler):
        drawn.clear()
        noise, x = Counting([1, 2], SHAPE), torch.zeros(2, *SHAPE)
        pairs = pipeline_pairs(spaced_timesteps(4))
        model, plain = IdealDenoiser(world()), Plain(nothing(2))
        last(denoise(model, SCHEDULE, x, pairs, plain, noise, start=[0, 2], sampler=sampler))
        return list(drawn)

    assert rows_of(DDIM(1.0)) == [[0], [0], [0, 1]]
    assert rows_of(DDIM()) == rows_of(DPMSolver()) == rows_of(Heun()) == []


# --- with everything else -----------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ALL, ids=repr)
def test_pictures_that_join_later_are_drawn_as_if_alone(sampler):
    """One batch of three starts gives what three walks give: no memory is another picture's."""
    pairs, starts, original = course_pairs(even_timesteps(12)), [2, 0, 7], world(1)

    def edit(seeds, starts):
        noise = SeededNoise(seeds, SHAPE)
        x0 = original.expand(len(seeds), -1, -1, -1)
        x = noised_start(x0, pairs, starts, SCHEDULE, noise)
        plain, model = Plain(nothing(len(seeds))), IdealDenoiser(world())
        steps = denoise(
            model, SCHEDULE, x, pairs, plain, noise,
            start=starts, sampler=sampler, threshold=dynamic_threshold,
        )  # fmt: skip
        return last(steps)

    together = edit([5, 6, 7], starts)
    for row, (seed, start) in enumerate(zip([5, 6, 7], starts)):
        torch.testing.assert_close(together[row], edit([seed], [start])[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sampler", ALL, ids=repr)
def test_inpainting_keeps_what_is_outside_with_any_sampler(sampler):
    pictures, mask = world(), torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    noise = SeededNoise([4], SHAPE)
    keep = keep_outside(pictures[:1], mask, SCHEDULE, noise)
    pairs = pipeline_pairs(spaced_timesteps(20))
    done, _ = walk(sampler, pairs, [4], x=noise.draw(), after_step=keep)
    torch.testing.assert_close(done[-1].x[..., 4:], pictures[:1, ..., 4:], atol=1e-4, rtol=0)
    torch.testing.assert_close(done[-1].x, pictures[:1], atol=0.05, rtol=0)


@pytest.mark.parametrize("sampler", ALL, ids=repr)
def test_views_and_guidance_do_not_concern_a_sampler(sampler):
    twice = Anagram((nothing(4),) * 2, nothing(4), (View(), View()), 2.0)
    one, _ = walk(sampler, TEN, guidance=CFG(nothing(4), nothing(4), 2.0))
    two, _ = walk(sampler, TEN, guidance=twice)
    torch.testing.assert_close(one[-1].x, two[-1].x, atol=1e-4, rtol=1e-4)
    symmetric = IdealDenoiser((world() + world().flip(-2)) / 2)
    flipped = Anagram((nothing(4),) * 2, nothing(4), (View(), FlipUpDown()), 1.0)
    done, _ = walk(sampler, TEN, model=symmetric, guidance=flipped)
    bound = 0.25 if sampler == Course("large") else 0.02
    assert float(nearest(done[-1].x, symmetric.pictures.float())[1].max()) < bound


def test_a_sampler_serves_two_walks_at_once():
    for sampler in ALL:
        alone = walk(sampler, TEN)[0][-1].x
        noises = [SeededNoise([1, 2, 3, 4], SHAPE) for _ in range(2)]
        walks = [
            denoise(
                IdealDenoiser(world()), SCHEDULE, noise.draw(), TEN, Plain(nothing(4)), noise,
                sampler=sampler,
            )
            for noise in noises
        ]  # fmt: skip
        *_, (a, b) = zip(*walks)
        assert torch.equal(a.x, alone) and torch.equal(b.x, alone)


def test_a_threshold_changes_eps_with_x0():
    """Over-guided x0 is clipped, and the next picture is made of the clipped one and its noise."""
    guidance = CFG(nothing(2), nothing(2), 1.0)

    class TooStrong(IdealDenoiser):
        def forward(self, x, t, cond):
            return super().forward(x, t, cond) * 1.5

    for sampler in WITHOUT_NOISE[:2]:
        steps, _ = walk(
            sampler, TEN[4:], (1, 2), TooStrong(world()), guidance, threshold=static_threshold
        )
        first = steps[0]
        abar, prev = (SCHEDULE.abar(t, like=first.x) for t in (first.t, first.t_prev))
        clipped = x0_from_eps(first.x_t, first.eps, abar).clamp(-1, 1)
        torch.testing.assert_close(first.x0, clipped, atol=1e-5, rtol=0)
        eps = eps_from_x0(first.x_t, first.x0, abar)
        due = prev**0.5 * first.x0 + (1 - prev) ** 0.5 * eps
        torch.testing.assert_close(first.x, due, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(eps, first.eps, atol=0.1)


# --- parity with the committed reference outputs -------------------------------------------------

REFERENCE, _ = read_reference("samplers")
AS_REFERENCE = {
    "ddim eta 0": (DDIM(0.0), dynamic_threshold),
    "ddim eta 1": (DDIM(1.0), dynamic_threshold),
    "dpm++": (DPMSolver(), dynamic_threshold),
    "heun": (Heun(), static_threshold),
    "ddpm fixed_small": (DDPM("small"), static_threshold),
    "ddpm fixed_large": (DDPM("large"), static_threshold),
}


@pytest.mark.parametrize("key", sorted(key for key in REFERENCE if not key.endswith("/t")))
def test_every_step_is_the_reference_s(key):
    walk_name, name = key.split("/")
    sampler, limit = AS_REFERENCE[name.removesuffix(" limited")]
    timesteps = REFERENCE[f"{walk_name}/t"].tolist()
    ours = steps_by_rule(sampler, timesteps, limit if name.endswith("limited") else None)
    for t, x, reference in zip(timesteps, ours, REFERENCE[key], strict=True):
        # The reference's ddpm is in float32, where 1 - abar has few digits near t = 0.
        bound = 1e-4 if name.startswith("ddpm") and t <= 50 else 1e-5
        assert relative_error(x[..., ::2, 1], reference) < bound, f"from t = {t}"


@pytest.mark.parametrize("spacing", SPACINGS)
def test_spacings_are_the_reference_s(spacing):
    assert spaced_timesteps(10, spacing) == REFERENCE[f"{spacing} 10/t"].tolist()


# --- names and walks ----------------------------------------------------------------------------


def test_samplers_by_name():
    assert make_sampler() == Course() and make_sampler("ddim", eta=0.5) == DDIM(0.5)
    assert make_sampler("ddpm").variance == "small" and make_sampler("course").variance == "learned"
    for wrong, says in [
        ({"name": "euler"}, "no sampler is called 'euler'; known: course, ddpm, ddim, dpm"),
        ({"name": "heun", "eta": 0.5}, "heun has no eta: that is an option of ddim"),
        ({"name": "ddim", "variance": "small"}, "ddim has no variance: .* course and ddpm"),
        ({"name": "ddim", "eta": 1.5}, "eta is 0 .* not 1.5"),
        ({"name": "ddim", "eta": float("nan")}, "eta is 0 .* not nan"),
        ({"name": "ddpm", "variance": "medium"}, "variance is one of learned, small, large"),
    ]:  # fmt: skip
        with pytest.raises(UserError, match=says):
            make_sampler(**wrong)


def test_spacings_and_even_walks():
    assert spaced_timesteps(5) == [800, 600, 400, 200, 0]
    assert spaced_timesteps(5, "trailing") == [999, 799, 599, 399, 199]
    assert spaced_timesteps(5, "linspace") == [999, 749, 500, 250, 0]
    assert [spaced_timesteps(1, spacing) for spacing in SPACINGS] == [[0], [999], [0]]
    assert even_timesteps(33) == strided_timesteps()
    assert even_timesteps(4) == [990, 742, 495, 248, 0]
    for n in (1, 61, 103, 1000):
        for spacing in SPACINGS:
            made = spaced_timesteps(n, spacing)
            assert len(made) == n and len(pipeline_pairs(made)) == n
    for call in (spaced_timesteps, even_timesteps):
        with pytest.raises(UserError, match="steps must be 1 to"):
            call(0)
    with pytest.raises(UserError, match="steps must be 1 to 990, not 991"):
        even_timesteps(991)
    with pytest.raises(UserError, match="no spacing is called 'karras'; known: leading"):
        spaced_timesteps(10, "karras")
