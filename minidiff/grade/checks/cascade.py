"""The second stage: what it is shown of the small picture, and how it is told the noise level."""

import torch
from torch import nn

from minidiff.deepfloyd.unet import TimeEmbedding
from minidiff.grade.exercises import Exercise, Part
from minidiff.grade.expect import close, equal
from minidiff.grade.inputs import ClosedFormSchedule, RuledNoise, cosine_abar, fill, values
from minidiff.guidance import Guidance, Plain

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


@small.check("the corners' pixels stay the corners'")
def small_corners(code):
    low = values("low", 2, 3, 3, 4)
    got = code.enlarge(low, (9, 10))
    equal(tuple(got.shape), (2, 3, 9, 10), "the shape of 3 x 4 pixels enlarged to 9 x 10")
    close(got[..., ::8, ::9], low[..., ::2, ::3], "the four corners' pixels")


@small.check("between the pixels a straight line")
def small_lines(code):
    low = torch.tensor([0.0, 1.0, 3.0]).double().expand(1, 3, 2, 3)
    due = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0])
    got = code.enlarge(low, (4, 9))
    close(got, due.expand(1, 3, 4, 9), "a row of 0, 1, 3, enlarged to 9 pixels,")


@small.check("the picture fades as the noise grows")
def small_noised(code):
    low, noise = torch.ones(2, 3, 3, 4).double(), values("noise 0", 2, 3, 6, 8)
    for level in (250, 30, 900):
        due = cosine_abar(level) ** 0.5
        faded = shown(code, level, low)[0] - (1 - cosine_abar(level)) ** 0.5 * noise
        close(faded, due, f"at level {level}, what is left of a picture of ones")


@small.check("noise is drawn once, whatever the level")
def small_draws(code):
    for level in (250, 0):
        equal(
            shown(code, level, values("low", 2, 3, 3, 4))[1].drawn,
            1,
            f"at level {level}, the number of draws",
        )


def shown(code, level: int, low: torch.Tensor):
    noise = RuledNoise(2, (3, 6, 8))
    return code.noised_low(low, level, ClosedFormSchedule(), noise), noise


@small.trial
def enlarge_trial(code, draw):
    low, larger = draw.picture("low", 3), draw.choice("enlarged by", ((5, 9), (0, 3), (2, 2)))
    size = (draw.height + larger[0], draw.width + larger[1])
    return {"the enlarged picture": code.enlarge(low, size)}


@small.trial
def shown_trial(code, draw):
    """Pictures of any size, and noise that is larger."""
    low = draw.picture("low", 3)
    size = (draw.height + draw.whole("rows more", 1, 5), 2 * draw.width)
    noise = RuledNoise(draw.batch, (3, *size), dtype=draw.dtype)
    level = draw.choice("level", (250, 0, 999, 40, 700, 1))
    got = code.noised_low(low, level, ClosedFormSchedule(), noise)
    return {"the number of draws": noise.drawn, "what is shown": got}


# --- the second picture -------------------------------------------------------------------------


class Mirrored(Guidance):
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


@second.check("x_t comes first, the small picture behind it, in the channels")
def second_order(code):
    x, seen = values("x", 2, 3, 4, 4), values("seen", 2, 3, 4, 4)
    got = list(code.Upscaled(Mirrored(), seen).pictures(x))
    shapes = [tuple(picture.shape) for picture in got]
    equal(shapes, [(2, 6, 4, 4)] * 2, "the shapes of what two queries are shown")
    close(got[0][:, :3], x, "what the first query is shown in channels 0 to 2")
    close(got[0][:, 3:], seen, "what the first query is shown in channels 3 to 5")


@second.trial
def second_trial(code, draw):
    """Around a guidance of two queries, and around one of one."""
    inner = draw.choice("inner", (Mirrored(), Plain("prompt")))
    draw.said["inner"] = type(inner).__name__
    guidance = code.Upscaled(inner, draw.picture("seen", 3))
    shown_ = list(guidance.pictures(draw.picture("x", 3)))
    eps, v = guidance.combine(
        [(draw.picture(f"eps {i}"), draw.picture(f"v {i}")) for i in range(len(shown_))]
    )
    return {"what is shown": shown_, "prompts": list(guidance.prompts), "eps": eps, "v": v}


# --- the noise level ----------------------------------------------------------------------------

told = Exercise(
    "noise_level",
    "0",
    "The noise level of the small picture, a timestep, is embedded as t is: sinusoid(level, dim), "
    "in the dtype of pooled, through `embedding`. The result is added to the pooled text (P, E). "
    "level is one number for all P prompts, or a tensor (P,).",
    [Part(UNET, "with_level")],
)


@told.check("the text stays")
def told_text(code):
    layers = fill(TimeEmbedding(8, 6))
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.zero_()
    pooled = values("pooled", 3, 6)
    close(code.with_level(pooled, 250, layers, 8), pooled, "the result where the embedding is 0")


@told.trial
def told_trial(code, draw):
    """One level for all, or one each; the ends of the schedule, and text in half precision."""
    dim, width = draw.choice("dim", (8, 6)), draw.whole("width", 3, 7)
    layers, pooled = fill(TimeEmbedding(dim, width)), draw.tensor("pooled", draw.batch, width)
    each = torch.tensor(draw.wholes("levels", draw.batch, 1, 999))
    level = draw.choice("level", (250, each, 999, 0, 901, 333))
    with torch.no_grad():
        got = code.with_level(pooled, level, layers.to(draw.dtype), dim)
        waves = code.with_level(draw.tensor("zero", draw.batch, dim) * 0, level, nn.Identity(), dim)
    return {"where text is 0 and no layers are, the result": waves, "the result": got}
