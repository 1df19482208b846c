"""Flow matching, the newer editions: the path, its velocity, Euler, conditioning, guidance.

t = 0 is noise and t = 1 is clean in all of these.
"""

from functools import partial

import torch
from torch import Tensor

from minidiff.grade.checks import flow_signs as signs
from minidiff.grade.checks import masks
from minidiff.grade.checks.ddpm import Answering, Told, clean, honoured, training_batch
from minidiff.grade.exercises import Exercise, Part
from minidiff.grade.expect import REFUSED, close, equal, true
from minidiff.grade.inputs import ENDS, fill, ruled_torch, values

EQUATIONS, FLOW = "minidiff/equations.py", "minidiff/mnist/flow.py"
ODE, UNET = "minidiff/ode.py", "minidiff/mnist/unet.py"
SHAPE = (2, 3, 4, 4)


def pictures(*names: str) -> list[Tensor]:
    return [values(name, *SHAPE) for name in names]


# --- the path -------------------------------------------------------------------------------------

path = Exercise(
    "flow_interpolate",
    "fa26 1.1",
    "Equation A.1 of autumn 2026 (B.3 in Part B): the point at time t of the straight way from "
    "the noise eps, t = 0, to the clean picture x1, t = 1. t is a number or one per picture, "
    "(B, 1, 1, 1).",
    [Part(EQUATIONS, "linear_path")],
)


@path.check("t = 1 is the picture, t = 0 the noise")
def path_ends(code):
    x1, eps = pictures("x1", "eps")
    close(code.linear_path(x1, eps, 1.0), x1, "at t = 1, the point")
    close(code.linear_path(x1, eps, 0.0), eps, "at t = 0, the point")


@path.check("in between, the two are mixed in straight proportion")
def path_mix(code):
    x1, eps = pictures("x1", "eps")
    for t in (0.1, 0.25, 0.5, 0.9):
        close(code.linear_path(x1, eps, t), (1 - t) * eps + t * x1, f"at t = {t}, the point")


@path.trial
def path_trial(code, draw):
    x1, eps = draw.picture("x1", grad=True), draw.picture("eps", grad=True)
    return {"the point": code.linear_path(x1, eps, draw.time("t"))}


# --- B.2.2: what is learned -----------------------------------------------------------------------

target = Exercise(
    "flow_velocity",
    "fa25 B.2.2",
    "Algorithm B.1 of the flow editions. linear_velocity is the slope of the path from the "
    "noise eps to the picture x1. flow_example draws a time t in [0, 1) with torch.rand for "
    "each clean picture x_1 (N, 1, H, W), and noise x_0, and gives ((x_t, t), velocity): what "
    "the UNet is called with, t as (N,), and what it should answer. time_fm_forward sets the "
    "UNet to training and gives the mean square, squared_error; num_ts has no part in it.",
    [
        Part(EQUATIONS, "linear_velocity"),
        Part(FLOW, "flow_example"),
        Part(FLOW, "time_fm_forward"),
    ],
)


@target.check("the velocity leads from the noise to the picture")
def target_direction(code):
    x1, eps = pictures("x1", "eps")
    close(eps + code.linear_velocity(x1, eps), x1, "noise plus velocity")


@target.check("every picture has its own time in [0, 1)")
def target_times(code):
    (_, t), _ = code.flow_example(torch.zeros(4096, 1, 1, 1, dtype=torch.float64))
    sign, due = signs.times_sign(t), (4096,)
    equal(tuple(getattr(t, "shape", ())), due, "the shape of t for 4096 pictures", **sign)
    low, high, mean = float(t.min()), float(t.max()), float(t.double().mean())
    where = f"t lies in {low:.3g} to {high:.3g}; it should lie in [0, 1)"
    true(0 <= low and high <= 1, where, **sign)
    many = f"t has {len(t.unique())} different values for 4096 pictures"
    many = many.replace(" 1 different values", " one value")
    true(len(t.unique()) > 1000 and not sign, many, **sign)
    spread = float(t.double().std())
    true(
        abs(mean - 0.5) < 0.03 and abs(spread - 12**-0.5) < 0.02,
        f"t has mean {mean:.3f} and spread {spread:.3f}; a uniform one has 0.5 and 0.289",
    )
    reaches_both_ends(code)


