"""Flow matching: the path, the steps, the models of the newer editions, and DDIM under its name.

Several checks are those of the course staff for autumn 2026.
"""

import math

import numpy as np
import pytest
import torch

from minidiff import equations as eq
from minidiff import ode
from minidiff.errors import UserError
from minidiff.mnist import ddpm, flow, unet
from minidiff.schedule import cosine_schedule, linear_schedule

PATHS = {  # alpha, sigma and their derivatives at u
    "linear": lambda u: (u, 1 - u, 1.0, -1.0),
    "cosine": lambda u: (
        math.sin(u * math.pi / 2),
        math.cos(u * math.pi / 2),
        math.pi / 2 * math.cos(u * math.pi / 2),
        -math.pi / 2 * math.sin(u * math.pi / 2),
    ),
}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


@pytest.fixture
def pair():
    return noise(2, 3, 8, 8), noise(2, 3, 8, 8, seed=1)  # x1, eps


# --- the path -------------------------------------------------------------------------------------


def test_path_ends_at_noise_and_at_the_picture(pair):
    x1, eps = pair
    assert torch.equal(eq.linear_path(x1, eps, 0.0), eps)
    assert torch.equal(eq.linear_path(x1, eps, 1.0), x1)


def test_velocity_is_the_slope_of_the_path(pair):
    x1, eps = pair
    ahead, behind = (eq.linear_path(x1, eps, 0.3 + d) for d in (1e-4, -1e-4))
    torch.testing.assert_close((ahead - behind) / 2e-4, eq.linear_velocity(x1, eps))


def test_every_picture_may_have_its_own_time(pair):
    x1, eps = pair
    both = eq.linear_path(x1, eps, torch.tensor([0.25, 0.75]).double()[:, None, None, None])
    torch.testing.assert_close(both[:1], eq.linear_path(x1[:1], eps[:1], 0.25))
    torch.testing.assert_close(both[1:], eq.linear_path(x1[1:], eps[1:], 0.75))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("u", [0.1, 0.5, 0.9])
def test_three_languages_say_the_same(pair, path, u):
    x1, eps = pair
    alpha, sigma, d_alpha, d_sigma = place = PATHS[path](u)
    x_t, v = alpha * x1 + sigma * eps, d_alpha * x1 + d_sigma * eps
    torch.testing.assert_close(eq.velocity_from_eps(x_t, eps, *place), v)
    torch.testing.assert_close(eq.velocity_from_x1(x_t, x1, *place), v)
    torch.testing.assert_close(eq.eps_from_velocity(x_t, v, *place), eps)
    torch.testing.assert_close(eq.x1_from_path_velocity(x_t, v, *place), x1)


def test_on_the_linear_path_the_general_equations_are_the_courses(pair):
    x1, eps = pair
    place = PATHS["linear"](0.3)
    x_t, v = eq.linear_path(x1, eps, 0.3), noise(2, 3, 8, 8, seed=3)
    torch.testing.assert_close(
        eq.x1_from_path_velocity(x_t, v, *place), eq.x1_from_velocity(x_t, v, 0.3)
    )
    torch.testing.assert_close(
        eq.score_from_velocity(x_t, v, 0.3), -eq.eps_from_velocity(x_t, v, *place) / 0.7
    )


def test_score_of_a_gaussian():
    """Data N(m, s^2): the marginal velocity and the score are both known in closed form."""
    m, s, t = 2.0, 0.5, 0.6
    x = torch.linspace(-3, 5, 9).double()
    variance = (t * s) ** 2 + (1 - t) ** 2
    x1 = m + t * s**2 / variance * (x - t * m)  # E[x1 | x]
    v = (x1 - x) / (1 - t)
    torch.testing.assert_close(eq.score_from_velocity(x, v, t), -(x - t * m) / variance)


def test_guidance_counts_from_the_conditional_velocity(pair):
    v_u, v_c = pair
    assert torch.equal(eq.guide_velocity(v_u, v_c, 0.0), v_c)
    guided = eq.guide_velocity(v_u, v_c, 7.0)
    torch.testing.assert_close(guided, eq.classifier_free_guidance(v_u, v_c, 8.0))


