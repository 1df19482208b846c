"""What the mask of a class dropout shows, whoever drew it: it is one number for each picture.

`one`, `many` and `same` are mistakes of the catalogue, for each exercise its own.
"""

from collections.abc import Callable

from torch import Tensor

from minidiff.grade.expect import Wrong, equal, same_kind, true
from minidiff.grade.mistakes.catalogue import named


def must_be_per_picture(mask: object, like: Tensor, one: str, many: str) -> None:
    """Raise Wrong unless the mask is a tensor of like's shape, (N,)."""
    if isinstance(mask, (bool, int, float)):
        sentence = f"the mask is a {type(mask).__name__}; it should be a tensor"
        raise Wrong(sentence, **named(one))
    if not isinstance(mask, Tensor):
        same_kind(mask, like, "the mask")
    n = len(like)
    sign = {}
    if mask.numel() == 1:
        sign = named(one)
    elif mask.numel() > n or mask.ndim > 1:
        sign = named(many)
    equal(tuple(mask.shape), (n,), f"the shape of the mask for {n} pictures", **sign)


def one_draw_sign(masks: list[Tensor], one: str) -> dict[str, str]:
    """Of the masks of many small batches of unlike digits, drawn with chance .5."""
    alike = all(len(mask.unique()) == 1 for mask in masks)
    both = {float(mask.flatten()[0]) for mask in masks} == {0.0, 1.0}
    return named(one) if alike and both else {}


def must_be_drawn(mask_of: Callable[[float, int], Tensor], same: str) -> None:
    """Raise Wrong unless each picture has its own chance: 8 at a time, often."""
    masks = [mask_of(0.5, 8) for _ in range(40)]
    different = len({tuple(m.tolist()) for m in masks}) > 1
    true(different, "the mask is the same every time", **named(same))
    masks = [mask_of(0.1, 8) for _ in range(100)]
    share = 1 - float(sum(m.mean() for m in masks)) / len(masks)
    few = f"with p_uncond = 0.1, a share of {share:.3f} is dropped from batches of 8"
    true(abs(share - 0.1) < 0.06, few, **named(same))
