"""How estimates combine: guidance, anagrams, hybrids, inpainting, and the views."""

import math

import torch

from minidiff.grade.exercises import Exercise, Part
from minidiff.grade.expect import close, equal, same_kind, true
from minidiff.grade.inputs import ClosedFormSchedule, RuledNoise, cosine_abar, normal, values

EQUATIONS, GUIDANCE = "minidiff/equations.py", "minidiff/guidance.py"
SAMPLING, VIEWS = "minidiff/sampling.py", "minidiff/views.py"
SHAPE = (2, 3, 8, 8)


def answer(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What the UNet says to one query: eps and v."""
    return values(f"eps {name}", *SHAPE), values(f"v {name}", *SHAPE)


def guided(u: str, c: str, scale: float) -> torch.Tensor:
    """Equation A.4, with plain arithmetic."""
    return (1 - scale) * answer(u)[0] + scale * answer(c)[0]


# --- 1.6 ----------------------------------------------------------------------------------------

cfg = Exercise(
    "guidance",
    "1.6",
    "CFG says which prompts a step asks about (first the empty one, then the prompt) and how the "
    "two answers combine. answers is a list of (eps, v), in the order of prompts; the result is "
    "one eps, guided, and one v: the prompt's own, as the UNet gave it.",
    [Part(GUIDANCE, "CFG", ("prompts", "combine"))],
)


@cfg.check("asks first without, then with the prompt")
def cfg_order(code):
    equal(code.CFG("prompt", "empty").prompts, ["empty", "prompt"], "prompts")


@cfg.check("eps is guided")
def cfg_eps(code):
    for scale in (0.0, 1.0, 7.0):
        eps, _ = code.CFG("prompt", "empty", scale).combine([answer("u"), answer("c")])
        close(eps, guided("u", "c", scale), f"at scale {scale:.0f}, eps")


@cfg.trial
def cfg_trial(code, draw):
    own = draw.choice("scale", ((0.0,), (1.0,), (), (2.5,)))
    eps, v = code.CFG("prompt", "empty", *own).combine(answers(draw, 2))
    return {"eps": eps, "v": v, "prompts": list(code.CFG("prompt", "empty").prompts)}


def answers(draw, count: int) -> list:
    """What the UNet says to so many queries."""
    return [(draw.picture(f"eps {i}"), draw.picture(f"v {i}")) for i in range(count)]


# --- 1.8 ----------------------------------------------------------------------------------------


class Roll:
    """A view that is not its own inverse: every row moves on by one pixel."""

    def view(self, x):
        return x.roll(1, -1)

    def inverse(self, x):
        return x.roll(-1, -1)

    def inverse_variance(self, v):
        return self.inverse(v)


class Dark(Roll):
    """A view that changes signs as well, but not those of a variance."""

    def view(self, x):
        return -x.roll(1, -1)

    def inverse(self, x):
        return -x.roll(-1, -1)

    def inverse_variance(self, v):
        return v.roll(-1, -1)


class Straight(Roll):
    def view(self, x):
        return x

    inverse = view


anagram = Exercise(
    "anagram",
    "1.8",
    "anagram_estimate is the mean of estimates that all hang upright. Anagram asks, for every view "
    "and its prompt, about the picture as that view shows it: without the prompt and with it. "
    "combine guides each pair, turns the estimate back, and takes the mean; v is that of the first "
    "prompt, turned back. answers are in the order of prompts: empty, first, empty, second.",
    [
        Part(EQUATIONS, "anagram_estimate"),
        Part(GUIDANCE, "Anagram", ("prompts", "pictures", "combine")),
    ],
)


VIEW_PAIR = (Straight(), Roll())


def make_anagram(code, views=VIEW_PAIR, scale=7.0):
    return code.Anagram(("first", "second"), "empty", views, scale)


ASKED = ["u1", "c1", "u2", "c2"]


@anagram.check("the mean of the estimates")
def anagram_mean(code):
    a, b, c = (answer(name)[0] for name in "abc")
    close(code.anagram_estimate([a, b]), (a + b) / 2, "the mean of two estimates")
    close(code.anagram_estimate([a, b, c]), (a + b + c) / 3, "the mean of three estimates")


@anagram.check("each prompt sees the picture through its own view")
def anagram_pictures(code):
    x = values("x", *SHAPE)
    seen = make_anagram(code).pictures(x)
    equal(len(seen), 4, "the number of pictures")
    for i, due in enumerate([x, x, x.roll(1, -1), x.roll(1, -1)]):
        close(seen[i], due, f"picture {i}, for {['empty', 'first', 'empty', 'second'][i]},")
    equal(make_anagram(code).prompts, ["empty", "first", "empty", "second"], "prompts")


@anagram.check("estimates are turned back before they meet")
def anagram_back(code):
    eps, _ = make_anagram(code, scale=1.0).combine([answer(name) for name in ASKED])
    due = (answer("c1")[0] + answer("c2")[0].roll(-1, -1)) / 2
    close(eps, due, "at scale 1, eps")


@anagram.trial
def anagram_mean_trial(code, draw):
    estimates = [draw.picture(f"eps {i}") for i in range(draw.choice("views", (1, 2, 3, 5)))]
    return {"the mean": code.anagram_estimate(estimates)}


@anagram.trial
def anagram_trial(code, draw):
    views = draw.choice(
        "views", (VIEW_PAIR, (Dark(), Straight()), (Dark(),), (Roll(), Dark(), Roll()))
    )
    draw.said["views"] = len(views)
    conds, scale = ("a", "b", "c")[: len(views)], draw.choice("scale", (7.0, 0.0, 1.0, 3.0))
    guidance = code.Anagram(conds, "empty", views, scale)
    seen = list(guidance.pictures(draw.picture("x")))
    eps, v = guidance.combine(answers(draw, 2 * len(views)))
    return {"prompts": list(guidance.prompts), "the pictures": seen, "eps": eps, "v": v}


# --- 1.9 ----------------------------------------------------------------------------------------

hybrid = Exercise(
    "hybrid",
    "1.9",
    "hybrid_estimate takes the low frequencies of eps_far and the high ones of eps_near, given a "
    "function low_pass. course_low_pass is torchvision's gaussian_blur with kernel 33, sigma 2. "
    "Hybrid guides both estimates against one empty prompt and makes one of them; v is the far "
    "prompt's. answers are in the order of prompts: empty, far, near.",
    [
        Part(EQUATIONS, "hybrid_estimate"),
        Part(GUIDANCE, "course_low_pass"),
        Part(GUIDANCE, "Hybrid", ("prompts", "combine")),
    ],
)


@hybrid.check("low frequencies from afar, high ones from close up")
def hybrid_split(code):
    far, near = answer("far")[0], answer("near")[0]
    everything = code.hybrid_estimate(far, near, lambda x: x)
    close(everything, far, "if all frequencies are low, the estimate")
    close(code.hybrid_estimate(far, near, lambda x: 0 * x), near, "if none is low, the estimate")
    quarter = code.hybrid_estimate(far, near, lambda x: x / 4)
    close(quarter, far / 4 + near * 3 / 4, "if low_pass gives a quarter, the estimate")


@hybrid.check("the low-pass keeps flat areas and spreads a point by sigma 2")
def hybrid_blur(code):
    close(code.course_low_pass(torch.ones(1, 3, 40, 40).double()), 1.0, "a flat picture, blurred,")
    point = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    point[..., 20, 20] = 1
    row = [math.exp(-(k**2) / 8) for k in range(-16, 17)]
    due = torch.tensor([[a * b for a in row] for b in row], dtype=torch.float64) / sum(row) ** 2
    close(code.course_low_pass(point)[0, 0, 4:37, 4:37], due, "a point, blurred,", 1e-6)


@hybrid.trial
def hybrid_trial(code, draw):
    far, near = draw.picture("far"), draw.picture("near")
    return {"the estimate": code.hybrid_estimate(far, near, lambda x: x.roll(1, -1) / 4)}


@hybrid.trial
def hybrid_blur_trial(code, draw):
    return {"the blurred picture": code.course_low_pass(draw.tensor("x", draw.batch, 3, 20, 18))}


@hybrid.trial
def hybrid_guidance_trial(code, draw):
    scale, part = draw.choice("scale", (7.0, 0.0, 1.0, 3.0)), draw.number("low share", 0.1, 0.9)
    guidance = code.Hybrid("far", "near", "empty", scale, lambda x: x.roll(1, -1) * part)
    eps, v = guidance.combine(answers(draw, 3))
    return {"prompts": list(guidance.prompts), "eps": eps, "v": v}


# --- 1.7.2 --------------------------------------------------------------------------------------

inpaint = Exercise(
    "inpaint",
    "1.7.2",
    "inpaint_blend keeps x_t where mask is 1 and the noised original where it is 0: equation A.5. "
    "keep_outside returns the function after_step(x, t_prev, rows) that the loop calls after every "
    "step: it noises original[rows] to the level just reached, t_prev, with noise.draw(rows) and "
    "schedule.abar(t_prev, like=x), and blends. original is (B, 3, H, W), mask (B or 1, 1, H, W); "
    "one_mask_each(mask, original) makes it one per picture, to be taken by rows as well.",
    [Part(EQUATIONS, "inpaint_blend"), Part(SAMPLING, "keep_outside")],
)


def half_mask() -> torch.Tensor:
    """1 in the left half, where something new goes."""
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    mask[..., :4] = 1
    return mask


@inpaint.check("inside the mask the new, outside the original")
def inpaint_sides(code):
    x, original = values("x", *SHAPE), values("original", *SHAPE)
    got = code.inpaint_blend(x, original, half_mask())
    close(got[..., :4], x[..., :4], "where the mask is 1, the picture")
    close(got[..., 4:], original[..., 4:], "where the mask is 0, the picture")


@inpaint.check("the original is noised to the level just reached")
def inpaint_level(code):
    x, original, noise = values("x", *SHAPE), values("original", *SHAPE), RuledNoise(2, SHAPE[1:])
    after_step = code.keep_outside(original, half_mask(), ClosedFormSchedule(), noise)
    true(
        callable(after_step), "keep_outside should return a function: is there `return after_step`?"
    )
    for draw, t_prev in enumerate((660, 300, 0)):
        abar, eps = cosine_abar(t_prev), values(f"noise {draw}", *SHAPE)
        due = math.sqrt(abar) * original + math.sqrt(1 - abar) * eps
        got = after_step(x, t_prev, [0, 1])
        same_kind(got, due, f"what after_step gives at t_prev = {t_prev}")
        close(got[..., 4:], due[..., 4:], f"outside the mask at t_prev = {t_prev}, the picture")
        close(got[..., :4], x[..., :4], f"inside the mask at t_prev = {t_prev}, the picture")


@inpaint.check("when the walk ends on the clean picture, the outside is the original itself")
def inpaint_end(code):
    x, original, noise = values("x", *SHAPE), values("original", *SHAPE), RuledNoise(2, SHAPE[1:])
    after_step = code.keep_outside(original, half_mask(), ClosedFormSchedule(), noise)
    got = after_step(x, -1, [0, 1])
    close(got[..., 4:], original[..., 4:], "at t_prev = -1, outside the mask, the picture")


@inpaint.trial
def inpaint_blend_trial(code, draw):
    x, original = draw.picture("x_t"), draw.picture("x_orig_t")
    mask = (draw.tensor("mask", draw.batch, 1, draw.height, draw.width) > 0).to(draw.dtype)
    return {"the blend": code.inpaint_blend(x, original, mask)}


@inpaint.trial
def inpaint_trial(code, draw):
    """Some of the pictures, others from call to call, down to a clean one."""
    original, noise = draw.picture("original", 3), draw.noise()
    masks = draw.choice("masks", (1, draw.batch))
    mask = (draw.tensor("mask", masks, 1, draw.height, draw.width) > 0).to(draw.dtype)
    after_step = code.keep_outside(original, mask, ClosedFormSchedule(), noise)
    given = {}
    for t_prev in (660, 30, 0, -1):
        rows = draw.rows(f"rows at {t_prev}", draw.batch)
        x = draw.picture(f"x {t_prev}", 3)[rows]
        given[f"the picture at t_prev = {t_prev}"] = after_step(x, t_prev, rows)
    return given


# --- 1.8, views ---------------------------------------------------------------------------------

views = Exercise(
    "views",
    "1.8",
    "Views of a picture (B, C, H, W), each with its inverse. FlipUpDown turns rows upside down. "
    "Rotate makes quarter turns, counter-clockwise. Negate changes the sign of the picture, but "
    "the variance, which it does not touch, has none. Permute shuffles square pieces, in the order "
    "that self.order gives. InnerCircle turns the disc in the middle by quarter turns.",
    [
        Part(VIEWS, "FlipUpDown", ("view",)),
        Part(VIEWS, "Rotate", ("view", "inverse")),
        Part(VIEWS, "Negate", ("view", "inverse_variance")),
        Part(VIEWS, "Permute", ("view", "inverse")),
        Part(VIEWS, "InnerCircle", ("view", "inverse", "turn")),
    ],
)


def all_views(code) -> dict:
    return {
        "FlipUpDown()": code.FlipUpDown(),
        "Rotate(90)": code.Rotate(90),
        "Rotate(180)": code.Rotate(180),
        "Negate()": code.Negate(),
        "Permute(4)": code.Permute(4),
        "Permute(1)": code.Permute(1),
        "InnerCircle()": code.InnerCircle(),
    }


@views.check("the inverse undoes the view")
def views_inverse(code):
    x = values("x", *SHAPE)
    for name, view in all_views(code).items():
        close(view.inverse(view.view(x)), x, f"{name}: the inverse of the view")


@views.check("white noise stays white")
def views_white(code):
    x = normal("white", 1, 1, 16, 16)
    for name, view in all_views(code).items():
        seen = view.view(x)
        same = torch.equal(seen.abs().flatten().sort().values, x.abs().flatten().sort().values)
        true(same, f"{name}: a pixel of the view is not a pixel of the picture (or its negative)")


@views.check("the flip is upside down, not left-right")
def views_flip(code):
    x = values("x", *SHAPE)
    due = torch.stack([x[..., 7 - i, :] for i in range(8)], dim=-2)
    close(code.FlipUpDown().view(x), due, "the flipped picture")


@views.check("a quarter turn is counter-clockwise, a half turn moves both ways")
def views_turn(code):
    x = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    x[..., 0, 3] = 1  # top right
    for degrees, row, column in ((90, 0, 0), (180, 3, 0), (270, 3, 3)):
        got = code.Rotate(degrees).view(x)[..., row, column]
        close(got, 1.0, f"after {degrees} degrees the corner, due at ({row}, {column}),")


@views.check("the circle turns inside and stands still outside")
def views_circle(code):
    x = values("x", 1, 1, 8, 8)
    got = code.InnerCircle().view(x)
    close(got[..., 0, :], x[..., 0, :], "the top row")
    close(got[..., 3:5, 3:5], x[..., 3:5, 3:5].rot90(1, (-2, -1)), "the middle")


@views.trial
def views_trial(code, draw):
    size, seed, degrees = (draw.whole(n, 0, 3) for n in ("size", "seed", "degrees"))
    permute, turn = code.Permute(size + 1, seed), code.Rotate(90 * degrees)
    side = 2 * draw.whole("half the side", 2, 5)
    wide, square = draw.picture("x"), draw.tensor("square", draw.batch, draw.channels, side, side)
    pieces = draw.tensor("pieces", draw.batch, draw.channels, 2 * size + 2, 3 * size + 3)
    given = {}
    for name, view, x in (
        ("FlipUpDown()", code.FlipUpDown(), wide),
        (f"Rotate({90 * degrees})", turn, wide),
        ("Negate()", code.Negate(), wide),
        ("InnerCircle()", code.InnerCircle(), square),
        (f"Permute({size + 1}, {seed})", permute, pieces),
    ):
        given[f"{name}: the view"], given[f"{name}: the inverse"] = view.view(x), view.inverse(x)
        given[f"{name}: the inverse for v"] = view.inverse_variance(x)
    return given
