"""Reading a picture or a mask of the user's, whatever kind of file or object it is.

What a person sees in a viewer is what the model gets: turned the way the camera says, transparent
parts on white, all kinds of colour turned into RGB. Files are never written here.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from minidiff.errors import UserError
from minidiff.io.files import check_is_file

MAX_PIXELS = 100_000_000  # a larger one is asked to be made smaller before it fills the memory
SOFT_SHARE = 0.1  # more grey than the smooth edge of a drawn shape: worth a word


Picture = str | Path | Image.Image | np.ndarray | Tensor


def to_picture(picture: Picture, size: int = 64) -> Tensor:
    """(1, 3, size, size) float32 in [-1, 1], of a file, a PIL picture, an array or a tensor.

    An array is (H, W, 3), (H, W, 4) or (H, W) of uint8. A tensor is (3, size, size), or that with
    a batch of 1, in [-1, 1] already. UserError for other shapes, dtypes and ranges.
    """
    if not isinstance(picture, Tensor):
        return read_picture(picture, size)
    x = picture[0] if picture.ndim == 4 and len(picture) == 1 else picture
    if x.shape != (3, size, size) or not x.is_floating_point():
        raise UserError(
            f"a picture as a tensor is float, (3, {size}, {size}) in [-1, 1], not {x.dtype}"
            f" {tuple(picture.shape)}; a PIL picture or a file may have any size"
        )
    if not bool(x.isfinite().all()) or x.abs().max() > 2:
        raise UserError(
            f"a picture as a tensor lies in [-1, 1], and this one in {x.min():g}..{x.max():g}"
        )
    return x[None].float()


def to_mask(
    mask: Picture, size: int = 64, *, picture: Picture | None = None, invert: bool = False
) -> Tensor:
    """(1, 1, size, size) float32 of 0 and 1, of what `to_picture` takes, or a bool array.

    A tensor is (size, size), with or without leading 1s, of 0 (keep) and 1 (make anew).
    """
    if not isinstance(mask, Tensor):
        return read_mask(mask, size, picture=picture, invert=invert)
    if mask.numel() != size * size or mask.shape[-2:] != (size, size):
        raise UserError(f"a mask as a tensor is ({size}, {size}), not {tuple(mask.shape)}")
    values = mask.float().reshape(1, 1, size, size)
    if not bool(((values == 0) | (values == 1)).all()):
        raise UserError("a mask as a tensor holds 0 (keep) and 1 (make anew) only")
    return 1 - values if invert else values


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


def read_picture(path: Picture, size: int = 64) -> Tensor:
    """The picture's middle square, size x size: (1, 3, size, size) float32 in [-1, 1].

    UserError for what is not a picture, is cut short, or is larger than 100 million pixels.
    """
    image = flatten(open_image(path), background=255)
    pixels = np.asarray(square(image, size), dtype=np.float32) / 127.5 - 1
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def read_mask(
    path: str | Path, size: int = 64, *, picture: str | Path | None = None, invert: bool = False
) -> Tensor:
    """White parts are made anew, black ones kept: (1, 1, size, size) float32 of 0 and 1.

    picture  the file that the mask belongs to: both must have the same width and height
    invert   black parts are made anew instead
    Greys count as the nearer of black and white; transparent parts as black.
    """
    image = open_image(path)
    if picture is not None and (other := open_image(picture)).size != image.size:
        raise UserError(
            f"the mask {path} is {image.width}x{image.height} but {picture} is"
            f" {other.width}x{other.height}: make the mask the picture's size"
        )
    grey = square(flatten(image, background=0), size).convert("L")
    values = torch.from_numpy(np.asarray(grey, dtype=np.float32) / 255)[None, None]
    mask = ((values < 0.5) if invert else (values >= 0.5)).float()
    check_mask(mask, values, path)
    return mask


def check_mask(mask: Tensor, values: Tensor, path: str | Path) -> None:
    if not mask.any():
        raise UserError(
            f"the mask {path} marks nothing: paint white what shall be made anew, or invert it"
        )
    if mask.all():
        warnings.warn(f"the mask {path} marks everything: nothing of the picture is kept")
    soft = ((values > 0.1) & (values < 0.9)).float().mean().item()
    if soft > SOFT_SHARE:
        warnings.warn(
            f"the mask {path} is grey in {soft:.0%} of its area: greys count as the nearer of"
            " black and white"
        )


# --- any file to RGB --------------------------------------------------------------------------


def open_image(path: Picture) -> Image.Image:
    """The decoded first frame, turned as its EXIF says. UserError for anything else."""
    if isinstance(path, Image.Image):
        return ImageOps.exif_transpose(path)
    if isinstance(path, np.ndarray):
        return image_of_array(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit stands below
            check_is_file(Path(path))
            image = Image.open(path)
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            frames = getattr(image, "n_frames", 1)
            image.load()
            image = ImageOps.exif_transpose(image)
    except Image.DecompressionBombError as error:
        limit = f"{MAX_PIXELS // 10**6} million pixels"
        raise UserError(f"{path} has more than {limit}: make it smaller first") from error
    except UserError:
        raise
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read as a picture ({reason})") from error
    except Exception as error:  # a damaged file can make a decoder fail in any way it likes
        raise UserError(f"{path} is a damaged picture ({type(error).__name__}: {error})") from error
    if frames > 1:
        warnings.warn(f"{path} has {frames} frames: the first one is used")
    return image


def image_of_array(array: np.ndarray) -> Image.Image:
    """An array of bytes, or a bool mask, as a picture. UserError for other arrays."""
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    channels = {2: (), 3: array.shape[2:]}.get(array.ndim, (0,))
    if array.dtype != np.uint8 or channels not in ((), (3,), (4,)):
        raise UserError(
            "a picture as an array is uint8, (H, W), (H, W, 3) or (H, W, 4), not"
            f" {array.dtype} {array.shape}"
        )
    return Image.fromarray(array)


def flatten(image: Image.Image, background: int) -> Image.Image:
    """RGB of any kind of picture, its transparent parts on a grey of value `background`."""
    if image.mode.startswith("I;16"):  # PIL's own conversion would clip all above 255 to white
        pixels = np.asarray(image, dtype=np.float32) / 257
        return Image.fromarray(pixels.round().astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UserError("32-bit pixels have no agreed white: save the picture with 8 or 16 bits")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layers = image.convert("RGBA")
    ground = Image.new("RGBA", layers.size, (background, background, background, 255))
    return Image.alpha_composite(ground, layers).convert("RGB")


def square(image: Image.Image, size: int) -> Image.Image:
    """The middle square, resized; shrinking averages over all pixels, so nothing aliases."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)
