"""The schedule, the timesteps, one step, the loop, and where SDEdit begins."""

import math
from dataclasses import dataclass

import torch

from minidiff.grade.exercises import Exercise, Part
from minidiff.grade.expect import Wrong, close, equal, must_refuse, true
from minidiff.grade.inputs import ClosedFormSchedule, RuledNoise, cosine_abar, values

SCHEDULE, SAMPLING = "minidiff/schedule.py", "minidiff/sampling.py"
SAMPLERS = "minidiff/samplers.py"
SHAPE = (2, 3, 4, 4)
COURSE = [(t, t - 30) for t in range(990, 0, -30)]

# --- the schedule -------------------------------------------------------------------------------

schedule = Exercise(
    "schedule",
    "1.1",
    "Schedule holds betas (T,) and their abars, the cumulative product of 1 - beta, in float64. "
    "Schedule.abar(t, like) looks abar up for a number, giving (1, 1, 1, 1), or for t (B,), giving "
    "(B, 1, 1, 1), in the dtype of `like`; t = -1 gives 1, and a t outside -1..T-1 is a UserError. "
    "cosine_schedule is DeepFloyd's (IDDPM eq. 17, s = 0.008, no beta above 0.999); "
    "linear_schedule is Part B's, both ends included.",
    [
        Part(SCHEDULE, "Schedule", ("__post_init__", "abar")),
        Part(SCHEDULE, "cosine_schedule"),
        Part(SCHEDULE, "linear_schedule"),
    ],
)


@schedule.check("the cosine schedule's abar")
def schedule_cosine(code):
    abars = code.cosine_schedule().abars
    equal(len(abars), 1000, "the number of timesteps")
    for t in (0, 30, 250, 500, 750, 990):
        close(abars[t], cosine_abar(t), f"abar[{t}]", 1e-9)


@schedule.check("no beta above 0.999")
def schedule_cap(code):
    close(code.cosine_schedule().betas[999], 0.999, "the last beta")


@schedule.check("the linear schedule's betas, both ends included")
def schedule_linear(code):
    betas = code.linear_schedule(1e-4, 0.02, 300).betas
    due = torch.tensor([1e-4 + (0.02 - 1e-4) * i / 299 for i in range(300)], dtype=torch.float64)
    close(betas, due, "betas", 1e-9)


@schedule.check("a timestep that does not exist is refused")
def schedule_refuses(code):
    made = code.cosine_schedule()
    for t in (1000, -2):
        accepted = f"abar({t}) gives a number; there is no such timestep in -1..999"
        must_refuse(lambda t=t: made.abar(t, torch.zeros(SHAPE)), f"t = {t}", accepted)


@schedule.trial
def schedule_cosine_trial(code, draw):
    made = code.cosine_schedule(draw.choice("num_timesteps", (1000, 100, 7, 250)),
                                draw.choice("max_beta", (0.999, 0.5)))  # fmt: skip
    return {"betas": made.betas, "abars": made.abars}


@schedule.trial
def schedule_linear_trial(code, draw):
    first, last = draw.number("first", 1e-3, 0.01), draw.number("last", 0.02, 0.3)
    made = code.linear_schedule(first, last, draw.whole("num_timesteps", 2, 40))
    return {"betas": made.betas, "abars": made.abars}


@schedule.trial
def schedule_abar_trial(code, draw):
    """Any schedule, looked up for a number and for a batch, in any dtype."""
    steps = draw.whole("T", 3, 40)
    betas = draw.tensor("betas", steps, dtype=torch.float64).abs().clamp(0.01, 0.9) / 4
    made, like = code.Schedule(betas), draw.picture("like")
    t = torch.tensor(draw.wholes("t", draw.batch, -1, steps - 1))
    return {
        "abars": made.abars,
        "abar of a number": made.abar(int(t[0]), like),
        "abar before the first step": made.abar(-1, like),
        "abar of a batch": made.abar(t, like),
    }


