"""What the wrong numbers themselves show, whoever made them: no version of the code is tried.

Each fact compares the first output that differs with what is due there, over all rounds where it
differs; it is told only if it holds in every one of them.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

Fact = tuple[str, str]  # a stable name, and a sentence
TINY = 1e-5


def of(evidence, known: list) -> Fact | None:
    """The first of these facts that holds for a student's answers, see hints.Evidence, or None."""
    pairs = tensor_pairs(evidence)
    for name, sentence, holds in known:
        if pairs and all(holds(got, due) for got, due in pairs):
            return name, sentence
    return None


def at_last(evidence) -> Fact | None:
    """What can be said where no version of the code explains the numbers."""
    pairs = tensor_pairs(evidence)
    if not pairs:
        return None
    return factor(pairs) or shift(pairs) or summed(evidence) or weights(evidence)


def tensor_pairs(evidence) -> list[tuple[Tensor, Tensor]]:
    """The outputs that differ, those in half precision only if there are no others."""
    pairs = list(differing(evidence))
    if not all(isinstance(got, Tensor) and isinstance(due, Tensor) for got, due in pairs):
        return []
    wide = [pair for pair in pairs if pair[1].dtype not in (torch.float16, torch.bfloat16)]
    return wide or pairs


def differing(evidence) -> Iterator[tuple[object, object]]:
    """(got, due) of the first difference in each round that has one."""
    for got, due, depth in zip(evidence.got, evidence.due, evidence.depth):
        if depth:
            key = list(due.outputs)[depth - 1]
            yield from unpacked(got.outputs.get(key), due.outputs[key])


def unpacked(got: object, due: object) -> Iterator[tuple[object, object]]:
    """The first entries that differ, where the output is a list."""
    if isinstance(got, (list, tuple)) and isinstance(due, (list, tuple)) and len(got) == len(due):
        for a, b in zip(got, due):
            if isinstance(a, Tensor) and isinstance(b, Tensor) and not same(a, b):
                yield a, b
                return
    yield got, due


def same(a: Tensor, b: Tensor, tolerance: float = TINY) -> bool:
    if a.shape != b.shape:
        return False
    a, b = a.detach().double(), b.detach().double()
    scale = max(1.0, float(b.abs().max())) if b.numel() else 1.0
    return bool(((a - b).abs() <= tolerance * scale).all())


def tolerance_of(x: Tensor) -> float:
    return {torch.float32: 1e-4, torch.bfloat16: 0.03, torch.float16: 5e-3}.get(x.dtype, TINY)


def same_shape(got: Tensor, due: Tensor) -> bool:
    """Two tensors that can be compared number by number, and do differ."""
    return got.shape == due.shape and not same(got, due, tolerance_of(due))


# --- the facts --------------------------------------------------------------------------------


def only_dtype(got: Tensor, due: Tensor) -> bool:
    return got.dtype != due.dtype and same(got, due, max(map(tolerance_of, (got, due))))


def only_shape(got: Tensor, due: Tensor) -> bool:
    return (
        got.shape != due.shape
        and got.numel() == due.numel() > 1
        and same(got.detach().flatten(), due.flatten(), max(map(tolerance_of, (got, due))))
    )


def only_gradient(got: Tensor, due: Tensor) -> bool:
    return due.requires_grad and not got.requires_grad and same(got, due, tolerance_of(due))


def only_graph(got: Tensor, due: Tensor) -> bool:
    return got.requires_grad and not due.requires_grad and same(got, due, tolerance_of(due))


def rounded(got: Tensor, due: Tensor) -> bool:
    """Close, but only as close as half precision comes."""
    wide = due.dtype in (torch.float32, torch.float64)
    return wide and same_shape(got, due) and same(got, due, 1e-2) and not same(got, due, 1e-4)


def half_steps(got: Tensor, due: Tensor) -> bool:
    return rounded(got, due) and any(
        bool((got.to(kind).to(got.dtype) == got).all()) for kind in (torch.float16, torch.bfloat16)
    )


def single(got: Tensor, due: Tensor) -> bool:
    if due.dtype != torch.float64 or got.shape != due.shape:
        return False
    return same(got, due, 1e-6) and bool((got.float().double() == got.double()).all())


def clamped(low: float, high: float):
    def holds(got: Tensor, due: Tensor) -> bool:
        if not same_shape(got, due):
            return False
        return same(got, due.detach().double().clamp(low, high), tolerance_of(due))

    return holds


def negative(got: Tensor, due: Tensor) -> bool:
    return same_shape(got, due) and same(got, -due, tolerance_of(due))


