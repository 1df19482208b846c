"""Reading a picture or a mask of the user's, whatever kind of file it is: see decode.py.

People make masks in many ways. Each is understood, and a note says how much of the picture will be
made anew; what could mean two things is refused with a question. Transparent parts are always kept,
unless the mask is the picture itself with a hole in it.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from minidiff.errors import UserError
from minidiff.io.decode import flatten, middle, open_image, square
from minidiff.io.paths import PACKAGE, expanded

File = str | Path | Image.Image  # or what a file has become in a notebook

SOFT_SHARE = 0.1  # more grey than the smooth edge of a drawn shape: worth a word
PAINT_SHARE = 0.9  # of a layer's visible pixels that are black or white, if it is a painted one
SAME_LEVELS, SAME_SHARE = 24, 0.9  # two pixels are alike within 24 of 255; pictures in 90 % of them


def to_image(x: Tensor, low: float = -1.0, high: float = 1.0) -> Image.Image:
    """A (3, H, W) or (1, H, W) tensor whose black is `low` and white is `high`, as a picture.

    Values outside the range are clipped. Raises UserError for another shape or for NaN.
    """
    if x.ndim != 3 or x.shape[0] not in (1, 3):
        raise UserError(f"a picture has shape (3, H, W) or (1, H, W), not {tuple(x.shape)}")
    if not bool(x.isfinite().all()):
        raise UserError("the picture holds values that are not numbers; its model has diverged")
    unit = (x.detach().float().cpu() - low) / (high - low)
    levels = (unit.clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(levels.expand(3, -1, -1).permute(1, 2, 0).numpy())


def read_picture(path: str | Path, size: int = 64) -> Tensor:
    """The picture's middle square, size x size: (1, 3, size, size) float32 in [-1, 1].

    UserError for what is not a picture, is cut short, or is larger than 100 million pixels.
    """
    image = flatten(open_image(path), background=255, path=path)
    pixels = np.asarray(square(image, size), dtype=np.float32) / 127.5 - 1
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def read_mask(
    mask: File, size: int = 64, *, picture: File | None = None, invert: bool = False
) -> Tensor:
    """White parts are made anew, black ones kept: (1, 1, size, size) float32 of 0 and 1.

    mask     a file, or a PIL picture
    picture  what the mask belongs to, likewise: both must have the same width and height
    invert   black parts are made anew instead
    Greys count as the nearer of black and white; transparent parts are kept. The picture with a
    hole erased in it marks the hole. A mask of 0 and 1 is one of black and white.
    """
    image, path = opened(mask, "given")
    other, its_name = (None, "") if picture is None else opened(picture, "the picture")
    if other is not None and other.size != image.size:
        raise UserError(
            f"the mask {path} is {image.width}x{image.height} but {its_name} is"
            f" {other.width}x{other.height}: make the mask the picture's size"
        )
    marks = marks_of(image, other, path, invert)
    holes = mask_from(marks, size, path)
    if picture is not None and not is_shipped(mask):
        share = marked(marks).mean()  # the same for any size
        warnings.warn(f"by the mask {path}, {share:.0%} of the picture is made anew")
    return holes


def opened(picture: File, otherwise: str) -> tuple[Image.Image, str]:
    """The picture, and what to call it: its file, or, where there is none, `otherwise`."""
    if isinstance(picture, Image.Image):
        return picture, otherwise
    return open_image(picture), str(picture)


def is_shipped(picture: File) -> bool:
    return not isinstance(picture, Image.Image) and PACKAGE in expanded(picture).resolve().parents


def mask_from(marks: Image.Image, size: int, path: str) -> Tensor:
    """Grey marks, 255 to be made anew, as a mask; checked."""
    values = np.asarray(square(marks, size), dtype=np.float32) / 255
    mask = torch.from_numpy((values >= 0.5).astype(np.float32))[None, None]
    check_mask(mask, values, marked(marks), path)
    return mask


def marked(marks: Image.Image) -> np.ndarray:
    """Which pixels of the middle square, in the file's own size, are to be made anew."""
    return np.asarray(middle(marks)) >= 128


def marks_of(image: Image.Image, other: Image.Image | None, path, invert: bool) -> Image.Image:
    """What the mask marks, as a grey picture: 255 is made anew."""
    colours = np.asarray(flatten(image, 0, path).convert("RGB"), dtype=np.int16)
    if not image.has_transparency_data or not (alpha := alpha_of(image)).min() < 255:
        everywhere = np.ones(colours.shape[:2], bool)
        if other is not None and not black_and_white(colours, everywhere):
            if agree(colours, other, everywhere) > SAME_SHARE / 2:
                raise UserError(
                    f"the mask {path} is the picture itself, or was painted onto it: a mask is a"
                    " picture of its own, white where something new shall be and black elsewhere"
                )
        grey = stretched(image, path)
        return Image.fromarray(255 - grey if invert else grey)
    visible = alpha >= 128
    if not visible.any():
        raise UserError(f"the mask {path} is transparent everywhere: paint white what shall change")
    straight = np.asarray(image.convert("RGBA").convert("RGB"), dtype=np.int16)
    grey = np.asarray(image.convert("RGBA").convert("RGB").convert("L"))
    plain = black_and_white(straight, visible) or one_colour(straight[visible])
    varied = not one_colour(straight[visible])
    if other is not None and varied and agree(straight, other, visible) > SAME_SHARE:
        warnings.warn(f"the mask {path} is the picture with a hole: the hole is made anew")
        return Image.fromarray(alpha if invert else 255 - alpha)
    if not plain:
        raise UserError(
            f"the mask {path} is a coloured picture with transparent parts, which can mean two"
            " things: paint white what shall be made anew and black what shall stay"
        )
    return painted_layer(grey, alpha, visible, path, invert)


