"""Flow matching, the newer editions: the path, its velocity, Euler, conditioning, guidance.

t = 0 is noise and t = 1 is clean in all of these.
"""

import torch
from torch import Tensor

from minidiff.grade.checks.ddpm import Recorder, clean, flags
from minidiff.grade.exercises import Exercise, Part
from minidiff.grade.expect import close, equal, true
from minidiff.grade.inputs import fill, ruled_torch, values

EQUATIONS, FLOW = "minidiff/equations.py", "minidiff/mnist/flow.py"
ODE, UNET = "minidiff/ode.py", "minidiff/mnist/unet.py"
SHAPE = (2, 3, 4, 4)


def pictures(*names: str) -> list[Tensor]:
    return [values(name, *SHAPE) for name in names]


def each(*numbers: float) -> Tensor:
    """A number per picture, as it multiplies pictures."""
    return torch.tensor(numbers, dtype=torch.float64)[:, None, None, None]


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


@path.check("every picture may have its own time")
def path_rows(code):
    x1, eps = pictures("x1", "eps")
    t = each(0.2, 0.7)
    close(code.linear_path(x1, eps, t), (1 - t) * eps + t * x1, "with t = .2 and .7, the points")


@path.probe
def path_probe(code):
    x1, eps = pictures("x1", "eps")
    found = {f"{t}": code.linear_path(x1, eps, t) for t in (0.0, 0.3, 0.8, 1.0)}
    return found | {"rows": code.linear_path(x1, eps, each(0.2, 0.7))}


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


def flow_example(code):
    with ruled_torch():
        (x_t, t), u = code.flow_example(clean())
    return x_t, t, u


@target.check("the velocity leads from the noise to the picture")
def target_direction(code):
    x1, eps = pictures("x1", "eps")
    close(code.linear_velocity(x1, eps), x1 - eps, "the velocity")


@target.check("every picture has its own time in [0, 1)")
def target_times(code):
    (_, t), _ = code.flow_example(torch.zeros(4096, 1, 1, 1, dtype=torch.float64))
    equal(tuple(t.shape), (4096,), "the shape of t for 4096 pictures")
    low, high, mean = float(t.min()), float(t.max()), float(t.double().mean())
    true(0 <= low and high <= 1, f"t lies in {low:.3g} to {high:.3g}; it should lie in [0, 1)")
    true(len(t.unique()) > 1000, f"4096 pictures share {len(t.unique())} times")
    spread = float(t.double().std())
    true(
        abs(mean - 0.5) < 0.03 and abs(spread - 12**-0.5) < 0.02,
        f"t has mean {mean:.3f} and spread {spread:.3f}; a uniform one has 0.5 and 0.289",
    )


@target.check("the noise has variance 1")
def target_noise(code):
    _, u = code.flow_example(torch.zeros(4096, 1, 4, 4, dtype=torch.float64))
    spread, mean = float(u.double().std()), float(u.double().mean())
    true(0.97 < spread < 1.03, f"the noise has standard deviation {spread:.3g}; it should have 1")
    true(abs(mean) < 0.03, f"the noise has mean {mean:.3g}; it should have 0")


@target.check("x_t lies on the way whose slope is the target")
def target_consistent(code):
    x_t, t, u = flow_example(code)
    x_0 = clean() - u
    t = t.double().reshape(-1, 1, 1, 1)
    close(x_t, (1 - t) * x_0 + t * clean(), "x_t, from its t and its target,", 1e-5)


@target.check("the loss is the mean square, in training mode")
def target_loss(code):
    unet = Recorder()
    with ruled_torch():
        got = code.time_fm_forward(unet.eval(), clean(), 50)
    _, t, u = flow_example(code)
    close(got, float(u.pow(2).mean()), "the loss of a UNet that answers 0", 1e-5)
    equal(unet.modes, [True], "whether the UNet was in training mode")
    close(unet.calls[0][1].double(), t.double(), "the time that the UNet is told", 1e-6)


@target.probe
def target_probe(code):
    x1, eps = pictures("x1", "eps")
    x_t, t, u = flow_example(code)
    unet = Recorder()
    with ruled_torch():
        value = code.time_fm_forward(unet, clean(), 50)
    found = {"x_t": x_t[:8], "t": t, "u": u[:8], "loss": value, "mode": flags(unet.modes)}
    return found | {"velocity": code.linear_velocity(x1, eps), "told": unet.calls[0][1]}


# --- fa26 1.3 and 1.5: steps ----------------------------------------------------------------------