# --- walks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "updates"), [(0.0, 50), (0.5, 25), (0.93, 4), (0.02, 49)])
def test_updates_of_two_hundredths(start, updates):
    times = ode.step_times(start, 0.02)
    assert len(times) == updates + 1 and times[0] == start and times[-1] == 1.0
    assert max(np.diff(times)) <= 0.02 + 1e-9 and min(np.diff(times)) > 1e-9


def test_last_step_is_shortened():
    assert np.diff(ode.step_times(0.93, 0.02))[-1] == pytest.approx(0.01)
    assert ode.step_times(0.0, 1.0) == [0.0, 1.0]
    assert ode.step_times(0.5, 0.7) == [0.5, 1.0]


@pytest.mark.parametrize("num_steps", range(1, 400, 7))
def test_even_and_sized_steps_agree(num_steps):
    even = ode.even_times(num_steps)
    sized = ode.step_times(0.0, 1 / num_steps)
    assert even == pytest.approx(sized) and even[-1] == sized[-1] == 1.0


@pytest.mark.parametrize("walk", [ode.euler_walk, ode.midpoint_walk, ode.heun_walk])
def test_a_constant_field_has_its_answer(walk):
    field = noise(2, 3, 4, 4)
    start = noise(2, 3, 4, 4, seed=1)
    states = list(walk(lambda x, t: field, start, ode.step_times(0.25, 0.1)))
    torch.testing.assert_close(states[-1], start + 0.75 * field)
    assert torch.equal(states[0], start)


@pytest.mark.parametrize(
    ("walk", "order"), [(ode.euler_walk, 1), (ode.midpoint_walk, 2), (ode.heun_walk, 2)]
)
def test_order_of_the_error(walk, order):
    """dx/dt = x from 1: half the step divides the error by 2^order. (Heun's last step is Euler's,
    an error of order h^2 once, which keeps the order.)"""
    one = torch.ones(1).double()
    errors = [
        abs(float(ode.last(walk(lambda x, t: x, one, ode.even_times(n)))) - math.e)
        for n in (200, 400)
    ]
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.05)


@pytest.mark.parametrize("wrong", [(-0.1, 0.02), (1.0, 0.02), (0.0, 0.0), (0.0, -0.1), (0.0, 1.5)])
def test_times_that_make_no_walk_are_refused(wrong):
    with pytest.raises(UserError):
        ode.step_times(*wrong)
    with pytest.raises(UserError):
        ode.even_times(0)


def test_conditional_path_is_straight_and_the_marginal_one_bends():
    """Two pictures, +2 and -2, and the velocity that an ideal network would learn of them.

    Conditioned on its end, every particle goes straight. The mean over both ends is another field:
    a particle goes for the middle first and then turns. One Euler step lands on the mean.
    """
    ends = torch.tensor([-2.0, 2.0]).double()

    def marginal(x, t):
        weight = torch.softmax(-((x[:, None] - t * ends) ** 2) / (2 * (1 - t) ** 2), dim=1)
        x1 = (weight * ends).sum(1)
        return (x1 - x) / (1 - t)

    start = torch.tensor([0.1, -0.7, 1.5]).double()
    walk = torch.stack(list(ode.euler_walk(marginal, start, ode.even_times(400))))
    assert torch.allclose(walk[-1].abs(), torch.full((3,), 2.0).double(), atol=1e-3)
    assert torch.equal(walk[-1].sign(), start.sign())
    line = start + torch.linspace(0, 1, 401).double()[:, None] * (walk[-1] - start)
    assert (walk - line).abs().max() > 0.2  # it bends
    assert float(ode.last(ode.euler_walk(marginal, start, ode.even_times(1)))[0]) == 0
    to_end = ode.euler_walk(lambda x, t: ends[1] - start, start, ode.even_times(1))
    torch.testing.assert_close(ode.last(to_end), ends[1].expand(3))  # straight: one step will do


