"""Reading a picture or a mask of the user's, whatever kind of file it is.

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


def open_image(path: str | Path) -> Image.Image:
    """The decoded first frame, turned as its EXIF says. UserError for anything else."""
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
