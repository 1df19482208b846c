"""What the checks of flow matching recognise in a wrong answer, by what it does.

Each `..._sign` gives a hint of the catalogue as the arguments of Wrong, or nothing. They look at
numbers and calls alone, so that it does not matter how the answer is written.
"""

import torch
from torch import Tensor

from minidiff.grade.checks.ddpm import Recorder
from minidiff.grade.expect import Wrong, agree, same_kind, short
from minidiff.grade.mistakes.catalogue import named

Sign = dict[str, str]


# --- times ----------------------------------------------------------------------------------------


def times_sign(t: object) -> Sign:
    """Of the times that were drawn for many pictures."""
    if not isinstance(t, Tensor) or len(t.unique()) == 1:
        return named("one-time-per-batch")
    t = t.double()
    if not bool(t.isfinite().all()):
        return {}
    if bool((t == t.round()).all()) and float(t.max()) > 1:
        return named("time-as-index")
    gaps = t.unique().diff()
    count = round(1 / float(gaps[gaps < 1.5 * gaps.min()].mean()))
    if count < 1e5 and float((t * count - (t * count).round()).abs().max()) < 0.01:
        return named("time-on-a-grid")
    return {}


def example_sign(x_1: Tensor, x_t: Tensor, t: Tensor, u: Tensor) -> Sign:
    """Of an example whose x_t, t and target u do not belong together; t is (N, 1, 1, 1)."""
    if not x_1.shape == x_t.shape == u.shape or len(t) != len(x_1):
        return {}
    middle = ((t > 0.1) & (t < 0.9)).flatten()
    x_1, x_t, t, u = x_1[middle], x_t[middle], t[middle], u[middle]
    noise, other = (x_t - t * x_1) / (1 - t), x_1 - u
    if is_normal(noise) and is_normal(other) and abs(float((noise * other).mean())) < 0.2:
        return named("target-of-another-noise")
    if not is_normal(other):
        return {}
    slope = u.flatten(1)
    own = ((x_t - other).flatten(1) * slope).sum(1) / (slope * slope).sum(1)  # where x_t does lie
    own = own[:, None, None, None]
    on_path = float((other + own * u - x_t).abs().max()) < 1e-4
    known = min(float((own - t).abs().max()), float((own + t - 1).abs().max())) < 1e-3
    return named("told-another-time") if on_path and not known else {}


def is_normal(x: Tensor) -> bool:
    return abs(float(x.mean())) < 0.15 and abs(float(x.std()) - 1) < 0.1


def asked_sign(asked: list[float], times: list[float]) -> Sign:
    """Of the times at which a walk asks its velocity."""
    due, n = times[:-1], len(times) - 1
    middles = [(a + b) / 2 for a, b in zip(times[:-1], times[1:])]
    for mistake, told in (
        ("walk-told-the-index", [float(i) for i in range(n)]),
        ("walk-told-the-index", [float(i + 1) for i in range(n)]),
        ("walk-assumes-even-times", [i / n for i in range(n)]),
        ("walk-assumes-even-times", [i / (n + 1) for i in range(n)]),
        ("asked-at-the-end", times[1:]),
        ("asked-half-way", middles),
        ("walk-stops-early", due[:-1]),
        ("one-step-too-many", times),
        ("one-step-too-many", [*times, *times[-1:]]),
        ("one-step-too-many", [*times[:1], *due]),
    ):
        if agree(asked, told):
            return named(mistake)
    if len(asked) >= 2 * n - 1 and all(any(agree(t, a) for a in asked) for t in due):
        return named("several-velocities-a-step")
    return {}


# --- walks ----------------------------------------------------------------------------------------


def float_time(t: object) -> float:
    """The time at which a velocity is asked. Wrong unless it is one number."""
    if isinstance(t, Tensor) and (t.ndim or t.dtype != torch.float64):
        what = f"a tensor {tuple(t.shape)} in {str(t.dtype).removeprefix('torch.')}"
        sentence = f"velocity(x, t) is asked with t as {what}; it should be a float"
        raise Wrong(sentence, **named("asked-with-a-tensor"))
    return float(t)


def walked(code, velocity, x: Tensor, times: list[float]) -> list[Tensor]:
    """All pictures of an Euler walk. Wrong for one that is not a picture after each step."""
    asked: list = []

    def counted(x, t):
        asked.append(t)
        return velocity(x, t)

    walk, due = code.euler_walk(counted, x, times), f"{len(times)} pictures"
    if walk is None or (isinstance(walk, Tensor) and walk.ndim <= x.ndim):
        what = "nothing (None)" if walk is None else "one picture"
        sentence = f"euler_walk gives {what}; it should yield {due}"
        raise Wrong(sentence, **(named("only-the-last-picture") if walk is not None else {}))
    try:
        states = list(walk)
    except IndexError as error:
        if len(asked) < len(times):
            raise
        sentence = f"euler_walk looks for a time after the last of {len(times)}"
        raise Wrong(sentence, **named("one-step-too-many")) from error
    if len(states) < len(times) - 1 == len(asked):
        sentence = f"euler_walk yields {len(states)} of the pictures; it should yield {due}"
        raise Wrong(sentence, **named("only-the-last-picture"))
    places = {state.data_ptr() for state in states if isinstance(state, Tensor)}
    whole = len(states) == len(times)
    if whole and len(places) < len(states) and all(isinstance(state, Tensor) for state in states):
        sentence = f"euler_walk yields the same tensor again; it should yield {due} of their own"
        raise Wrong(sentence, **named("one-tensor-in-place"))
    if len(states) == len(asked) == len(times) - 1 and states[0] is x:
        sentence = f"euler_walk yields {len(states)} pictures; it should yield {due}"
        raise Wrong(sentence, **named("walk-keeps-its-end"))
    return states


