"""Part B's DDPM: the training loss, class dropout, sampling, guided sampling."""

import math
from functools import partial

import torch
from torch import nn

from minidiff.grade.checks import masks
from minidiff.grade.exercises import Exercise, Part
from minidiff.grade.expect import Wrong, be, close, equal, true
from minidiff.grade.harness import A_GENERATOR, OWN_NOISE
from minidiff.grade.inputs import RuledNoise, ruled_torch, values

DDPM, EQUATIONS = "minidiff/mnist/ddpm.py", "minidiff/equations.py"
STEPS = 300
BETAS = torch.tensor([1e-4 + (0.02 - 1e-4) * i / 299 for i in range(STEPS)], dtype=torch.float64)
ABARS = torch.cumprod(1 - BETAS, 0)
TABLE = {"betas": BETAS, "alphas": 1 - BETAS, "alpha_bars": ABARS}
SHAPE = (64, 1, 4, 4)


class Recorder(nn.Module):
    """Stands in for a UNet: remembers what it is asked and in which mode; answers 0."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.calls: list[tuple] = []
        self.modes: list[bool] = []

    def forward(self, x, *rest, **named):
        rest = (*rest, *named.values())
        self.calls.append((x, *rest))
        self.modes.append(self.training)
        return 0 * x + 0 * self.one


def clean() -> torch.Tensor:
    return values("clean", *SHAPE) / 4 + 0.5


# --- B.2.2 --------------------------------------------------------------------------------------

loss = Exercise(
    "ddpm_loss",
    "B.2.2",
    "Algorithm B.1. ddpm_example noises x_0 (N, 1, H, W), each picture to a timestep of its own, "
    "drawn from 0..T-1 with torch.randint, and gives ((x_t, t / T), eps): what the UNet is called "
    "with, and what it should answer. squared_error is the mean over all pixels. ddpm_forward sets "
    "the UNet to training and gives the loss. schedule is a dict with alpha_bars (T,).",
    [
        Part(DDPM, "ddpm_example"),
        Part(DDPM, "squared_error"),
        Part(DDPM, "ddpm_forward"),
    ],
)


@loss.check("every picture has its own timestep, from 0 to T-1")
def loss_timesteps(code):
    (x_t, t), _ = code.ddpm_example(TABLE, torch.zeros(4096, 1, 1, 1, dtype=torch.float64))
    equal(tuple(t.shape), (4096,), "the shape of t for 4096 pictures")
    true(len(t.unique()) > 100, f"t has {len(t.unique())} different values for 4096 pictures")
    close(x_t.isfinite().double(), 1.0, "whether x_t is finite")


@loss.check("the UNet is told t / T")
def loss_normalised(code):
    (_, t), _ = code.ddpm_example(TABLE, torch.zeros(4096, 1, 1, 1, dtype=torch.float64))
    true(0 <= float(t.min()) and float(t.max()) <= 1, f"t reaches {float(t.max()):.4g}, beyond 1")
    true(float(t.max()) > 0.9, f"t never exceeds {float(t.max()):.4g}, though 4096 were drawn")


@loss.check("the target is the noise")
def loss_target(code):
    _, eps = code.ddpm_example(TABLE, torch.zeros(4096, 1, 4, 4, dtype=torch.float64))
    spread = float(eps.double().std())
    true(0.97 < spread < 1.03, f"the target's standard deviation is {spread:.3g}; noise has 1")


def table(draw) -> dict:
    """A schedule of any length, as ddpm_schedule makes it."""
    betas = torch.linspace(0.01, 0.2, draw.choice("T", (300, 7, 40)), dtype=torch.float64)
    made = {"betas": betas, "alphas": 1 - betas, "alpha_bars": torch.cumprod(1 - betas, 0)}
    return {name: numbers.float() for name, numbers in made.items()}


def training_batch(draw, handed: bool = True):
    """Clean pictures, their digits, and a generator or None; none if it cannot be handed in."""
    x_0 = draw.tensor("x_0", draw.batch + 3, 1, draw.height, draw.width, dtype=torch.float32)
    c = torch.tensor(draw.wholes("digits", len(x_0), 0, 9))
    given = draw.choice(A_GENERATOR, (True, True, False) if handed else (False,))
    generator = draw.generator() if given else None
    return x_0, c, generator


@loss.trial
def example_trial(code, draw):
    x_0, _, generator = training_batch(draw)
    with ruled_torch() as streams:
        (x_t, t), eps = code.ddpm_example(table(draw), x_0, generator)
    honoured(generator, streams)
    return {"t": t, "the target": eps, "x_t": x_t}


def honoured(generator, streams, uniform: str = "the mask") -> None:
    """Whoever hands in a generator wants all numbers from it. uniform: what torch.rand is for."""
    seeds = {generator.initial_seed()} if generator is not None else set()
    if streams.seeds - seeds:
        sentence = "random numbers come from a generator that the code has made itself"
        raise Wrong(sentence, OWN_NOISE, "own-random-numbers")
    if generator is not None and streams.without:
        kinds = {"normal": "the noise", "uniform": uniform, "integer": "the timesteps"}
        what = " and ".join(kinds[kind] for kind in streams.without)
        raise Wrong(
            f"with a generator handed in, {what} {be(what)} drawn without it",
            hint="The generator is not handed on: whoever seeds it would not get the same numbers "
            "twice. Every call that draws wants generator=generator.",
            mistake="generator-ignored",
        )


class Answering(Recorder):
    """A UNet with a weight, whose answer depends on all it is told and on its mode."""

    def forward(self, x, *rest, **named):
        rest = (*rest, *named.values())
        super().forward(x, *rest)
        told = sum(part.reshape(-1, 1, 1, 1).to(x.dtype) for part in rest if part is not None)
        return x / 3 + (0.1 if self.training else 0.2) * told + self.one.to(x.dtype)


@loss.trial
def loss_trial(code, draw):
    x_0, unet, steps = training_batch(draw, handed=False)[0], Answering().train(), table(draw)
    inputs = (draw.tensor("x_t", *x_0.shape, dtype=torch.float32), draw.tensor("t", len(x_0)))
    target = draw.tensor("target", *x_0.shape, dtype=torch.float32)
    error = code.squared_error(unet, (inputs, target))
    unet.train(draw.choice("in training before", (True, False)))
    with ruled_torch():
        loss = code.ddpm_forward(unet, steps, x_0, len(steps["betas"]))
    return {"squared_error": error, "the loss": loss, "training mode afterwards": unet.training}


# --- B.2.4 --------------------------------------------------------------------------------------

dropout = Exercise(
    "class_dropout",
    "B.2.4",
    "Algorithm B.3. class_ddpm_example adds to ddpm_example the digits c (N,) and a mask (N,): 0 "
    "where the whole class is dropped, with chance p_uncond, 1 elsewhere. It gives ((x_t, c, "
    "t / T, mask), eps).",
    [Part(DDPM, "class_ddpm_example")],
)


def dropped(code, p: float, n: int = 20000, digits: int = 1) -> torch.Tensor:
    """The mask of n pictures, of so many different digits."""
    x, c = torch.zeros(n, 1, 1, 1, dtype=torch.float64), torch.arange(n) % digits
    (_, _, _, mask), _ = code.class_ddpm_example(TABLE, x, c, p)
    masks.must_be_per_picture(mask, c, "dropout-whole-batch", "dropout-single-entries")
    return mask.double()


@dropout.check("one number per picture, 0 or 1")
def dropout_whole(code):
    mask = dropped(code, 0.1, 200)
    equal(sorted({*mask.tolist(), 0.0, 1.0}), [0.0, 1.0], "the values of the mask")


@dropout.check("a share of p_uncond is dropped")
def dropout_share(code):
    for p in (0.1, 0.3):
        share = 1 - float(dropped(code, p).mean())
        right = abs(share - p) < 0.02
        small = [] if right else [dropped(code, 0.5, 8, 10) for _ in range(40)]
        sign = masks.one_draw_sign(small, "dropout-whole-batch")
        true(right, f"with p_uncond = {p}, a share of {share:.3f} is dropped", **sign)
    masks.must_be_drawn(partial(dropped, code), "dropout-not-drawn")


@dropout.trial
def dropout_trial(code, draw):
    """The mask may be drawn in several ways: its share is looked at, and who drew it."""
    x_0, c, generator = training_batch(draw)
    p = draw.choice("p_uncond", (0.0, 1.0, 0.5, 0.25))
    with ruled_torch() as streams:
        (x_t, got, t, mask), eps = code.class_ddpm_example(table(draw), x_0, c, p, generator)
    honoured(generator, streams)
    given = {"t": t, "the target": eps, "x_t": x_t, "the digits": got}
    return given | {"the mask": mask.double() if p in (0.0, 1.0) else tuple(mask.shape)}


# --- B.2.3 --------------------------------------------------------------------------------------

sampling = Exercise(
    "ddpm_sampling",
    "B.2.3",
    "Algorithm B.2. ddpm_step goes from t to t - 1 with fresh noise z, scaled by sqrt(beta). "
    "denoising_walk draws x_T with noise.draw(), yields it, and then the picture after each step, "
    "t = T-1 .. 0; estimate(x_t, t / T as (N,)) is the noise in x_t. The last step ends where abar "
    "is 1 and adds no noise. time_walk puts the UNet into eval mode and walks from the seeds.",
    [
        Part(EQUATIONS, "ddpm_step"),
        Part(DDPM, "denoising_walk"),
        Part(DDPM, "time_walk"),
    ],
)

SPREAD = 0.2
PAIR = (2, 1, 4, 4)


def level(t: int) -> float:
    return float(ABARS[t]) if t >= 0 else 1.0


def gaussian_eps(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The exact noise estimate for pictures of independent pixels of variance SPREAD."""
    abar = ABARS[(t * STEPS).round().long().clamp(0, STEPS - 1)].reshape(-1, 1, 1, 1)
    return (1 - abar).sqrt() / (abar * SPREAD + 1 - abar) * x


