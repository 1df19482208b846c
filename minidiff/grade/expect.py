"""How checks say what is wrong: one sentence with the numbers."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from minidiff.grade.stub import YourTurnError

REFUSED = "refused with a UserError"
NO_TENSOR = (
    "A tensor has been made a plain number or an array: look for .item(), float() or .numpy(). "
    "Nothing can be trained through what they give."
)


class Wrong(Exception):
    """A check failed. The message is for the student.

    hint and mistake (a name that stays): what was done, where the check itself knows it.
    """

    def __init__(self, message: str, hint: str = "", mistake: str = ""):
        super().__init__(message)
        self.hint, self.mistake = hint, mistake


def close(
    actual: object,
    expected: Tensor | float,
    what: str,
    tolerance: float = 1e-6,
    hint: str = "",
    mistake: str = "",
) -> None:
    """Raise Wrong unless `actual` is the tensor `expected`, up to tolerance times its size.

    what: what was computed, as the subject of the sentence. A number stands for a tensor of any
    shape that holds it everywhere.
    """
    if not isinstance(expected, Tensor):
        shape = actual.shape if isinstance(actual, Tensor) else ()
        expected = torch.full(shape, float(expected), dtype=torch.float64)
    same_kind(actual, expected, what)
    half = actual.dtype in (torch.float16, torch.bfloat16)
    rounded = f" (it is {name(actual.dtype)}, which rounds)" if half else ""
    actual, expected = actual.detach().double().cpu(), expected.detach().double()
    error = (actual - expected).abs()
    scale = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
    if error.numel() and float(error.max()) > tolerance * scale:
        worst = int(error.argmax())
        got, due = float(actual.flatten()[worst]), float(expected.flatten()[worst])
        where = f"{place(actual, worst)}{rounded}"
        got, due = apart(got, due)
        raise Wrong(f"{what} {be(what)} {got}{where}; {it(what)} should be {due}", hint, mistake)


def same_kind(actual: object, expected: Tensor, what: str, finite: bool = True) -> None:
    """Raise Wrong unless `actual` is a tensor of that shape, and finite where that is due."""
    if not isinstance(actual, Tensor):
        kind = "nothing (None)" if actual is None else f"a {type(actual).__name__}"
        plain = isinstance(actual, (int, float, np.ndarray, np.generic))
        sign = (NO_TENSOR, "not-a-tensor") if plain and not isinstance(actual, bool) else ()
        raise Wrong(f"{what} {be(what)} {kind}; {it(what)} should be a tensor", *sign)
    if actual.shape != expected.shape:
        raise Wrong(
            f"{what} has shape {tuple(actual.shape)}; it should have {tuple(expected.shape)}"
        )
    bad = ~torch.isfinite(actual.double())
    if finite and bool(bad.any()):
        kind = "NaN" if bool(actual.isnan().any()) else "infinite"
        raise Wrong(f"{what} {be(what)} {kind} in {int(bad.sum())} of {bad.numel()} places")


def same_dtype(actual: Tensor, dtype: torch.dtype, what: str) -> None:
    """Raise Wrong for another dtype than the input's: the network would refuse or slow down."""
    if not isinstance(actual, Tensor):
        same_kind(actual, torch.empty(()), what)
    if actual.dtype != dtype:
        raise Wrong(f"{what} is {name(actual.dtype)}; it should stay {name(dtype)} as the input is")


def equal(actual: object, expected: object, what: str, hint: str = "", mistake: str = "") -> None:
    """Raise Wrong unless the two are equal: for lists, names, counts, and floats up to rounding."""
    sentence = f"{what} {be(what)} {short(actual)}; {it(what)} should be {short(expected)}"
    both = (list, tuple)
    if isinstance(actual, both) and isinstance(expected, both):
        actual, expected = list(actual), list(expected)
    if agree(actual, expected):
        return
    if are_floats(actual) and are_floats(expected) and len(actual) == len(expected):
        i = next(i for i, (a, b) in enumerate(zip(actual, expected)) if not agree(a, b))
        got, due = apart(float(actual[i]), float(expected[i]))
        sentence += f". The first to differ, at [{i}], is {got} where {due} is due"
    raise Wrong(sentence, hint, mistake)


def are_floats(given: object) -> bool:
    """Whether it is a list of numbers, not all of them whole ones."""
    numbers = isinstance(given, list) and all(isinstance(v, (int, float)) for v in given)
    return numbers and any(isinstance(v, float) for v in given)


def agree(a: object, b: object) -> bool:
    """Whether two things are equal; floats up to the rounding of a sum of them."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(agree, a, b))
    if isinstance(a, float) or isinstance(b, float):
        numbers = all(isinstance(v, (int, float)) for v in (a, b))
        return numbers and (a == b or abs(a - b) <= 1e-9 * max(1.0, abs(b)))
    return a == b


def must_refuse(call: Callable[[], object], what: str, accepted: str) -> None:
    """Raise Wrong unless call() raises UserError; `accepted` is said where it raises nothing."""
    try:
        call()
    except YourTurnError:  # not written yet, which is no wrong answer
        raise
    except Exception as error:
        if type(error).__name__ != "UserError":
            sentence = f"{what} raises {told(error)}; it should be a UserError that says why"
            raise Wrong(sentence) from error
    else:
        raise Wrong(accepted)


def true(condition: object, sentence: str, hint: str = "", mistake: str = "") -> None:
    """Raise Wrong with this sentence unless the condition holds."""
    if not bool(condition):
        raise Wrong(sentence, hint, mistake)


# --- words ------------------------------------------------------------------------------------

SINGULAR = ("bias", "eps", "loss", "class", "gauss", "radius", "always")
OF = ("of", "for", "in", "at", "from", "that", "which", "with", "after", "to", "by", "what", "on")


def plural(what: str) -> bool:
    """Whether a subject such as "with 2 steps, the times of a walk" is more than one thing."""
    parts = what.rstrip(",").split(", ")
    subject = parts[0] if what.endswith(",") and parts[0].startswith("the ") else parts[-1]
    head: list[str] = []
    for word in subject.split():
        if word in OF:
            break
        head.append(word)
    last = head[-1] if head else ""
    many = last.endswith("s") and last.isalpha() and last not in SINGULAR
    return many or "and" in head


def be(what: str) -> str:
    return "are" if plural(what) else "is"


def it(what: str) -> str:
    return "they" if plural(what) else "it"


def told(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= 240 else text[:237] + '...'}"


# --- words for numbers ------------------------------------------------------------------------


def number(x: float) -> str:
    return str(x) if not math.isfinite(x) else f"{x + 0.0:.6g}"  # 0, never -0


def apart(got: float, due: float) -> tuple[str, str]:
    """Two numbers with as many digits as tell them apart."""
    if number(got) != number(due):
        return number(got), number(due)
    digits = next((d for d in range(7, 18) if f"{got:.{d}g}" != f"{due:.{d}g}"), 17)
    return f"{got:.{digits}g}", f"{due:.{digits}g} (they differ from digit {digits} on)"


def place(x: Tensor, flat: int) -> str:
    if x.numel() == 1:
        return ""
    index = [int(i) for i in torch.unravel_index(torch.tensor(flat), x.shape)]
    return f" at {index}"


def name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def short(value: object) -> str:
    if isinstance(value, list) and len(value) > 8 and not isinstance(value[0], Iterable):
        return f"[{', '.join(map(str, value[:4]))}, ..., {value[-1]}] ({len(value)} entries)"
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "..."