timesteps = Exercise(
    "timesteps",
    "1.4",
    "strided_timesteps is the course's list 990, 960, ..., 30, 0. course_pairs makes of it the "
    "walk [(990, 960), ..., (30, 0)]; pipeline_pairs goes one step further, from the last t to the "
    "clean picture, which is called -1. leading_timesteps(n) is the official spacing: (n-1) r, "
    "..., r, 0 with r = T // n.",
    [
        Part(SCHEDULE, "strided_timesteps"),
        Part(SCHEDULE, "course_pairs"),
        Part(SCHEDULE, "pipeline_pairs"),
        Part(SCHEDULE, "leading_timesteps"),
    ],
)


@timesteps.check("the course's list: 990 down to 0 by 30")
def timesteps_list(code):
    equal(list(code.strided_timesteps()), list(range(990, -30, -30)), "strided_timesteps()")


@timesteps.check("33 pairs, each from one timestep to the next, the last onto 0")
def timesteps_pairs(code):
    pairs = [tuple(pair) for pair in code.course_pairs()]
    equal(len(pairs), 33, "the number of pairs")
    equal(pairs[0], (990, 960), "the first pair")
    equal(pairs[-1], (30, 0), "the last pair")
    equal(code.course_pairs([9, 5, 4]), [(9, 5), (5, 4)], "course_pairs([9, 5, 4])")


@timesteps.check("the official walk ends on the clean picture")
def timesteps_pipeline(code):
    equal(code.pipeline_pairs([600, 300, 0]), [(600, 300), (300, 0), (0, -1)], "pipeline_pairs")


@timesteps.check("the official spacing")
def timesteps_leading(code):
    equal(code.leading_timesteps(4), [750, 500, 250, 0], "leading_timesteps(4)")
    equal(code.leading_timesteps(3), [666, 333, 0], "leading_timesteps(3)")
    equal(len(code.leading_timesteps(27)), 27, "the number of timesteps for 27 steps")


@timesteps.trial
def strided_trial(code, draw):
    start, stride = draw.choice("start", (990, 600, 7, 999)), draw.choice("stride", (30, 200, 1, 7))
    return {"strided_timesteps": list(code.strided_timesteps(start, stride))}


@timesteps.trial
def pairs_trial(code, draw):
    ts = [t for t, _ in draw.pairs()]
    course = [tuple(pair) for pair in code.course_pairs(ts)]
    return {"course_pairs": course, "pipeline_pairs": [tuple(p) for p in code.pipeline_pairs(ts)]}


@timesteps.trial
def leading_trial(code, draw):
    total = draw.choice("num_timesteps", (1000, 300, 64, 1000))
    return {"leading_timesteps": list(code.leading_timesteps(draw.whole("n", 1, 60), total))}


# --- one step -----------------------------------------------------------------------------------

step = Exercise(
    "denoise_step",
    "1.4",
    "One transition from t to t_prev, equation A.3: x0 from eps, thresholded if a threshold is "
    "given; the mean of the step; its noise, of the log-variance that v says. Ask "
    "schedule.abar(t, like=x_t) for a level and noise.draw(rows) for noise. The step from t = 0, "
    "which ends on the clean picture, adds no noise. All pictures (B, 3, H, W); returns the next "
    "picture and x0. The equations are in minidiff/equations.py.",
    [Part(SAMPLERS, "step")],
)


def due_step(x_t, eps, v, t, t_prev, z, clip=None):
    """A.3 with plain numbers: the mean, the noise, and x0."""
    abar, prev = cosine_abar(t), cosine_abar(t_prev)
    alpha, beta = abar / prev, 1 - abar / prev
    x0 = (x_t - math.sqrt(1 - abar) * eps) / math.sqrt(abar)
    x0 = x0 if clip is None else x0.clamp(-clip, clip)
    mean = math.sqrt(prev) * beta * x0 + math.sqrt(alpha) * (1 - prev) * x_t
    mean = mean / (1 - abar)
    if t == 0:
        return mean, x0
    small = (1 - prev) / (1 - abar) * beta
    share = (v + 1) / 2
    return mean + (share * math.log(beta) + (1 - share) * math.log(small)).exp().sqrt() * z, x0