def due_walk() -> list[torch.Tensor]:
    """The walk on the exact estimate, by plain arithmetic."""
    x = values("noise 0", *PAIR)
    frames = [x]
    for draw, t in enumerate(reversed(range(STEPS)), start=1):
        abar, prev = level(t), level(t - 1)
        now, before = abar * SPREAD + 1 - abar, prev * SPREAD + 1 - prev
        x = math.sqrt(abar / prev) * before / now * x
        if t > 0:
            x = x + math.sqrt(1 - abar / prev) * values(f"noise {draw}", *PAIR)
        frames.append(x)
    return frames


def run_walk(code):
    asked = []

    def estimate(x, t):
        asked.append(t)
        return gaussian_eps(x, t)

    noise = RuledNoise(2, PAIR[1:])
    noise.device = "cpu"
    return list(code.denoising_walk(estimate, TABLE, noise)), asked


def tensor(x: float) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float64)


@sampling.check("the UNet is asked at T-1, ..., 0, divided by T")
def sampling_asked(code):
    frames, asked = run_walk(code)
    equal(len(frames), STEPS + 1, "the number of pictures yielded")
    equal(tuple(asked[0].shape), (2,), "the shape of t for two pictures")
    got = [round(float(t[0]) * STEPS) for t in asked]
    equal(got, list(reversed(range(STEPS))), "the timesteps, times T,")