euler = Exercise(
    "euler_sample",
    "fa26 1.5",
    "Equations A.2 and A.3 of autumn 2026. x1_from_velocity is the clean picture in one long "
    "step. euler_step goes from t to t + h along v. step_times is the list t_start, t_start + "
    "h, ..., 1 as floats, its last step shortened so that it ends on exactly 1 (a step that "
    "rounding alone would add is not taken); check_start and UserError are there. euler_walk "
    "yields x, then the picture after each step; velocity(x, t) is asked at the time where the "
    "step begins.",
    [
        Part(EQUATIONS, "x1_from_velocity"),
        Part(EQUATIONS, "euler_step"),
        Part(ODE, "step_times"),
        Part(ODE, "euler_walk"),
    ],
)
GRIDS = {(0.0, 0.02): 50, (0.5, 0.02): 25, (0.93, 0.02): 4, (0.0, 1.0): 1, (0.25, 0.1): 8}


def field(asked: list):
    """A velocity that depends on the place and on the time, and remembers when it was asked."""

    def velocity(x, t):
        asked.append(float(t))
        return 0.5 * x + t

    return velocity


def due_walk(x: Tensor, times: list[float]) -> list[Tensor]:
    states = [x]
    for t, after in zip(times[:-1], times[1:]):
        states.append(states[-1] + (after - t) * (0.5 * states[-1] + t))
    return states


@euler.check("one step: the velocity, times the length of the step")
def euler_one(code):
    x, v = pictures("x", "v")
    for h in (0.02, 0.5):
        close(code.euler_step(x, v, h), x + h * v, f"after a step of {h}, the picture")


@euler.check("one long step goes the rest of the way")
def euler_clean(code):
    x, v = pictures("x", "v")
    for t in (0.0, 0.25, 0.9):
        close(code.x1_from_velocity(x, v, t), x + (1 - t) * v, f"from t = {t}, the clean picture")


@euler.check("the number of updates")
def euler_updates(code):
    for (start, h), updates in GRIDS.items():
        times = list(code.step_times(start, h))
        equal(len(times) - 1, updates, f"the number of updates of {h} from t = {start}")


@euler.check("the times rise from t_start and end on exactly 1")
def euler_times(code):
    for start, h in GRIDS:
        times = [float(t) for t in code.step_times(start, h)]
        equal((times[0], times[-1]), (start, 1.0), f"the first and last time from t = {start}")
        steps = [round(b - a, 9) for a, b in zip(times[:-1], times[1:])]
        true(set(steps[:-1]) <= {h}, f"from t = {start}, not every step before the last is {h}")
        true(0 < steps[-1] <= h, f"from t = {start}, the last step is {steps[-1]:g}, not 0 to {h}")


@euler.check("the field is asked where each step begins")
def euler_asked(code):
    asked, times = [], [0.0, 0.25, 0.5, 1.0]
    list(code.euler_walk(field(asked), pictures("x")[0], times))
    equal(asked, times[:-1], "the times at which the velocity is asked")


@euler.check("the walk: its start, and the picture after every step")
def euler_states(code):
    times, x = [0.0, 0.25, 0.5, 0.9, 1.0], pictures("x")[0]
    states = list(code.euler_walk(field([]), x.clone(), times))
    equal(len(states), 5, "the number of pictures yielded for four steps")
    for i, due in enumerate(due_walk(x, times)):
        close(states[i], due, f"after {i} steps, the picture")


@euler.probe
def euler_probe(code):
    x, v = pictures("x", "v")
    asked = []
    states = list(code.euler_walk(field(asked), x, [0.0, 0.25, 0.5, 0.9, 1.0]))
    grids = [torch.tensor(list(code.step_times(*grid))).double() for grid in GRIDS]
    return {
        "step": code.euler_step(x, v, 0.3),
        "clean": code.x1_from_velocity(x, v, 0.3),
        "states": torch.stack(states),
        "asked": torch.tensor(asked).double(),
        **{f"times {i}": grid for i, grid in enumerate(grids)},
    }


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
X, T = values("x", 3, 1, 28, 28), torch.tensor([0.1, 0.4, 1.0], dtype=torch.float64)


def due_forward(model) -> Tensor:
    x1, x2, x3, u = model.encode(X)
    t = T[:, None]
    up1 = model.up1(torch.cat([u * model.fc1_t(t), x3], 1)) * model.fc2_t(t)
    return model.decode(up1, x2, x1)


def class_example(code, p: float = 0.5):
    with ruled_torch():
        return code.class_flow_example(clean(), torch.arange(64) % 10, p)


def mask_of(code, p: float, n: int = 20000) -> Tensor:
    x, c = torch.zeros(n, 1, 1, 1, dtype=torch.float64), torch.zeros(n, dtype=torch.int64)
    (_, _, _, mask), _ = code.class_flow_example(x, c, p)
    equal(tuple(mask.shape), (n,), f"the shape of the mask for {n} pictures")
    return mask.double()