def take_step(code, t, t_prev, threshold=None):
    x_t, eps, v = (values(f"{name} {t}", *SHAPE) for name in ("x_t", "eps", "v"))
    noise, rows = RuledNoise(2, SHAPE[1:]), [0, 1]
    got = code.step(x_t, eps, v, t, t_prev, ClosedFormSchedule(), noise, rows, threshold)
    z = values("noise 0", *SHAPE)
    return got, due_step(x_t, eps, v, t, t_prev, z, 1.0 if threshold else None), noise


@step.check("the step onto the clean picture is x0, and draws no noise")
def step_last(code):
    (x, _), (due, _), noise = take_step(code, 0, -1)
    close(x, due, "for the step 0 -> -1, the next picture")
    equal(noise.drawn, 0, "the number of times noise was drawn")


@step.trial
def step_trial(code, draw):
    """Some pictures of a larger batch, down a few transitions."""
    draw.dtype = torch.float32 if draw.dtype == torch.bfloat16 else draw.dtype  # as the loop's
    noise, rows = draw.noise(), draw.rows("rows", draw.batch)
    x, given = draw.picture("x_t", 3)[rows], {}
    threshold = draw.choice("threshold", (None, torch.tanh))
    for t, t_prev in draw.pairs():
        eps, v = draw.picture(f"eps {t}", 3)[rows], draw.picture(f"v {t}", 3)[rows].clamp(-1, 1)
        after, x0 = code.step(x, eps, v, t, t_prev, ClosedFormSchedule(), noise, rows, threshold)
        given |= {f"x0 at t = {t}": x0, f"the picture after {t} -> {t_prev}": after}
        x = draw.picture(f"x_t {t}", 3)[rows]
    return given


# --- the loop -----------------------------------------------------------------------------------

loop = Exercise(
    "denoise_loop",
    "1.4",
    "estimate asks the UNet once for all pictures of a guidance: cat them, call unet(x, t, "
    "prompts), split the answer into one (eps, v) per picture, channels first half and second, and "
    "let the guidance combine them. denoise walks x (B, 3, H, W) down the pairs, yields a Step "
    "after each, and lets pictures join at their own start. It uses `step` of "
    "minidiff/samplers.py, or what sampler.begin gives in its place. See the docstring for "
    "threshold, after_step and fixed_v.",
    [Part(SAMPLING, "estimate"), Part(SAMPLING, "denoise")],
)

SPREAD = 0.3  # variance of the pixels of the Gaussian pictures


class GaussianUNet:
    """The best denoiser there can be for pictures of independent Gaussian pixels.

    Its eps and its variance are known in closed form, and so is everything a sampler makes of them.
    """

    def __init__(self):
        self.asked: list[int] = []
        self.batches: list[int] = []
        self.dtype = torch.float64

    def __call__(self, x, t, prompts):
        self.asked.append(int(t))
        self.batches.append(len(x))
        pooled = prompts.pooled[:, :, None, None]
        return torch.cat(
            [eps_of(x, int(t)) + pooled, pooled + v_of(int(t)) * torch.ones_like(x)], 1
        )


def eps_of(x, t: int):
    abar = cosine_abar(t)
    return math.sqrt(1 - abar) / (abar * SPREAD + 1 - abar) * x


def v_of(t: int) -> float:
    """The v that says the exact variance of a step of 30; 0 where there is none."""
    if t < 30:
        return 0.0
    abar, prev = cosine_abar(t), cosine_abar(t - 30)
    beta = 1 - abar / prev
    small = (1 - prev) / (1 - abar) * beta
    exact = beta * (prev * SPREAD + 1 - prev) / (abar * SPREAD + 1 - abar)
    return 2 * math.log(exact / small) / math.log(beta / small) - 1