@sampling.check("the walk starts from pure noise")
def sampling_start(code):
    close(run_walk(code)[0][0], values("noise 0", *PAIR), "the first picture")


@sampling.check("Gaussian pictures: the walk is the exact one, up to its last step")
def sampling_gaussian(code):
    frames, _ = run_walk(code)
    for i, due in enumerate(due_walk()[:-1]):
        close(frames[i], due, f"after step {i}, the picture")


@sampling.check("the last step ends on the clean picture and adds no noise")
def sampling_last(code):
    frames, _ = run_walk(code)
    close(frames[-1], due_walk()[-1], "the last picture")


def short_table() -> dict:
    return {name: table[:5].float() for name, table in TABLE.items()}


@sampling.trial
def step_trial(code, draw):
    x, eps, z = (draw.picture(name) for name in ("x_t", "eps", "z"))
    return {"the next picture": code.ddpm_step(x, eps, z, *draw.levels("abar", "abar_prev"))}


@sampling.trial
def walk_trial(code, draw):
    """Schedules of any length; an estimate that depends on all it is told."""
    asked, noise = [], RuledNoise(draw.batch, (1, draw.height, draw.width), dtype=torch.float32)

    def estimate(x, t):
        asked.append(t)
        return x / 3 + t[:, None, None, None].to(x.dtype)

    frames = list(code.denoising_walk(estimate, short(draw), noise))
    times = {"the times asked": torch.stack(asked).float()}
    return times | {f"the picture after step {i}": x for i, x in enumerate(frames)}


