"""Part B's schedule, corruption and samplers, against values worked out by hand."""

import pytest
import torch
from torch import nn

from minidiff.equations import add_sigma_noise, forward_process
from minidiff.errors import UserError
from minidiff.mnist import ddpm
from minidiff.mnist.ddpm import ddpm_schedule
from minidiff.noise import SeededNoise


def test_schedule_values():
    schedule = ddpm_schedule()
    betas, abars = schedule["betas"], schedule["alpha_bars"]
    assert len(betas) == 300
    assert (betas[0].item(), betas[-1].item()) == pytest.approx((1e-4, 0.02))
    assert betas.diff().std() < 1e-8  # equal steps
    torch.testing.assert_close(schedule["alphas"], 1 - betas)
    known = {0: 0.9999, 74: 0.825, 149: 0.467, 224: 0.181, 299: 0.0481}
    assert {t: abars[t].item() for t in known} == pytest.approx(known, abs=5e-4)


@pytest.mark.parametrize("wrong", [(0.02, 1e-4, 300), (0.0, 0.02, 300), (1e-4, 1.0, 300)])
def test_wrong_schedules_are_refused(wrong):
    with pytest.raises(UserError, match="beta1 < beta2"):
        ddpm_schedule(*wrong)


def test_denoiser_example_adds_noise_without_scaling():
    x = torch.rand(400, 1, 28, 28)
    (z,), target = ddpm.denoiser_example(x, 0.5, torch.Generator().manual_seed(1))
    assert target is x
    assert (z - x).std().item() == pytest.approx(0.5, rel=0.01)
    torch.testing.assert_close(add_sigma_noise(x, 0.0, torch.randn_like(x)), x)


def test_ddpm_example_inverts_to_its_noise():
    """t is drawn per picture over all of 0..T-1, and x_t is made with the abar of that t."""
    schedule, x_0 = ddpm_schedule(), torch.rand(3000, 1, 28, 28)
    (x_t, t), eps = ddpm.ddpm_example(schedule, x_0, torch.Generator().manual_seed(1))
    steps = (t * 300).round().long()
    assert t.shape == (3000,) and (steps.min(), steps.max()) == (0, 299)
    assert len(steps.unique()) > 290
    abar = schedule["alpha_bars"][steps][:, None, None, None]
    torch.testing.assert_close(x_t, forward_process(x_0, abar, eps))
    assert eps.std().item() == pytest.approx(1, rel=0.01)


def test_class_example_drops_one_in_ten():
    c = torch.arange(20_000) % 10
    (_, told, _, mask), _ = ddpm.class_ddpm_example(
        ddpm_schedule(), torch.zeros(20_000, 1, 1, 1), c, 0.1, torch.Generator().manual_seed(1)
    )
    assert torch.equal(told, c)
    assert mask.shape == c.shape
    assert mask.float().mean().item() == pytest.approx(0.9, abs=0.01)