def reaches_both_ends(code) -> None:
    """Whether the numbers nearest to 0 and 1 that torch.rand gives are kept as they are."""
    with ruled_torch(ends=True) as streams:
        (_, t), _ = code.flow_example(torch.zeros(64, 1, 1, 1, dtype=torch.float64))
    low, high = float(t.min()), float(t.max())
    true(
        not streams.states.keys() & {"uniform none"} or (low < 1e-6 and high > 1 - 1e-6),
        f"where torch.rand draws 0 and {ENDS[1]:.8f}, t is {low:.8g} and {high:.8g}",
        **signs.named("time-kept-from-the-ends"),
    )


@target.check("the noise has variance 1")
def target_noise(code):
    _, u = code.flow_example(torch.zeros(4096, 1, 4, 4, dtype=torch.float64))
    spread, mean = float(u.double().std()), float(u.double().mean())
    true(0.97 < spread < 1.03, f"the noise has standard deviation {spread:.3g}; it should have 1")
    true(abs(mean) < 0.03, f"the noise has mean {mean:.3g}; it should have 0")


@target.check("x_t lies on the way whose slope is the target")
def target_consistent(code):
    (x_t, t), u = code.flow_example(clean())
    t = t.double().reshape(-1, 1, 1, 1)
    sign = signs.example_sign(clean(), x_t.double(), t, u.double())
    close(x_t, clean() - (1 - t) * u, "x_t, from its t and its target,", 1e-5, **sign)
    with ruled_torch(ends=True):
        (x_t, t), u = code.flow_example(clean())
    t = t.double().reshape(-1, 1, 1, 1)
    sign = signs.named("time-kept-from-the-ends")
    close(x_t, clean() - (1 - t) * u, "at t = 0 and just below 1, x_t", 1e-5, **sign)


@target.check("the loss is the mean square, in training mode")
def target_loss(code):
    unet = signs.ByTime().eval()
    loss = signs.one_number(code.time_fm_forward(unet, clean(), 50))
    sign = signs.named("flow-trained-in-eval-mode")
    equal(unet.modes, [True], "the UNet's training mode when it is asked", **sign)
    due = float((clean() ** 2).mean()) + 1  # of a UNet that answers 0: pictures and noise apart
    sentence = f"a UNet that answers 0 has the loss {loss:.3g}; it should be near {due:.3g}"
    true(abs(loss - due) < 0.2 * due, sentence)


@target.trial
def velocity_trial(code, draw):
    x1, eps = draw.picture("x1", grad=True), draw.picture("eps", grad=True)
    return {"the velocity": code.linear_velocity(x1, eps)}


@target.trial
def example_trial(code, draw):
    x_1, _, generator = training_batch(draw)
    with ruled_torch() as streams:
        (x_t, t), u = code.flow_example(x_1, generator)
    honoured(generator, streams, "the times")
    return {"t": t, "the target": u, "x_t": x_t}


@target.trial
def loss_trial(code, draw):
    x_1, unet = training_batch(draw, handed=False)[0], Answering()
    unet.train(draw.choice("in training before", (True, False)))
    with ruled_torch():
        loss = code.time_fm_forward(unet, x_1, *draw.choice("num_ts", ((), (7,), (300,))))
    return {"the loss": loss, "training mode afterwards": unet.training}


# --- fa26 1.3 and 1.5: steps ----------------------------------------------------------------------

euler = Exercise(
    "euler_sample",
    "fa26 1.5",
    "Equations A.2 and A.3 of autumn 2026. x1_from_velocity is the clean picture in one long "
    "step. euler_step goes from t to t + h along v. step_times is the list t_start, t_start + "
    "h, ..., 1 as floats, its last step shortened so that it ends on exactly 1 (a step that "
    "rounding alone would add is not taken); check_start refuses a wrong t_start, and a step not "
    "above 0 and up to 1 is a UserError. euler_walk yields x, then the picture after each step; "
    "velocity(x, t) is asked at the time where the step begins.",
    [
        Part(EQUATIONS, "x1_from_velocity"),
        Part(EQUATIONS, "euler_step"),
        Part(ODE, "step_times"),
        Part(ODE, "euler_walk"),
    ],
)
GRIDS = {
    (0.0, 0.02): 50,
    (0.5, 0.02): 25,
    (0.93, 0.02): 4,
    (0.0, 1.0): 1,
    (0.25, 0.1): 8,
    (0.0, 0.1): 10,
}