def short(draw) -> dict:
    """A short schedule."""
    betas = torch.linspace(0.01, 0.3, draw.choice("T", (5, 2, 9)))
    return {"betas": betas, "alphas": 1 - betas, "alpha_bars": torch.cumprod(1 - betas, 0)}


def seeds_of(draw) -> tuple[list[int], dict]:
    """Seeds, and the size of the pictures: the course's, or width and height of another."""
    size = draw.choice("img_wh", ((28, 28), (20, 12), (4, 8)))
    return draw.wholes("seeds", draw.batch, 0, 999), {"img_wh": size}


@sampling.trial
def time_trial(code, draw):
    seeds, size = seeds_of(draw)
    unet = Answering().train(draw.choice("in training before", (True, False)))
    frames = list(code.time_walk(unet, short(draw), seeds, **size))
    return {f"the picture after step {i}": x for i, x in enumerate(frames)}


# --- B.2.5 --------------------------------------------------------------------------------------

guided = Exercise(
    "guided_sampling",
    "B.2.5",
    "Algorithm B.4. class_walk samples a picture of digit c[i] per seed: in each step the UNet is "
    "asked with the mask at 0 and at 1, in one call, and the two estimates are combined by "
    "classifier-free guidance. guidance_scale is a number, or (N,). The UNet is in eval mode.",
    [Part(DDPM, "class_walk")],
)


class Digits(Recorder):
    """A UNet whose answer shows what it was told: 0.1 for every picture, plus (c + 1) if told."""

    def forward(self, x, c, t, mask=None):
        super().forward(x, c, t, mask)
        told = torch.ones(len(x)) if mask is None else mask.reshape(-1)
        told = told.to(x.dtype) * (c + 1).to(x.dtype)
        return (0.1 + 0.01 * told)[:, None, None, None] * torch.ones_like(x)


def guided_walk(code, scale) -> tuple[list[torch.Tensor], Digits]:
    unet, c = Digits().train(), torch.tensor([2, 7])
    with ruled_torch():
        frames = list(code.class_walk(unet, short_table(), c, [5, 6], scale))
    return frames, unet


@guided.check("both estimates of a step come from one call, with mask 0 and 1")
def guided_calls(code):
    _, unet = guided_walk(code, 5.0)
    equal(len(unet.calls), 5, "the number of calls for 5 steps")
    x, c, t, mask = unet.calls[0]
    equal(len(x), 4, "the pictures in a call for 2 samples")
    equal(sorted(mask.flatten().long().tolist()), [0, 0, 1, 1], "the masks of a call, sorted,")
    equal(sorted(c.tolist()), [2, 2, 7, 7], "the digits of a call, sorted,")
    close(t, 4 / 5, "the time of the first call", 1e-5)


class Told(Answering):
    """An Answering that knows classes, and wants the mask to say which are told."""

    def forward(self, x, c, t, mask=None):
        mask = torch.ones(len(x)) if mask is None else mask.reshape(-1)
        return super().forward(x, t, mask.to(x.dtype) * (c + 1) / 5)


@guided.trial
def guided_trial(code, draw):
    seeds, size = seeds_of(draw)
    unet = Told().train(draw.choice("in training before", (True, False)))
    c = torch.tensor(draw.wholes("digits", draw.batch, 0, 9))
    each = draw.numbers("scales", draw.batch, 0, 8)
    each = torch.tensor(each)
    scale = draw.choice("guidance_scale", (each, 0.0, each, 1.0, 7, None))
    more = size if scale is None else size | {"guidance_scale": scale}
    frames = list(code.class_walk(unet, short(draw), c, seeds, **more))
    return {f"the picture after step {i}": x for i, x in enumerate(frames)}
