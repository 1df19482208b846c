"""How checks say what is wrong: one sentence with the numbers."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor


class Wrong(Exception):
    """A check failed. The message is for the student."""


def close(actual: object, expected: Tensor | float, what: str, tolerance: float = 1e-6) -> None:
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
        raise Wrong(f"{what} is {number(got)}{where}; it should be {number(due)}")


def same_kind(actual: object, expected: Tensor, what: str) -> None:
    """Raise Wrong unless `actual` is a finite tensor of that shape."""
    if not isinstance(actual, Tensor):
        kind = "nothing (None)" if actual is None else f"a {type(actual).__name__}"
        raise Wrong(f"{what} is {kind}; it should be a tensor")
    if actual.shape != expected.shape:
        raise Wrong(
            f"{what} has shape {tuple(actual.shape)}; it should have {tuple(expected.shape)}"
        )
    bad = ~torch.isfinite(actual.double())
    if bool(bad.any()):
        kind = "NaN" if bool(actual.isnan().any()) else "infinite"
        raise Wrong(f"{what} is {kind} in {int(bad.sum())} of {bad.numel()} places")


def same_dtype(actual: Tensor, dtype: torch.dtype, what: str) -> None:
    """Raise Wrong for another dtype than the input's: the network would refuse or slow down."""
    if not isinstance(actual, Tensor):
        same_kind(actual, torch.empty(()), what)
    if actual.dtype != dtype:
        raise Wrong(f"{what} is {name(actual.dtype)}; it should stay {name(dtype)} as the input is")


def equal(actual: object, expected: object, what: str) -> None:
    """Raise Wrong unless the two are equal: for lists, names and counts."""
    if actual != expected:
        raise Wrong(f"{what} is {short(actual)}; it should be {short(expected)}")


def true(condition: object, sentence: str) -> None:
    """Raise Wrong with this sentence unless the condition holds."""
    if not bool(condition):
        raise Wrong(sentence)


def same_outputs(actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance=1e-5) -> None:
    """Raise Wrong for the first output that is not the reference's."""
    for key, tensor in expected.items():
        close(actual.get(key), tensor, f"`{key}`", tolerance)


def alike(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two sets of outputs are the same up to rounding, NaN and infinities included."""

    def near(x: Tensor, y: Tensor) -> bool:
        if x.shape != y.shape:
            return False
        scale = max(1.0, float(x.double().nan_to_num(0, 0, 0).abs().max())) if x.numel() else 1.0
        return torch.allclose(x.double(), y.double(), 0, 1e-5 * scale, equal_nan=True)

    return a.keys() == b.keys() and all(near(a[key], b[key]) for key in a)


# --- words for numbers ------------------------------------------------------------------------


def number(x: float) -> str:
    return str(x) if not math.isfinite(x) else f"{x:.6g}"


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