def field(asked: list):
    """A velocity that depends on the place and on the time, and remembers when it was asked."""

    def velocity(x, t):
        asked.append(signs.float_time(t))
        return x.cos() + t

    return velocity


@euler.check("the number of updates")
def euler_updates(code):
    for (start, h), updates in GRIDS.items():
        times = list(code.step_times(start, h))
        sign = signs.steps_sign(times, start, h)
        equal(len(times) - 1, updates, f"the number of updates of {h} from t = {start}", **sign)


@euler.check("the times rise from t_start and end on exactly 1")
def euler_times(code):
    for start, h in GRIDS:
        times = [float(t) for t in code.step_times(start, h)]
        sign = signs.steps_sign(times, start, h)
        close(torch.tensor(times[0]), start, f"the first time from t = {start}", **sign)
        last = f"from t = {start}, the last time is {times[-1]!r}; it should be 1.0"
        true(times[-1] == 1, last, **sign)
        steps = [round(b - a, 9) for a, b in zip(times[:-1], times[1:])]
        even = f"from t = {start}, not every step before the last is {h}"
        true(set(steps[:-1]) <= {h}, even, **sign)
        true(0 < steps[-1] <= h, f"from t = {start}, the last step is {steps[-1]:g}, not 0 to {h}")


@euler.check("the field is asked where each step begins")
def euler_asked(code):
    asked, times = [], [0.0, 0.15, 0.5, 0.8, 1.0]
    signs.walked(code, field(asked), pictures("x")[0], times)
    sign = signs.asked_sign(asked, times)
    equal(asked, times[:-1], "the times at which the velocity is asked", **sign)


@euler.trial
def euler_trial(code, draw):
    x, v = draw.picture("x_t", grad=True), draw.picture("v", grad=True)
    clean_ = code.x1_from_velocity(x, v, draw.time("t"))
    return {"x1": clean_, "a step": code.euler_step(x, v, draw.number("h", 0.01, 1))}


@euler.trial
def times_trial(code, draw):
    start = draw.choice("t_start", (0.0, 0.93, 0.5, 0.25, 1.0, -0.1))
    size = draw.choice("step_size", (0.02, 1.0, 0.3, 0.1, 1 / 3, 0.07, 1.5, 0.0))
    times = refused(code.step_times, start, size)
    return {"the times": times, "whether the last time is exactly 1": times[-1:] == [1.0]}


times_trial.rounds = 48  # every pair of both


def refused(function, *arguments):
    """What it gives, as a list of numbers, or that it refuses."""
    try:
        return [float(t) for t in function(*arguments)]
    except Exception as error:
        if type(error).__name__ == "UserError":
            return REFUSED
        raise


@euler.trial
def walk_trial(code, draw):
    times = draw.rising("times", draw.choice("steps", (3, 2, 6)), 0.0, 1.0)
    asked, x = [], draw.picture("x")
    states = signs.walked(code, field(asked), x, times)
    pictures_ = {f"the picture after step {i}": state for i, state in enumerate(states)}
    return {"the times asked": asked, "the number of pictures yielded": len(states)} | pictures_


# --- B.2.1 and B.2.4: conditioning ----------------------------------------------------------------

conditioning = Exercise(
    "flow_conditioning",
    "fa25 B.2.4",
    "The forward pass of the time-conditioned flow UNet: fc1_t(t) multiplies u and fc2_t(t) "
    "multiplies up1, where t (N,) is in [0, 1]; self.encode(x), self.up1, concat and "
    "self.decode(up1, x2, x1) are there. And algorithm B.3: class_flow_example adds to "
    "flow_example the digits c (N,) and a mask (N,), 0 where the whole class is dropped, with "
    "chance p_uncond, 1 elsewhere; it gives ((x_t, c, t, mask), velocity). class_fm_forward "
    "sets the UNet to training and gives the mean square.",
    [
        Part(FLOW, "TimeConditionalUNet", ("forward",)),
        Part(FLOW, "class_flow_example"),
        Part(FLOW, "class_fm_forward"),
    ],
)