@conditioning.check("time multiplies u and up1")
def conditioning_time(code):
    model = fill(code.TimeConditionalUNet(num_hiddens=4))
    close(model(X, T), due_forward(model), "the time-conditioned UNet's answer")


@conditioning.check("every picture has its own time")
def conditioning_rows(code):
    model = fill(code.TimeConditionalUNet(num_hiddens=4))
    got = model(X, T)
    for row in range(3):
        alone = model(X[row : row + 1], T[row : row + 1])
        close(got[row : row + 1], alone, f"picture {row} of a batch with three times")


@conditioning.check("a share of p_uncond is dropped, whole classes only")
def conditioning_share(code):
    for p in (0.1, 0.3):
        mask = mask_of(code, p)
        equal(sorted({*mask.tolist(), 0.0, 1.0}), [0.0, 1.0], "the values of the mask")
        share = 1 - float(mask.mean())
        true(abs(share - p) < 0.02, f"with p_uncond = {p}, a share of {share:.3f} is dropped")
    x, c = torch.zeros(20000, 1, 1, 1, dtype=torch.float64), torch.zeros(20000, dtype=torch.int64)
    (_, _, t, mask), _ = code.class_flow_example(x, c, 0.3)
    when = float(t.double()[mask.double() == 0].mean())
    true(0.45 < when < 0.55, f"classes are dropped at t = {when:.2f} on average, not at any t")
    close(mask_of(code, 0.0, 200), 1.0, "the mask for p_uncond = 0")
    close(mask_of(code, 1.0, 200), 0.0, "the mask for p_uncond = 1")


@conditioning.check("the UNet is called with x_t, c, t and mask, and answers the velocity")
def conditioning_example(code):
    (x_t, c, t, mask), u = class_example(code)
    equal(c.tolist(), (torch.arange(64) % 10).tolist(), "the digits")
    equal((tuple(t.shape), tuple(mask.shape)), ((64,), (64,)), "the shapes of t and of the mask")
    times = t.double().reshape(-1, 1, 1, 1)
    close(x_t, (1 - times) * (clean() - u) + times * clean(), "x_t, from t and the target,", 1e-5)


@conditioning.check("the loss is the mean square, in training mode, with dropped classes")
def conditioning_loss(code):
    unet, c = Recorder(), torch.arange(64) % 10
    with ruled_torch():
        got = code.class_fm_forward(unet.eval(), clean(), c, 0.5, 300)
    (_, _, _, mask), u = class_example(code)
    close(got, float(u.pow(2).mean()), "the loss of a UNet that answers 0", 1e-5)
    equal(unet.modes, [True], "whether the UNet was in training mode")
    close(unet.calls[0][3].double(), mask.double(), "the mask that the UNet is told")


@conditioning.probe
def conditioning_probe(code):
    with torch.no_grad():
        model = fill(code.TimeConditionalUNet(num_hiddens=4))
        answer = model(X, T)
    (x_t, c, t, _), u = class_example(code)
    unet = Recorder()
    with ruled_torch():
        value = code.class_fm_forward(unet, clean(), c, 0.5, 300)
    share = torch.tensor([float(mask_of(code, p, 2000).mean().round(decimals=1)) for p in (0, 1)])
    told = unet.calls[0][3].double().mean()
    x, zeros = torch.zeros(4000, 1, 1, 1).double(), torch.zeros(4000, dtype=torch.int64)
    (_, _, at, mask), _ = code.class_flow_example(x, zeros, 0.3)
    when = at.double()[mask.double() == 0].mean().round(decimals=1)
    found = {"when": when, "answer": answer}
    return found | {"x_t": x_t[:4], "c": c, "t": t, "u": u[:4], "loss": value,
            "mode": flags(unet.modes), "share": share, "half": ((told - 0.5).abs() < 0.3).double(),
            "tenth": (mask_of(code, 0.1).mean() > 0.8).double()}  # fmt: skip


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


class Answers(Recorder):
    """A UNet whose answer shows what it was told: x, plus c + 1 if the class is told."""

    def forward(self, x, c, t, mask=None):
        super().forward(x, c, t, mask)
        told = torch.ones(len(x)) if mask is None else mask
        return x + (told.to(x.dtype) * (c + 1).to(x.dtype))[:, None, None, None]


def guided(code, scale, t: float = 0.3):
    unet, x, c = Answers().eval(), values("x", 2, 1, 4, 4), torch.tensor([2, 7])
    return code.guided_velocity(unet, c, scale, x, t), unet, x


DIGIT = torch.tensor([3.0, 8.0], dtype=torch.float64)[:, None, None, None]  # what being told adds