def first_for_all(got: Tensor, due: Tensor) -> bool:
    return (
        same_shape(got, due)
        and due.ndim > 0
        and len(due) > 1
        and same(got, due[:1].expand_as(due), tolerance_of(due))
    )


def rows_moved(got: Tensor, due: Tensor) -> bool:
    """The right rows in another order."""
    if not same_shape(got, due) or due.ndim < 2 or len(due) < 2:
        return False
    return all(any(same(g, d, tolerance_of(due)) for d in due) for g in got)


def turned(got: Tensor, due: Tensor) -> bool:
    return due.ndim >= 2 and not same(got, due) and same(got, due.mT, tolerance_of(due))


def shuffled(got: Tensor, due: Tensor) -> bool:
    """The same numbers in other places."""
    if not same_shape(got, due) or due.numel() < 4:
        return False
    a, b = (x.detach().double().flatten().sort().values for x in (got, due))
    return same(a, b, tolerance_of(due))


def all_zero(got: Tensor, due: Tensor) -> bool:
    return same_shape(got, due) and not bool(got.any())


OTHER_DTYPE = (
    "The numbers are right and the dtype is not: it must be the one that the task names, or else"
    " that of the input."
)
FACTS = [
    ("another-dtype", OTHER_DTYPE, only_dtype),
    ("another-shape", "The numbers are right and in their order, but the shape is another: there "
     "is an axis too many or too few, or two sizes have changed places.", only_shape),
    ("no-gradient", "The numbers are right, but nothing can be trained through them: look for "
     "no_grad, detach, .data or .item().", only_gradient),
    ("graph-kept", "Sampling needs no gradients: without torch.no_grad() every step is kept in "
     "memory.", only_graph),
    ("float32-table", "These are the right numbers as float32 keeps them: somewhere a table or a "
     "number is float32 that should be float64.", single),
    ("half-precision", "These are the right numbers rounded to half precision: something is kept "
     "or computed in 16 bits on the way.", half_steps),
    ("clamp-left-in", "This is the right result clamped to [-1, 1]: a clamp is left in.",
     clamped(-1, 1)),
    ("clamp-left-in", "This is the right result clamped to [0, 1]: a clamp is left in.",
     clamped(0, 1)),
]  # fmt: skip
LATE_FACTS = [  # for when no version of the code explains the numbers
    ("nothing-but-zeros", "The result is 0 everywhere: something is multiplied away, or not filled "
     "in.", all_zero),
    ("sign", "The result has the wrong sign everywhere, and nothing else is wrong with it.",
     negative),
    ("first-for-all", "Every picture of the batch gets what only the first should get.",
     first_for_all),
    ("rows-moved", "The right results stand at the wrong pictures of the batch.", rows_moved),
    ("turned", "The last two axes have changed places.", turned),
    ("other-places", "All numbers are right, but they stand in other places: something is "
     "interleaved, transposed, flipped or reshaped the wrong way.", shuffled),
]  # fmt: skip


def factor(pairs: list[tuple[Tensor, Tensor]]) -> Fact | None:
    """The result is a multiple of what is due: one factor, or one in each round."""
    ratios = []
    for got, due in pairs:
        if not same_shape(got, due):
            return None
        a, b = got.detach().double(), due.detach().double()
        size = float((b * b).sum())
        ratio = float((a * b).sum()) / size if size else 0.0
        if abs(ratio) < 1e-6 or due.numel() < 2 or not same(a, ratio * b, tolerance_of(due)):
            return None
        ratios.append(ratio)
    if max(ratios) - min(ratios) < 1e-3 * abs(ratios[0]):
        return "factor", (
            f"Every number is {ratios[0]:.4g} times what it should be, and nothing else is wrong: "
            "look for a factor too many, or one that is missing."
        )
    return "factor", (
        "The result is right but for one factor, which depends on the arguments (here "
        f"{', '.join(f'{r:.4g}' for r in ratios[:3])} times what is due): a coefficient that "
        "belongs to the whole is missing, or is there once too often."
    )


def shift(pairs: list[tuple[Tensor, Tensor]]) -> Fact | None:
    """The result is what is due plus one number."""
    shifts = []
    for got, due in pairs:
        if not same_shape(got, due) or due.numel() < 2:
            return None
        difference = got.detach().double() - due.detach().double()
        mean = float(difference.mean())
        if not same(difference, torch.full_like(difference, mean), tolerance_of(due)):
            return None
        shifts.append(mean)
    if max(shifts) - min(shifts) < 1e-3 * abs(shifts[0]):
        return "shift", (
            f"Every number is {shifts[0]:+.4g} away from what it should be: a term is too many, "
            "or is missing."
        )
    return None