def steps_sign(times: list[float], start: float, h: float) -> Sign:
    """Of the times that step_times gives."""
    steps = [b - a for a, b in zip(times[:-1], times[1:])]
    if not steps:
        return {}
    if abs(steps[-1]) < 1e-9:
        return named("step-added-by-rounding")
    if abs(times[0]) < 1e-9 < start:
        return named("steps-from-zero")
    if times[-1] < 1 - 1e-6:
        return named("flow-last-step-left-out")
    if times[-1] > 1 + 1e-6:
        return named("last-step-overshoots")
    if abs(times[-1] - 1) > 0:
        return named("last-time-not-1")
    even = max(steps) - min(steps) < 1e-6
    if even and abs(steps[0] - h) > 1e-6:
        return named("steps-all-alike")
    near = all(abs(step - h) < 1e-6 for step in steps[:-1])
    return named("times-in-float32") if near else {}


# --- losses and masks -----------------------------------------------------------------------------


def one_number(loss: object) -> float:
    """A loss as a number. Wrong unless it is a tensor of one number."""
    if isinstance(loss, Tensor) and loss.ndim:
        sentence = f"the loss has shape {tuple(loss.shape)}; it should be one number"
        raise Wrong(sentence, "The mean over all pixels is missing.", "mean-missing")
    same_kind(loss, torch.zeros(()), "the loss")
    return float(loss.detach())


def same_digits(got: object, c: Tensor) -> None:
    """Raise Wrong if other digits are handed on than came in: no digit says that none is told."""
    whole = isinstance(got, Tensor) and got.shape == c.shape and not got.is_floating_point()
    if whole and not torch.equal(got.long(), c):
        other = sorted({*got.tolist()} - {*c.tolist()})
        sentence = f"digits are handed on as {short(other)} that came as {c.unique().tolist()}"
        raise Wrong(sentence, **named("mask-on-the-digits"))


def depends_on(mask: Tensor, t: Tensor, share: float) -> bool:
    """Whether the share of ones changes with t: a chi-square test over 64 parts of [0, 1]."""
    part = (t * 64).long().clamp(0, 63)
    count = torch.bincount(part, minlength=64).double()
    ones = torch.bincount(part, weights=mask, minlength=64)
    chi = (ones - share * count) ** 2 / (share * (1 - share) * count.clamp(min=1))
    return float(chi.sum()) > 64 + 10 * 128**0.5


def masks_sign(told: Tensor, c: Tensor, mask: Tensor) -> Sign:
    """Of the call of a UNet about the digits `told` twice, whose masks are not 0 and 1."""
    if len(mask) > 2 * len(told):
        return named("mask-not-per-picture")
    if not bool(((mask == 0) | (mask == 1)).all()):
        hint = (
            "A mask is 1 where the digit is told and 0 where it is not; guidance mixes velocities."
        )
        return {"hint": hint, "mistake": "mask-between"}
    other = sorted(c.tolist()) != sorted([*told.tolist()] * 2)
    return named("a-digit-for-the-mask") if other and bool((mask == 1).all()) else {}


# --- what a UNet is called with -------------------------------------------------------------------


class ByTime(Recorder):
    """A Recorder for x and t that says if they have changed places."""

    def forward(self, x, t=None):
        if x.ndim != 4 and isinstance(t, Tensor) and t.ndim == 4:
            sentence = "the UNet is called with t and x_t; it should be x_t and t"
            raise Wrong(sentence, **named("call-in-another-order"))
        return super().forward(x, t)


class ByClass(Recorder):
    """A Recorder for x, c, t and mask that takes what the UNet takes; it says what is misplaced."""

    def forward(self, x, c=None, t=None, mask=None):
        given = [torch.as_tensor(v) for v in (c, t, mask) if v is not None]
        kinds = [kind(v) for v in given]
        if len(given) < 3:
            lacking = [k for k in ("c", "t", "mask") if k not in kinds]
            sentence = f"the UNet is called without {' and '.join(lacking)}"
            sign = named("called-without-mask") if lacking == ["mask"] else {}
            raise Wrong(f"{sentence}; it should be x_t, c, t, mask", **sign)
        c, t, mask = given
        if sorted(kinds) == ["c", "mask", "t"] and kinds != ["c", "t", "mask"]:
            order = ", ".join(["x_t", *kinds])
            sentence = f"the UNet is called with {order}; it should be x_t, c, t, mask"
            raise Wrong(sentence, **named("call-in-another-order"))
        t = t.reshape(-1)
        t = t.expand(len(x)) if len(t) == 1 else t  # as the UNet does
        return super().forward(x, c, t, mask.reshape(-1))


def kind(given: Tensor) -> str:
    """What it is by its numbers: digits, times, or a mask of 0 and 1."""
    if bool(((given == 0) | (given == 1)).all()):
        return "mask"
    return "t" if given.is_floating_point() else "c"