@guidance.check("w = 0 is the conditional velocity, and it grows from there")
def guidance_w(code):
    v_u, v_c = pictures("v_u", "v_c")
    for w in (0.0, 1.0, 7.0):
        close(
            code.guide_velocity(v_u, v_c, w), v_c + w * (v_c - v_u), f"with w = {w:g}, the velocity"
        )


@guidance.check("both velocities come from one call, masked and told")
def guidance_calls(code):
    _, unet, _ = guided(code, 5.0)
    equal(len(unet.calls), 1, "the number of calls for one step")
    x, c, t, mask = unet.calls[0]
    equal(len(x), 4, "the pictures in a call for 2 samples")
    equal(sorted(mask.flatten().long().tolist()), [0, 0, 1, 1], "the masks of a call, sorted,")
    equal(sorted(c.tolist()), [2, 2, 7, 7], "the digits of a call, sorted,")
    equal(tuple(t.shape), (4,), "the shape of t in a call for 2 samples")
    close(t.double(), 0.3, "the time of the call", 1e-6)


@guidance.check("gamma 0 forgets the digit, 1 is the digit's own, 5 goes beyond")
def guidance_gamma(code):
    for gamma in (0.0, 1.0, 5.0):
        got, _, x = guided(code, gamma)
        close(got, x + gamma * DIGIT, f"with gamma = {gamma:g}, the velocity", 1e-5)


@guidance.check("gamma may differ from picture to picture")
def guidance_rows(code):
    scale = each(0.0, 5.0)
    got, _, x = guided(code, scale)
    close(got, x + scale * DIGIT, "with gamma 0 and 5, the velocity", 1e-5)


@guidance.probe
def guidance_probe(code):
    v_u, v_c = pictures("v_u", "v_c")
    found = {f"w {w}": code.guide_velocity(v_u, v_c, w) for w in (0.0, 2.0)}
    got, unet, _ = guided(code, 5.0)
    _, _, t, mask = unet.calls[0]
    calls = {"t": t.double(), "masks": mask.flatten().double().sort().values}
    count = {"calls": torch.tensor(float(len(unet.calls)))}
    return found | {"guided": got, "rows": guided(code, each(0.0, 5.0))[0]} | calls | count


# --- three languages ------------------------------------------------------------------------------

languages = Exercise(
    "velocity_from_eps",
    "fa26 Part A",
    "Any path x_t = alpha x1 + sigma eps has the velocity v = d_alpha x1 + d_sigma eps, where "
    "d_alpha and d_sigma are the derivatives of alpha and sigma. Write v from eps, v from x1, "
    "and both of them from v. score_from_velocity is the gradient of the log-density, -eps / "
    "sigma, on the linear path alpha = t, sigma = 1 - t. Numbers or tensors may stand for alpha "
    "and the rest.",
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


@languages.check("v from eps")
def languages_eps(code):
    for name, place in PLACES.items():
        _, eps, x_t, v = point(place)
        close(code.velocity_from_eps(x_t, eps, *place), v, f"on {name}, v from eps", 1e-6)


@languages.check("v from x1")
def languages_x1(code):
    for name, place in PLACES.items():
        x1, _, x_t, v = point(place)
        close(code.velocity_from_x1(x_t, x1, *place), v, f"on {name}, v from x1", 1e-6)


@languages.check("eps from v")
def languages_to_eps(code):
    for name, place in PLACES.items():
        _, eps, x_t, v = point(place)
        close(code.eps_from_velocity(x_t, v, *place), eps, f"on {name}, eps from v", 1e-6)


@languages.check("x1 from v")
def languages_to_x1(code):
    for name, place in PLACES.items():
        x1, _, x_t, v = point(place)
        close(code.x1_from_path_velocity(x_t, v, *place), x1, f"on {name}, x1 from v", 1e-6)


@languages.check("the score is -eps / sigma")
def languages_score(code):
    for t in (0.0, 0.3, 0.9):
        _, eps, x_t, v = point((t, 1 - t, 1.0, -1.0))
        got = code.score_from_velocity(x_t, v, t)
        close(got, -eps / (1 - t), f"on the linear path at {t}, the score", 1e-6)


@languages.probe
def languages_probe(code):
    found = {}
    for name, place in PLACES.items():
        x1, eps, x_t, v = point(place)
        found[f"{name}: v from eps"] = code.velocity_from_eps(x_t, eps, *place)
        found[f"{name}: v from x1"] = code.velocity_from_x1(x_t, x1, *place)
        found[f"{name}: eps"] = code.eps_from_velocity(x_t, v, *place)
        found[f"{name}: x1"] = code.x1_from_path_velocity(x_t, v, *place)
    _, _, x_t, v = point((0.3, 0.7, 1.0, -1.0))
    return found | {"score": code.score_from_velocity(x_t, v, 0.3)}