# --- Part B ---------------------------------------------------------------------------------------


def test_time_multiplies_in_the_flow_unet():
    torch.manual_seed(0)
    net = flow.TimeConditionalUNet(num_hiddens=4).eval()
    x, t = torch.rand(2, 1, 28, 28), torch.tensor([0.2, 0.9])
    x1, x2, x3, u = net.encode(x)
    up1 = net.up1(unet.concat(u * net.fc1_t(t[:, None]), x3)) * net.fc2_t(t[:, None])
    torch.testing.assert_close(net(x, t), net.decode(up1, x2, x1))
    plain = unet.TimeConditionalUNet(num_hiddens=4).eval()
    plain.load_state_dict(net.state_dict())  # the same weights, but time is added there
    assert not torch.allclose(net(x, t), plain(x, t))


def test_examples_are_points_of_the_path_and_their_velocity():
    x_1 = torch.rand(64, 1, 28, 28)
    (x_t, t), u = flow.flow_example(x_1, torch.Generator().manual_seed(1))
    assert float(t.min()) >= 0 and float(t.max()) < 1 and len(t.unique()) > 60
    x_0 = x_1 - u  # the noise
    assert abs(float(x_0.mean())) < 0.02 and float(x_0.std()) == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(x_t, eq.linear_path(x_1, x_0, t[:, None, None, None]))


def test_class_examples_drop_a_tenth():
    x_1, c = torch.zeros(4000, 1, 2, 2), torch.arange(4000) % 10
    (_, told, _, mask), _ = flow.class_flow_example(x_1, c, 0.1)
    assert torch.equal(told, c) and float((~mask).float().mean()) == pytest.approx(0.1, abs=0.02)