def mask_of(code, p: float, n: int = 20000) -> Tensor:
    x, c = torch.zeros(n, 1, 1, 1, dtype=torch.float64), torch.full((n,), 3)
    (_, got, _, mask), _ = code.class_flow_example(x, c, p)
    masks.must_be_per_picture(mask, c, "one-mask-per-batch", "mask-not-per-picture")
    signs.same_digits(got, c)
    return mask.double()


@conditioning.check("a share of p_uncond is dropped, whole classes only")
def conditioning_share(code):
    for p in (0.1, 0.3):
        mask = mask_of(code, p)
        equal(sorted({*mask.tolist(), 0.0, 1.0}), [0.0, 1.0], "the values of the mask")
        share = 1 - float(mask.mean())
        right = abs(share - p) < 0.02
        small = [] if right else [mask_of(code, 0.5, 8) for _ in range(40)]
        sign = masks.one_draw_sign(small, "one-mask-per-batch")
        true(right, f"with p_uncond = {p}, a share of {share:.3f} is dropped", **sign)
    x, c = torch.zeros(20000, 1, 1, 1, dtype=torch.float64), torch.zeros(20000, dtype=torch.int64)
    (_, _, t, mask), _ = code.class_flow_example(x, c, 0.3)
    when = float(t.double()[mask.double() == 0].mean())
    sign = signs.named("flow-mask-of-time") if t.is_floating_point() else {}
    sentence = f"classes are dropped at t = {when:.2f} on average, not at any t"
    true(0.45 < when < 0.55, sentence, **sign)
    apart = not signs.depends_on(mask.double(), t.double(), 0.7)
    true(apart, "whether a class is dropped follows from its t", **sign)
    masks.must_be_drawn(partial(mask_of, code), "mask-not-drawn")
    (x_t, _, t, _), u = code.class_flow_example(clean(), torch.arange(64) % 10, 0.5)
    if t.is_floating_point() and u.shape == x_t.shape == clean().shape and t.shape == (64,):
        t = t.double().reshape(-1, 1, 1, 1)
        sign = signs.example_sign(clean(), x_t.double(), t, u.double())
        true(not sign, "x_t, its t and its target do not belong together", **sign)
    close(mask_of(code, 0.0, 200), 1.0, "the mask for p_uncond = 0")
    close(mask_of(code, 1.0, 200), 0.0, "the mask for p_uncond = 1")


@conditioning.check("the loss is the mean square, in training mode")
def conditioning_loss(code):
    unet = signs.ByClass().eval()
    signs.one_number(code.class_fm_forward(unet, clean(), torch.arange(64) % 10))
    sign = signs.named("class-flow-in-eval-mode")
    equal(unet.modes, [True], "the UNet's training mode when it is asked", **sign)


@conditioning.trial
def time_unet_trial(code, draw):
    model = fill(code.TimeConditionalUNet(num_hiddens=draw.choice("num_hiddens", (4, 3))))
    x, t = draw.tensor("x", draw.batch, 1, 28, 28), draw.tensor("t", draw.batch).abs().clamp(0, 1)
    return {"the answer": model.to(x.dtype)(x, t)}


def uniforms_of(n: int, streams) -> str:
    """What may have been drawn without the generator, from n pictures' times and mask."""
    return "the times and the mask" if streams.without.get("uniform", 0) > n else "t or the mask"


@conditioning.trial
def class_example_trial(code, draw):
    """The mask may be drawn in several ways: its share is looked at, and who drew it."""
    x_1, c, generator = training_batch(draw)
    p = draw.choice("p_uncond", (0.0, 1.0, 0.5, 0.25))
    with ruled_torch() as streams:
        (x_t, got, t, mask), u = code.class_flow_example(x_1, c, p, generator)
    honoured(generator, streams, uniforms_of(len(x_1), streams))
    given = {"t": t, "the target": u, "x_t": x_t, "the digits": got}
    return given | {"the mask": mask.double() if p in (0.0, 1.0) else tuple(mask.shape)}