@dataclass(frozen=True)
class Ask:
    """A guidance with one query (or two alike) whose combination is the mean."""

    cond: object
    queries: int = 1

    @property
    def prompts(self):
        return [self.cond] * self.queries

    def pictures(self, x):
        return [x] * self.queries

    def combine(self, answers):
        return tuple(sum(part) / len(answers) for part in zip(*answers))

    def take(self, rows):
        return Ask(self.cond.take(rows), self.queries)


def walk(code, pairs=None, x=None, prompt: float = 0.0, queries: int = 1, **settings):
    """Run the loop on the Gaussian UNet; the steps it yielded and the UNet."""
    from minidiff.deepfloyd.unet import Cond

    unet, pairs = GaussianUNet(), COURSE if pairs is None else pairs
    cond = Cond(torch.full((2, 3), prompt, dtype=torch.float64), (), ())
    x = values("start", *SHAPE) if x is None else x
    noise = RuledNoise(2, SHAPE[1:])
    guidance = Ask(cond, queries)
    steps = code.denoise(unet, ClosedFormSchedule(), x, pairs, guidance, noise, **settings)
    return list(steps), unet


@loop.check("the UNet is asked at each t of the walk, once a step")
def loop_asks(code):
    steps, unet = walk(code)
    equal(unet.asked, [t for t, _ in COURSE], "the timesteps the UNet was asked at")
    equal(len(steps), 33, "the number of steps yielded")


@loop.check("Gaussian pictures: the walk is the exact sampler")
def loop_gaussian(code):
    steps, _ = walk(code)
    x = values("start", *SHAPE)
    for i, (t, t_prev) in enumerate(COURSE):
        abar, prev = cosine_abar(t), cosine_abar(t_prev)
        now, before = abar * SPREAD + 1 - abar, prev * SPREAD + 1 - prev
        spread = math.sqrt((1 - abar / prev) * before / now)
        x = math.sqrt(abar / prev) * before / now * x + spread * values(f"noise {i}", *SHAPE)
        close(steps[i].x, x, f"after the step {t} -> {t_prev}, the picture")


@loop.check("a picture that starts later stands still until then")
def loop_starts(code):
    steps, unet = walk(code, COURSE[:4], start=[0, 2])
    start = values("start", *SHAPE)
    close(steps[1].x[1], start[1], "the second picture before its start")
    true(bool((steps[2].x[1] != start[1]).any()), "the second picture does not move at its start")
    equal(unet.batches, [1, 1, 2, 2], "pictures per call")
    both, _ = walk(code, COURSE[2:4], start=0)
    equal([s.rows for s in steps], [[0], [0], [0, 1], [0, 1]], "the rows that moved")
    equal(len(both), 2, "the number of steps from the third pair on")


class AskedUNet:
    """A UNet whose answer depends on all it is told, in a dtype of its own."""

    def __init__(self, dtype: torch.dtype):
        self.dtype, self.calls = dtype, []
        self.weight = torch.ones((), dtype=dtype, requires_grad=True)  # so that graphs show

    def __call__(self, x, t, prompts):
        if x.dtype != self.dtype:
            raise Wrong(f"the UNet is {self.dtype}, but is asked about pictures of {x.dtype}")
        self.calls.append((int(t), len(x)))
        told = prompts.pooled[:, :1, None, None].to(x.dtype)
        v = torch.tanh(x.flip(-1) + told)
        return torch.cat([x / 2 + told + int(t) / 2000, v], 1) * self.weight


@loop.trial
def estimate_trial(code, draw):
    """Several queries: one call, and the guidance gets what each was answered."""
    from minidiff.deepfloyd.unet import Cond

    queries, unet = draw.choice("queries", (1, 2, 3)), AskedUNet(draw.dtype)
    prompt = Cond(draw.tensor("prompt", draw.batch, 3), (), ())
    guidance, x = Weighted(prompt, queries), draw.picture("x", 3)
    eps, v = code.estimate(unet, x, 5, guidance, Cond.cat(guidance.prompts))
    return {"the UNet's calls": unet.calls, "eps": eps.detach(), "v": v.detach()}