def painted_layer(grey, alpha, visible, path, invert: bool) -> Image.Image:
    """A layer with paint on it: white paint marks, dark paint only where it was asked for."""
    bright = grey >= 128
    if not (visible & (bright != invert)).any():
        share = f"{visible.mean():.0%} of the picture"
        raise UserError(
            f"the mask {path} marks nothing: its painted parts ({share}) are bright, so leave out"
            " the inversion" if invert else
            f"the mask {path} marks nothing: its painted parts ({share}) are dark. Paint them white"
            " or, to have just them made anew, give --invert: what is transparent is kept"
        )  # fmt: skip
    flat = np.ptp(grey[visible]) < 2 * SAME_LEVELS  # one paint, whatever its shade, marks whole
    paint = np.full_like(grey, 255) if flat else 255 - grey if invert else grey
    return Image.fromarray((paint.astype(np.float32) * alpha / 255).round().astype(np.uint8))


def alpha_of(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGBA").getchannel("A"))


def agree(colours: np.ndarray, other: Image.Image, where: np.ndarray) -> float:
    """The share of these pixels (H, W, 3) that the other picture has, too."""
    theirs = np.asarray(flatten(other, 255), dtype=np.int16)
    return float((np.abs(colours - theirs).max(2) < SAME_LEVELS)[where].mean())


def black_and_white(colours: np.ndarray, where: np.ndarray) -> bool:
    ends = (colours.max(2) < 64) | (colours.min(2) > 191)
    return bool(ends[where].mean() > PAINT_SHARE)


def one_colour(colours: np.ndarray) -> bool:
    """Whether nearly all of these pixels (N, 3) have about one colour."""
    middle_one = np.median(colours, axis=0)
    return bool((np.abs(colours - middle_one).max(1) < SAME_LEVELS).mean() > PAINT_SHARE)


def stretched(image: Image.Image, path) -> np.ndarray:
    """The greys of an opaque mask, 0 to 255. One whose values are 0 and another one means that by
    white, however small it is; UserError where all values are near black, or all near white."""
    raw = np.asarray(image) if image.mode.startswith("I;16") else None
    top = 255 if raw is None else 65535
    raw = np.asarray(flatten(image, 0, path).convert("L")) if raw is None else raw
    low, high = int(raw.min()), int(raw.max())
    if low == high or (high > top // 2 and low <= top // 2):
        return (raw / (top / 255)).round().astype(np.uint8)
    if low == 0 and len(np.unique(raw)) == 2:
        warnings.warn(f"the largest value of the mask {path} is {high} of {top}: taken as white")
        return np.where(raw > 0, 255, 0).astype(np.uint8)
    found = f"largest value is {high}" if high <= top // 2 else f"smallest value is {low}"
    raise UserError(
        f"the {found} of {top} in the mask {path}, where black should be 0 and white {top}: paint"
        " white what shall be made anew and black what shall stay"
    )


def check_mask(mask: Tensor, values: np.ndarray, marked: np.ndarray, path: str | Path) -> None:
    """UserError for a mask without marks; warnings for one that is all marks, or half lost.

    values: the marks at the mask's size, 0 to 1; marked: where they are in the file's square.
    """
    share, left, size = marked.mean(), mask.mean().item(), mask.shape[-1]
    if share and not left:
        pixels = -(-len(marked) // size)
        raise UserError(
            f"what the mask {path} marks is too thin at {size} x {size}: paint it at least"
            f" {pixels} pixels wide"
        )
    if left == 1 and share < 1:
        raise UserError(
            f"what the mask {path} keeps is too thin at {size} x {size}: make it at least"
            f" {-(-len(marked) // size)} pixels wide"
        )
    if not left:
        name = f"the mask {path}" if path else "the mask"
        raise UserError(
            f"{name} marks nothing in the middle square, which is what is used: paint white there"
            " what shall be made anew"
        )
    if left == 1:
        warnings.warn(f"the mask {path} marks everything: nothing of the picture is kept")
    if left < share / 2:
        warnings.warn(f"at {size} x {size} thin parts of the mask {path} are lost: paint it wider")
    soft = ((values > 0.1) & (values < 0.9)).mean()
    if soft > SOFT_SHARE:
        warnings.warn(
            f"the mask {path} is grey in {soft:.0%} of its area: greys count as the nearer of"
            " black and white"
        )