@conditioning.trial
def class_loss_trial(code, draw):
    (x_1, c, _), unet = training_batch(draw, handed=False), Told()
    unet.train(draw.choice("in training before", (True, False)))
    more = draw.choice("p_uncond, num_ts", ((0.0,), (1.0, 7), (1.0,), (0.0, 50)))
    with ruled_torch():
        loss = code.class_fm_forward(unet, x_1, c, *more)
    return {"the loss": loss, "training mode afterwards": unet.training}


# --- B.2.6 and fa26 2.1: guidance -----------------------------------------------------------------

guidance = Exercise(
    "flow_guidance",
    "fa25 B.2.6, fa26 2.1",
    "The same thing in its two notations. guide_velocity is A.4 of autumn 2026, with a w that "
    "is 0 for the conditional velocity. guided_velocity is algorithm B.4, line 4: it asks the "
    "UNet once, about the digits masked (0) and told (1), at time t for all, and combines the "
    "two velocities with the scale gamma, which is 1 for the conditional one: a number, or (N, "
    "1, 1, 1).",
    [Part(EQUATIONS, "guide_velocity"), Part(FLOW, "guided_velocity")],
)


@guidance.check("w = 0 is the conditional velocity, -1 the unconditional one")
def guidance_w(code):
    v_u, v_c = pictures("v_u", "v_c")
    close(code.guide_velocity(v_u, v_c, 0.0), v_c, "with w = 0, the velocity")
    close(code.guide_velocity(v_u, v_c, -1.0), v_u, "with w = -1, the velocity")


@guidance.check("both velocities come from one call, masked and told")
def guidance_calls(code):
    unet, digits = signs.ByClass().eval(), torch.tensor([2, 7])
    code.guided_velocity(unet, digits, 5.0, values("x", 2, 1, 4, 4), 0.3)
    sign = signs.named("two-calls-a-step") if len(unet.calls) > 1 else {}
    equal(len(unet.calls), 1, "the number of calls for one step", **sign)
    x, c, t, mask = unet.calls[0]
    equal(len(x), 4, "the pictures in a call for 2 samples")
    told = sorted(mask.double().tolist())
    sign = signs.masks_sign(digits, c, mask)
    equal([int(m) if m in (0, 1) else m for m in told], [0, 0, 1, 1], "the masks of a call", **sign)
    a_digit = bool(((c >= 0) & (c <= 9)).all()) and not c.is_floating_point()
    sign = signs.named("a-digit-for-the-mask")
    true(a_digit, f"the digits of a call are {c.tolist()}; they should be 0 to 9", **sign)
    equal(sorted(c[mask == 1].tolist()), [2, 7], "the digits of a call that are told, sorted,")
    sign = signs.named("times-of-half-the-call")
    equal(tuple(t.shape), (4,), "the shape of t in a call for 2 samples", **sign)
    sign = signs.named("flow-time-as-index") if float(t.max()) > 1 else {}
    close(t.double(), 0.3, "the time of the call", 1e-6, **sign)


@guidance.trial
def w_trial(code, draw):
    v_u, v_c = draw.picture("v_uncond", grad=True), draw.picture("v_cond", grad=True)
    return {"v": code.guide_velocity(v_u, v_c, draw.choice("w", (0.0, 1.0, 7.0, -1.0, 2.5)))}


@guidance.trial
def guided_trial(code, draw):
    unet, x = Told().eval(), draw.picture("x", 1)
    c = torch.tensor(draw.wholes("digits", draw.batch, 0, 9))
    scale = draw.time("gamma", 0.0, 5.0)
    u = code.guided_velocity(unet, c, scale, x, draw.choice("t", (0.3, 0.0, 0.98)))
    return {"the number of calls of the UNet": len(unet.calls), "the velocity": u.detach()}


# --- three languages ------------------------------------------------------------------------------