class Field(torch.nn.Module):
    """A UNet that answers with what it is told: for the loops' sake."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.asked = answer, []
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, *conditions):
        self.asked.append(conditions)
        return self.answer(x, *conditions) + 0 * self.weight


def test_time_sampling_goes_from_noise_along_the_velocity():
    net = Field(lambda x, t: torch.ones_like(x))
    x = flow.time_fm_sample(net, num_ts=5, seed=7, num_samples=2)
    start = torch.stack(
        [torch.randn(1, 28, 28, generator=torch.Generator().manual_seed(s)) for s in (7, 8)]
    )
    torch.testing.assert_close(x, start + 1)
    assert [round(float(t[0]), 6) for (t,) in net.asked] == [0, 0.2, 0.4, 0.6, 0.8]


def test_class_sampling_is_guided_and_keeps_its_way():
    net = Field(lambda x, c, t, m: torch.where(m[:, None, None, None] > 0, 2.0, 1.0).expand_as(x))
    final, caches = flow.class_fm_sample(
        net, torch.arange(3), num_ts=30, guidance_scale=4.0, seed=2
    )
    assert final.shape == (3, 1, 28, 28) and caches.shape == (3, 16, 1, 28, 28)
    torch.testing.assert_close(caches[:, -1], final)
    torch.testing.assert_close(final, caches[:, 0] + 1 + 4 * (2 - 1))


def test_modules_of_the_course():
    torch.manual_seed(1)
    timed = flow.TimeConditionalFM(flow.TimeConditionalUNet(num_hiddens=2), num_ts=2)
    classed = flow.ClassConditionalFM(unet.ClassConditionalUNet(num_hiddens=2), num_ts=2)
    x, c = torch.rand(4, 1, 28, 28), torch.arange(4)
    assert timed(x).ndim == 0 and classed(x, c).ndim == 0
    assert timed.sample((28, 28)).shape == (1, 1, 28, 28)
    assert classed.sample(c, (28, 28))[0].shape == (4, 1, 28, 28)


# --- Part A ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [cosine_schedule(), linear_schedule(num_timesteps=1000)])
def test_times_and_timesteps_have_equal_signal_to_noise(schedule):
    from minidiff.flow import time_at, timestep_at

    for k in (0, 1, 250, 500, 990):
        assert timestep_at(schedule, time_at(schedule, k)) == pytest.approx(k, abs=1e-6)
    falling = [timestep_at(schedule, t) for t in np.linspace(0, 1, 101)]
    assert all(a >= b for a, b in zip(falling[:-1], falling[1:]))
    assert falling[0] == 999 and falling[-1] == 0
    assert abs(timestep_at(cosine_schedule(), 0.5) - 495) < 1  # half and half


class Model:
    """Just enough of a model.Model for a view: a linear 'UNet' that depends on the timestep."""

    def __init__(self, dtype=torch.float64):
        self.schedule, self.dtype = cosine_schedule(), dtype
        self.fast_unet = self

    def __call__(self, x, t, cond):
        eps = 0.8 * x + 0.1 * torch.sin(torch.as_tensor(t).double() / 100)
        return torch.cat([eps, eps], dim=1)


class Asked:
    """A guidance with one prompt, whatever that is."""

    prompts = ()

    def pictures(self, x):
        return [x]

    def combine(self, answers):
        return answers[0]


def view_of(model, limit):
    from minidiff.flow import VelocityView

    view = VelocityView.__new__(VelocityView)
    view.model, view.guidance, view.limit = model, Asked(), limit
    view.prompts, view.first = None, 5e-5
    return view


def test_euler_in_flow_coordinates_is_ddim_in_the_others():
    """x_vp = x / s at every level; DDIM with eta = 0 written out, from its paper's eq. 12."""
    from minidiff.flow import time_at

    model = Model()
    timesteps = list(range(960, -1, -60))
    times = [time_at(model.schedule, k) for k in timesteps]
    start = noise(1, 3, 4, 4)
    euler = list(ode.euler_walk(view_of(model, limit=False), start, times))
    scales = [(t**2 + (1 - t) ** 2) ** 0.5 for t in times]
    x = start / scales[0]
    for k, k_next, s, state in zip(timesteps[:-1], timesteps[1:], scales[1:], euler[1:]):
        abar, abar_next = model.schedule.abars[k], model.schedule.abars[k_next]
        eps = model(x, k, None)[:, :3]
        x0 = (x - (1 - abar) ** 0.5 * eps) / abar**0.5
        x = abar_next**0.5 * x0 + (1 - abar_next) ** 0.5 * eps
        assert (state / s - x).abs().max() < 1e-5 * x.abs().max()


def test_velocity_is_finite_at_pure_noise_and_leads_to_a_picture():
    view = view_of(Model(), limit=True)
    x = noise(2, 3, 4, 4)
    for t in (0.0, 0.02, 0.5, 0.99):
        v = view(x, t)
        assert v.shape == x.shape and bool(v.isfinite().all())
        assert float((x + (1 - t) * v).abs().max()) <= 1 + 1e-9
    with pytest.raises(UserError):
        view(x, 1.0)


def test_demo_draws_in_flow_coordinates():
    """The staff's checks on the shipped model: shape, w = 0, and a picture after four updates."""
    import minidiff
    from minidiff import flow as part_a

    model = minidiff.load(device="cpu")
    text = model.encode(["a red apple", ""])
    x = noise(1, 3, 64, 64).float()
    plain = part_a.predict_velocity(model, text[:1])(x, 0.3)
    assert plain.shape == x.shape and bool(plain.isfinite().all())
    torch.testing.assert_close(part_a.cfg_velocity(model, text[:1], text[1:], w=0)(x, 0.3), plain)
    velocity = part_a.cfg_velocity(model, text[:1], text[1:])
    final, states = part_a.euler_sample(x, 0.93, 0.02, velocity)
    assert len(states) == 5 and float(final.abs().max()) <= 1 + 1e-5


def test_half_turn_twice_is_nothing():
    from minidiff.views import Rotate

    x = noise(1, 3, 6, 6)
    assert torch.equal(Rotate(180).view(Rotate(180).view(x)), x)
    assert torch.equal(Rotate(180).view(x), x.flip(-1, -2))