class Constant(nn.Module):
    """Answers always the same and remembers what it was asked."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.asked = nn.Parameter(torch.tensor(float(answer))), []

    def forward(self, x, *conditions):
        self.asked.append((self.training, *conditions))
        return self.answer.expand_as(x)


def test_forward_is_the_mean_squared_error_in_train_mode():
    unet, x_0 = Constant(0.0).eval(), torch.rand(500, 1, 28, 28)
    loss = ddpm.ddpm_forward(unet, ddpm_schedule(), x_0)
    assert loss.item() == pytest.approx(1, abs=0.01)  # the variance of the noise
    assert unet.asked[0][0] is True
    c = torch.zeros(500, dtype=torch.long)
    loss = ddpm.class_ddpm_forward(Constant(1.0), ddpm_schedule(), x_0, c, 0.1)
    assert loss.item() == pytest.approx(2, abs=0.02)


def test_num_ts_must_fit_the_schedule():
    for call in (ddpm.ddpm_forward, ddpm.ddpm_sample):
        with pytest.raises(UserError, match="num_ts is 100 but the schedule has 300"):
            call(Constant(0.0), ddpm_schedule(), torch.rand(1, 1, 28, 28), num_ts=100)


def test_sampler_reaches_the_picture_that_an_oracle_knows():
    """With the true noise as the estimate, the walk ends at that clean picture exactly."""
    schedule, x_0 = ddpm_schedule(), torch.rand(2, 1, 28, 28)

    def oracle(x_t, t):
        abar = schedule["alpha_bars"][(t * 300).round().long()][:, None, None, None]
        return (x_t - abar**0.5 * x_0) / (1 - abar) ** 0.5

    noise = SeededNoise([1, 2], (1, 28, 28))
    states = list(ddpm.denoising_walk(oracle, schedule, noise))
    assert len(states) == 301
    torch.testing.assert_close(states[-1], x_0, rtol=0, atol=1e-4)


def test_last_step_adds_no_noise_and_draws_none():
    schedule, drawn = ddpm_schedule(num_ts=5), []
    noise = SeededNoise([1], (1, 28, 28))
    draw = noise.draw
    noise.draw = lambda: (drawn.append(1), draw())[1]
    states = list(ddpm.denoising_walk(lambda x, t: torch.zeros_like(x), schedule, noise))
    assert len(drawn) == 5  # x_T and four steps; the fifth step has none
    expected = states[-2] / schedule["alpha_bars"][0] ** 0.5
    torch.testing.assert_close(states[-1], expected)


def test_step_noise_has_variance_beta():
    """Not the posterior's smaller variance: checked on the first step, where they differ least."""
    schedule = ddpm_schedule(0.1, 0.5, 3)
    noise = SeededNoise(list(range(300)), (1, 28, 28))
    x_T, x, *_ = ddpm.denoising_walk(lambda x, t: torch.zeros_like(x), schedule, noise)
    predictable = (x * x_T).mean() / (x_T**2).mean() * x_T
    assert (x - predictable).var().item() == pytest.approx(0.5, rel=0.02)


def test_timesteps_are_told_normalized_and_in_falling_order():
    unet = Constant(0.0)
    ddpm.ddpm_sample(unet, ddpm_schedule(num_ts=4), num_ts=4, num_samples=2)
    assert [t.tolist() for _, t in unet.asked] == [[0.75] * 2, [0.5] * 2, [0.25] * 2, [0.0] * 2]
    assert not any(training for training, _ in unet.asked)


class ClassNoise(nn.Module):
    """Estimates c where the class is told and -1 where it is not."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x, c, t, mask):
        told = torch.where(mask > 0, c.float(), -torch.ones(len(c)))
        return told[:, None, None, None].expand_as(x)


def test_guidance_pushes_away_from_the_unconditional_estimate():
    """One scale per picture: 0 is unconditional, 1 conditional, 5 is eps_u + 5 (eps_c - eps_u)."""
    schedule, c = ddpm_schedule(num_ts=2), torch.tensor([3, 3, 3])
    scales = torch.tensor([0.0, 1.0, 5.0])
    x_T, x, _ = ddpm.class_walk(ClassNoise(), schedule, c, [7, 7, 7], scales)
    walks = [
        ddpm.denoising_walk(
            lambda x, t, eps=eps: torch.full_like(x, eps), schedule, SeededNoise([7], (1, 28, 28))
        )
        for eps in (-1.0, 3.0, -1 + 5 * (3 - -1))
    ]
    expected = torch.cat([list(walk)[1] for walk in walks])
    torch.testing.assert_close(x, expected)
    assert torch.equal(x_T[0], x_T[1])


def test_a_picture_depends_on_its_seed_alone():
    model = Constant(0.1)
    schedule = ddpm_schedule(num_ts=10)
    three = ddpm.ddpm_sample(model, schedule, num_ts=10, seed=5, num_samples=3)
    one = ddpm.ddpm_sample(model, schedule, num_ts=10, seed=6)
    assert three.shape == (3, 1, 28, 28)
    torch.testing.assert_close(three[1:2], one)
    c = torch.tensor([1, 2])
    two = ddpm.class_ddpm_sample(ClassNoise(), schedule, c, num_ts=10, seed=6)
    again = ddpm.class_ddpm_sample(ClassNoise(), schedule, c[1:], num_ts=10, seed=7)
    torch.testing.assert_close(two[1:], again)