def summed(evidence) -> Fact | None:
    """One number, such as a loss, is a sum over pictures or pixels where their mean is due."""
    found: list[set[str]] = []
    for got, due, depth in zip(evidence.got, evidence.due, evidence.depth):
        if not depth:
            continue
        key = list(due.outputs)[depth - 1]
        a, b = got.outputs.get(key), due.outputs[key]
        if not isinstance(a, Tensor) or a.numel() != 1 or b.numel() != 1 or not float(b):
            return None
        ratio, shapes = float(a) / float(b), {v.shape for v in due.draw.made.values() if v.ndim > 1}
        counts = {(n, what) for shape in shapes for n, what in counted(shape)}
        found.append({what for n, what in counts if n > 1 and abs(ratio / n - 1) < 1e-4})
    common = set.intersection(*found) if found else set()
    sentence = "The squares or other terms are summed over {}, where their mean is due."
    return next((("sum-for-mean", sentence.format(what)) for what in sorted(common)), None)


def counted(shape: torch.Size) -> list[tuple[int, str]]:
    return [
        (shape.numel(), "all pixels of all pictures"),
        (shape[1:].numel(), "the pixels of a picture"),
        (shape[0], "the pictures of the batch"),
    ]


def informative(evidence) -> bool:
    """Whether an agreement by chance is out of the question: many different finite numbers."""
    numbers = 0
    for got, due in differing(evidence):
        if not isinstance(got, Tensor) or not isinstance(due, Tensor):
            return False
        if not got.is_floating_point() or not bool(torch.isfinite(got).all()):
            return False
        numbers += len(got.detach().flatten().unique())
    return numbers >= 12


def weights(evidence) -> Fact | None:
    """For a result that is a sum of the pictures handed in: which of their weights are wrong.

    Both what is due and what came must be such sums, picture by picture; then the weights are known
    exactly, and those that differ in some round are named.
    """
    wrong: dict[str, tuple[float, float]] = {}
    for got, due, depth in zip(evidence.got, evidence.due, evidence.depth):
        if not depth:
            continue
        key = list(due.outputs)[depth - 1]
        a, b = got.outputs.get(key), due.outputs[key]
        if not isinstance(a, Tensor) or not isinstance(b, Tensor) or a.shape != b.shape:
            return None
        if b.dtype not in (torch.float64, torch.float32) or b.ndim != 4:
            continue
        made = {k: v for k, v in due.draw.made.items() if v.shape == b.shape}
        if b[0].numel() < 3 * (len(made) + 1):  # too few numbers to be sure
            continue
        fits = [fitted(x, list(made.values())) for x in (a, b)]
        if not made or any(fit is None for fit in fits):
            return None
        for i, name in enumerate([*made, "a constant"]):
            row = int((fits[0] - fits[1])[:, i].abs().argmax())
            mine, right = (round(float(fit[row, i]), 6) + 0.0 for fit in fits)
            if abs(mine - right) > 1e-4 * max(1.0, abs(right)):
                wrong.setdefault(name, (mine, right))
    if not wrong:
        return None
    if list(wrong) == ["a constant"]:
        return "weights", (
            "The pictures handed in have the right weights; what is added to them, which the "
            "other arguments or the network's answers decide, is another."
        )
    told = [f"that of {k} is {a:.4g} where {b:.4g} is due" for k, (a, b) in wrong.items()]
    return "weights", (
        "The result is a sum of the pictures handed in, each with a weight, and not all weights are"
        f" right: {', and '.join(told)} (in one of the tries)."
    )


def fitted(x: Tensor, pictures: list[Tensor]) -> Tensor | None:
    """(B, number of pictures + 1): the weights that make x of the pictures and 1, or None."""
    found = []
    for row in range(len(x)):
        base = torch.stack([p[row].double().flatten() for p in pictures], 1)
        base = torch.cat([base, torch.ones(len(base), 1, dtype=torch.float64)], 1)
        target = x[row].detach().double().flatten()
        if not bool(torch.isfinite(target).all()):
            return None
        weight = torch.linalg.lstsq(base, target[:, None]).solution
        if float((base @ weight - target[:, None]).abs().max()) > 1e-4 * max(
            1, float(target.abs().max())
        ):
            return None
        found.append(weight[:, 0])
    return torch.stack(found)
