"""The second stage: what it is shown of the small picture, and how it is told the noise level."""

import math

import torch

from minidiff.deepfloyd.unet import TimeEmbedding
from minidiff.grade.exercises import Exercise, Part
from minidiff.grade.expect import close, equal, true
from minidiff.grade.inputs import ClosedFormSchedule, RuledNoise, cosine_abar, fill, values

CASCADE, GUIDANCE = "minidiff/stage2/cascade.py", "minidiff/guidance.py"
UNET = "minidiff/deepfloyd/unet.py"

# --- the small picture --------------------------------------------------------------------------

small = Exercise(
    "small_picture",
    "0",
    "enlarge makes (B, 3, h, w) as large as size = (H, W), bilinear, so that the pixels of the "
    "corners stay the pixels of the corners. noised_low draws noise, which has the large size, "
    "enlarges the small pictures to it and noises them to `level`: forward_process with "
    "schedule.abar(level, like=...). It draws once, for level 0 too.",
    [Part(CASCADE, "enlarge"), Part(CASCADE, "noised_low")],
)


def straight(low: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Bilinear, written out: pixel i of n lies at i (h - 1) / (n - 1) of the small picture."""

    def along(x: torch.Tensor, axis: int, n: int) -> torch.Tensor:
        h = x.shape[axis]
        at = torch.arange(n, dtype=torch.float64) * (h - 1) / (n - 1)
        first = at.floor().clamp(max=h - 2).long()
        part = (at - first).reshape([-1 if i == axis else 1 for i in range(4)])
        before, after = x.index_select(axis, first), x.index_select(axis, first + 1)
        return (1 - part) * before + part * after

    return along(along(low, 2, height), 3, width)


@small.check("the corners' pixels stay the corners'")
def small_corners(code):
    low = values("low", 2, 3, 3, 4)
    got = code.enlarge(low, (9, 10))
    equal(tuple(got.shape), (2, 3, 9, 10), "the shape of 3 x 4 pixels enlarged to 9 x 10")
    close(got[..., ::8, ::9], low[..., ::2, ::3], "the four corners' pixels")


@small.check("between the pixels a straight line")
def small_lines(code):
    low = values("low", 2, 3, 3, 4)
    for height, width in ((9, 10), (5, 16)):
        got, due = code.enlarge(low, (height, width)), straight(low, height, width)
        close(got, due, f"3 x 4 pixels enlarged to {height} x {width}")


def shown(code, level: int):
    noise = RuledNoise(2, (3, 6, 8))
    got = code.noised_low(values("low", 2, 3, 3, 4), level, ClosedFormSchedule(), noise)
    return got, noise


@small.check("enlarged, then noised to the level")
def small_noised(code):
    large, eps = straight(values("low", 2, 3, 3, 4), 6, 8), values("noise 0", 2, 3, 6, 8)
    for level in (250, 30, 900):
        abar = cosine_abar(level)
        due = math.sqrt(abar) * large + math.sqrt(1 - abar) * eps
        close(shown(code, level)[0], due, f"what is shown at level {level}")


@small.check("noise is drawn once, whatever the level")
def small_draws(code):
    for level in (250, 0):
        equal(shown(code, level)[1].drawn, 1, f"at level {level}, the number of draws")


@small.probe
def small_probe(code):
    return {"enlarged": code.enlarge(values("low", 1, 3, 3, 4), (7, 5)), "250": shown(code, 250)[0]}


# --- the second picture -------------------------------------------------------------------------


class Turning:
    """Stands in for a guidance of two queries, the second of which sees the picture mirrored."""

    prompts = ("empty", "prompt")

    def pictures(self, x):
        return [x, x.flip(-1)]

    def combine(self, answers):
        return answers[1][0] - answers[0][0], answers[0][1]


second = Exercise(
    "second_picture",
    "0",
    "Upscaled is a guidance around another one, `inner`, for a network that sees two pictures: x_t "
    "and, behind it in the channels, `seen`. Each query of the inner guidance is shown both as it "
    "wants to see them; prompts and combine are the inner guidance's own.",
    [Part(GUIDANCE, "Upscaled", ("prompts", "pictures", "combine"))],
)


def pictures_of(code) -> tuple[list, torch.Tensor, torch.Tensor]:
    x, seen = values("x", 2, 3, 4, 4), values("seen", 2, 3, 4, 4)
    return code.Upscaled(Turning(), seen).pictures(x), x, seen


@second.check("a picture of six channels for every query")
def second_shape(code):
    shapes = [tuple(picture.shape) for picture in pictures_of(code)[0]]
    equal(shapes, [(2, 6, 4, 4)] * 2, "the shapes of what two queries are shown")


@second.check("x_t comes first, the small picture behind it")
def second_order(code):
    got, x, seen = pictures_of(code)
    close(got[0][:, :3], x, "what the first query is shown in channels 0 to 2")
    close(got[0][:, 3:], seen, "what the first query is shown in channels 3 to 5")


@second.check("a view turns both pictures")
def second_view(code):
    got, x, seen = pictures_of(code)
    close(got[1][:, :3], x.flip(-1), "x_t as a query with a view is shown it")
    close(got[1][:, 3:], seen.flip(-1), "the small picture as a query with a view is shown it")


@second.check("prompts and answers are the inner guidance's")
def second_inner(code):
    guidance = code.Upscaled(Turning(), values("seen", 2, 3, 4, 4))
    equal(list(guidance.prompts), list(Turning.prompts), "prompts")
    answers = [(values(f"eps {i}", 2, 3, 4, 4), values(f"v {i}", 2, 3, 4, 4)) for i in range(2)]
    eps, v = guidance.combine(answers)
    close(eps, answers[1][0] - answers[0][0], "the combined eps")
    close(v, answers[0][1], "the combined v")


@second.probe
def second_probe(code):
    return dict(zip(("first", "second"), pictures_of(code)[0]))


# --- the noise level ----------------------------------------------------------------------------

told = Exercise(
    "noise_level",
    "0",
    "The noise level of the small picture, a timestep, is embedded as t is: sinusoid(level, dim), "
    "in the dtype of pooled, through `embedding`. The result is added to the pooled text (P, E). "
    "level is one number for all P prompts, or a tensor (P,).",
    [Part(UNET, "with_level")],
)


def embedding_layers() -> TimeEmbedding:
    return fill(TimeEmbedding(8, 6))


def waves(level: int) -> torch.Tensor:
    """The level's code, written out: four cosines, then four sines."""
    angles = [level * 10000 ** (-i / 4) for i in range(4)]
    numbers = [*map(math.cos, angles), *map(math.sin, angles)]
    return torch.tensor([numbers], dtype=torch.float64)


def due_level(levels: list[int]) -> torch.Tensor:
    layers, pooled = embedding_layers(), values("pooled", len(levels), 6)
    return pooled + torch.cat([layers(waves(level)) for level in levels])


@told.check("the text stays")
def told_text(code):
    layers = embedding_layers()
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.zero_()
    pooled = values("pooled", 3, 6)
    close(code.with_level(pooled, 250, layers, 8), pooled, "the result where the embedding is 0")


@told.check("embedded as a timestep is, and added")
def told_added(code):
    for level in (250, 0, 30):
        got = code.with_level(values("pooled", 2, 6), level, embedding_layers(), 8)
        close(got, due_level([level] * 2), f"the result for level {level}", 1e-4)


@told.check("every prompt may have its own level")
def told_each(code):
    levels = [250, 30, 900]
    pooled = values("pooled", 3, 6)
    got = code.with_level(pooled, torch.tensor(levels), embedding_layers(), 8)
    close(got, due_level(levels), "the result for three levels", 1e-4)


@told.check("the dtype stays that of the text")
def told_dtype(code):
    got = code.with_level(values("pooled", 2, 6).float(), 250, embedding_layers().float(), 8)
    true(got.dtype == torch.float32, "the result is not float32 where text and layers are")


@told.probe
def told_probe(code):
    pooled = values("pooled", 2, 6)
    return {"levels": code.with_level(pooled, torch.tensor([250, 30]), embedding_layers(), 8)}