@dataclass(frozen=True)
class Weighted(Ask):
    """Each of its queries counts for another share, and sees another picture."""

    def pictures(self, x):
        return [x * (i + 1) for i in range(self.queries)]

    def combine(self, answers):
        shares = [(i + 1) / len(answers) for i in range(len(answers))]
        return tuple(sum(s * a for s, a in zip(shares, part)) for part in zip(*answers))

    def take(self, rows):
        return Weighted(self.cond.take(rows), self.queries)


@loop.trial
def loop_trial(code, draw):
    """Pictures with prompts of their own that join at different times."""
    from minidiff.deepfloyd.unet import Cond

    pairs, count = draw.pairs(), draw.batch
    starts = [int(draw.share(f"start of {i}") * len(pairs)) for i in range(count)]
    starts = draw.choice("start", (starts, 0, 1, tuple(starts)))
    settings = {"start": starts, "fixed_v": draw.choice("fixed_v", (None, 0.0, -1.0, 0.5))}
    if draw.choice("threshold", (False, True)):
        settings["threshold"] = torch.tanh
    if draw.choice("after_step", (False, True)):
        settings["after_step"] = lambda x, t, rows: x * 0.9 + t / 1000 + torch.tensor(
            rows, dtype=x.dtype)[:, None, None, None]  # fmt: skip
    dtype = draw.choice("dtype of the walk", (torch.float32, torch.float64))
    unet = AskedUNet(torch.bfloat16 if draw.choice("bfloat16 UNet", (False, True)) else dtype)
    guidance = Weighted(Cond(draw.tensor("prompt", count, 3).to(dtype), (), ()), 2)
    noise = RuledNoise(count, (3, draw.height, draw.width), dtype=dtype)
    x = draw.picture("x", 3).to(dtype)
    given = {}
    for s in code.denoise(unet, ClosedFormSchedule(), x, pairs, guidance, noise, **settings):
        at = f"at {s.t} -> {s.t_prev},"
        given |= {f"{at} the rows": list(s.rows), f"{at} eps": s.eps, f"{at} x0": s.x0}
        given |= {f"{at} the step's x_t": s.x_t, f"{at} the step's x": s.x}
    return given | {"the UNet's calls": unet.calls}


# --- 1.7 ----------------------------------------------------------------------------------------

start = Exercise(
    "sdedit_start",
    "1.7",
    "Each picture x0[i] (B, 3, H, W), noised to the timestep where its walk begins: the t of "
    "pairs[starts[i]]. Ask schedule.abar(t, like=x0), with t (B,), for the levels and noise.draw() "
    "for the noise. check_starts refuses an index that is not in the list.",
    [Part(SAMPLING, "noised_start")],
)

STARTS = [1, 20]


def begin(code):
    noise = RuledNoise(2, SHAPE[1:])
    return code.noised_start(values("x0", *SHAPE), COURSE, STARTS, ClosedFormSchedule(), noise)


@start.check("a start that does not exist is refused")
def start_refuses(code):
    x0, noise = values("x0", *SHAPE)[:1], RuledNoise(1, SHAPE[1:])
    must_refuse(
        lambda: code.noised_start(x0, COURSE, [33], ClosedFormSchedule(), noise),
        "start 33 of 33 steps",
        "start 33 is accepted, but a walk of 33 steps has the indices 0 to 32",
    )


@start.trial
def start_trial(code, draw):
    """Starts of their own for one to four pictures, in any walk."""
    pairs = draw.pairs()
    starts = draw.wholes("starts", draw.batch, 0, len(pairs) - 1)
    x0, noise = draw.picture("x0", 3), draw.noise()
    return {"the noised picture": code.noised_start(x0, pairs, starts, ClosedFormSchedule(), noise)}