def test_ddpm_and_flow_count_time_in_opposite_directions():
    """The table of conventions in chapter 00, as code."""
    abars = ddpm.ddpm_schedule()["alpha_bars"]
    assert abars[0] > 0.99 > 0.1 > abars[-1]  # timestep 0 is nearly clean
    x1, eps = torch.ones(1), torch.zeros(1)
    assert float(eq.linear_path(x1, eps, 0.01)) < 0.1 < 0.99 <= float(eq.linear_path(x1, eps, 1.0))


# --- what students bring ----------------------------------------------------------------------


def tiny_nets():
    nets = flow.TimeConditionalUNet(num_hiddens=4), unet.ClassConditionalUNet(num_hiddens=4)
    return [net.eval() for net in nets]


X = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "given",
    [list(X), X.numpy(), X[:, 0], X.permute(0, 2, 3, 1), X.double(), X.half(), X[0]],
    ids=["list", "array", "no channel", "channels last", "float64", "half", "one picture"],
)
def test_pictures_of_every_usual_form_are_trained_on(given):
    timed, classed = tiny_nets()
    assert flow.time_fm_forward(timed, given).isfinite()
    c = torch.nn.functional.one_hot(torch.arange(len(given) if len(given) == 4 else 1), 10)
    assert flow.class_fm_forward(classed, given, c).isfinite()


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda t, c: flow.time_fm_forward(t, X * 255), "from 0"),
        (lambda t, c: flow.time_fm_forward(t, (X * 255).byte()), "255"),
        (lambda t, c: flow.time_fm_forward(t, X * float("nan")), "nan"),
        (lambda t, c: flow.time_fm_forward(t, (X, torch.arange(4))), "tuple"),
        (lambda t, c: flow.class_fm_forward(c, X, torch.arange(4), 300, 0.1), "p_uncond"),
        (lambda t, c: flow.class_fm_forward(c, X, [1, 2]), "4 pictures"),
        (lambda t, c: flow.time_fm_sample(t, num_ts=2.5), "num_ts"),
        (lambda t, c: flow.time_fm_sample(t, (28, 28, 1), 2), "img_wh"),
        (lambda t, c: flow.time_fm_sample(t, num_ts=2, seed=None), "seed"),
        (lambda t, c: flow.class_fm_sample(c, [1, 2], num_ts=2, guidance_scale=[1, 2, 3]), "scale"),
        (lambda t, c: flow.class_fm_sample(c, 4, num_ts=2, guidance_scale=math.nan), "finite"),
        (lambda t, c: flow.class_fm_sample(c, 4, num_ts=0), "one step"),
        (lambda t, c: t(X, torch.full((4,), 25.0)), "num_ts"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call(*tiny_nets())


def test_samples_are_ordinary_tensors():
    timed, _ = tiny_nets()
    x = flow.time_fm_sample(timed, num_ts=2).clamp_(0, 1)
    scale = torch.ones(1, requires_grad=True)
    (x * scale).sum().backward()
    assert scale.grad.isfinite()


@pytest.mark.parametrize("num_ts, frames", [(2, 3), (15, 16), (20, 16), (29, 16), (30, 16)])
def test_the_way_has_sixteen_frames_at_most(num_ts, frames):
    final, way = flow.class_fm_sample(tiny_nets()[1], 4, num_ts=num_ts)
    assert way.shape == (1, frames, 1, 28, 28) and torch.equal(way[:, -1], final)


def test_weights_of_the_other_edition_are_refused():
    """Its class is the same, and its pictures would be noise."""
    _, classed = tiny_nets()
    classed.answers = "noise"  # as load_model marks the DDPM's
    with pytest.raises(UserError, match="answer with the noise.*flow-class"):
        flow.class_fm_sample(classed, 4, num_ts=2)
    classed.answers = "velocity"
    with pytest.raises(UserError, match="answer with the velocity"):
        ddpm.class_ddpm_sample(classed, ddpm.ddpm_schedule(), 4)