languages = Exercise(
    "velocity_from_eps",
    "fa26 Part A",
    "Any path x_t = alpha x1 + sigma eps has the velocity v = d_alpha x1 + d_sigma eps, where "
    "d_alpha and d_sigma are the derivatives of alpha and sigma. Write v from eps, v from x1, "
    "and both of them from v, sound at both ends of the path, where alpha or sigma is 0. "
    "score_from_velocity is the gradient of the log-density, -eps / sigma, on the linear path "
    "alpha = t, sigma = 1 - t. Numbers or tensors may stand for alpha and the rest.",
    [
        Part(EQUATIONS, "velocity_from_eps"),
        Part(EQUATIONS, "velocity_from_x1"),
        Part(EQUATIONS, "eps_from_velocity"),
        Part(EQUATIONS, "x1_from_path_velocity"),
        Part(EQUATIONS, "score_from_velocity"),
    ],
)
PLACES = {  # alpha, sigma, d_alpha, d_sigma
    "the linear path at .3": (0.3, 0.7, 1.0, -1.0),
    "a quarter circle": (0.6, 0.8, 1.2, -0.9),
    "variance exploding": (1.0, 0.5, 0.0, -2.0),
}


def point(place) -> tuple[Tensor, ...]:
    """x1, eps, and the x_t and v that they make."""
    alpha, sigma, d_alpha, d_sigma = place
    x1, eps = pictures("x1", "eps")
    return x1, eps, alpha * x1 + sigma * eps, d_alpha * x1 + d_sigma * eps


@languages.check("one point in each language, on three paths")
def languages_agree(code):
    for name, place in PLACES.items():
        x1, eps, x_t, v = point(place)
        close(code.velocity_from_eps(x_t, eps, *place), v, f"on {name}, v from eps")
        close(code.velocity_from_x1(x_t, x1, *place), v, f"on {name}, v from x1")
        close(code.eps_from_velocity(x_t, v, *place), eps, f"on {name}, eps from v")
        close(code.x1_from_path_velocity(x_t, v, *place), x1, f"on {name}, x1 from v")


@languages.check("the score is -eps / sigma")
def languages_score(code):
    for t in (0.0, 0.3, 0.9):
        _, eps, x_t, v = point((t, 1 - t, 1.0, -1.0))
        got = code.score_from_velocity(x_t, v, t)
        close(got, -eps / (1 - t), f"on the linear path at {t}, the score")


NOISE, CLEAN = (0.0, 1.0), (1.0, 0.0)  # alpha and sigma where a path begins and ends


def along(draw, *ends: tuple[float, float]) -> list:
    """alpha, sigma and their derivatives, numbers or one each; in some rounds one of the ends."""
    end = draw.choice("alpha and sigma", (None, *ends, None))
    return [
        *(end or (draw.time("alpha", 0.1, 1.0), draw.time("sigma", 0.1, 1.0))),
        draw.time("d_alpha", 0.2, 2.0),
        draw.time("d_sigma", -2.0, -0.2),
    ]


@languages.trial
def to_velocity_trial(code, draw):
    x_t, eps = draw.picture("x_t", grad=True), draw.picture("eps", grad=True)
    return {"v from eps": code.velocity_from_eps(x_t, eps, *along(draw, CLEAN))}


@languages.trial
def from_x1_trial(code, draw):
    x_t, x1 = draw.picture("x_t", grad=True), draw.picture("x1", grad=True)
    return {"v from x1": code.velocity_from_x1(x_t, x1, *along(draw, NOISE))}


@languages.trial
def from_velocity_trial(code, draw):
    """Sound at both ends of the path, where alpha or sigma is 0."""
    x_t, v = draw.picture("x_t", grad=True), draw.picture("v", grad=True)
    place = along(draw, NOISE, CLEAN)
    return {
        "eps": code.eps_from_velocity(x_t, v, *place),
        "x1": code.x1_from_path_velocity(x_t, v, *place),
    }


@languages.trial
def score_trial(code, draw):
    x_t, v = draw.picture("x_t", grad=True), draw.picture("v", grad=True)
    return {"the score": code.score_from_velocity(x_t, v, draw.time("t", 0.0, 0.95))}
