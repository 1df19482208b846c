"""Pictures and masks in memory, of any size, as the PIL pictures that a file would have given.

What has the model's own size may be a tensor in [-1, 1] and is left to io/inputs.py; here is what
comes out of another program: bytes, truth values, and for masks numbers from 0 to 1.
"""

import numpy as np
import torch
from PIL import Image

from minidiff.errors import UserError
from minidiff.io.inputs import as_tensor, from_0_to_1
from minidiff.io.pictures import File


def as_image(picture):
    """Bytes or truth values, channels first or last, as a PIL picture; anything else as it is."""
    if not isinstance(picture, np.ndarray) or picture.dtype not in (np.uint8, np.bool_):
        return picture
    return image_of(picture, "a picture")


def as_mask(mask):
    """A mask of any kind as a file or a PIL picture; several at once, (B, 1, H, W), as they are."""
    if isinstance(mask, File):
        return mask
    if isinstance(mask, np.ndarray) and mask.dtype == np.uint8 and mask.ndim == 3:
        return image_of(mask, "a mask")  # it may have colours, and transparent parts
    m = as_tensor(mask, "a mask").detach().cpu()
    while m.ndim > 2 and 1 in (m.shape[0], m.shape[-1]):
        m = m[0] if m.shape[0] == 1 else m[..., 0]
    if m.ndim != 2:
        return mask
    if not m.numel():
        raise UserError("the mask given has no pixels")
    shares = from_0_to_1(m, torch.zeros((), dtype=torch.float64))
    return Image.fromarray((shares * 255).round().to(torch.uint8).numpy())


def image_of(array: np.ndarray, what: str) -> Image.Image:
    shape = array.shape
    if array.ndim == 3 and shape[-1] not in (1, 3, 4) and shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if not array.size or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)):
        raise UserError(
            f"{what} in memory is (H, W), (H, W, 3) or (H, W, 4), channels first or last, with at"
            f" least one pixel; got {shape}"
        )
    whole = array.dtype == np.uint8 and array.max() > 1
    return Image.fromarray(np.ascontiguousarray(array if whole else array.astype(np.uint8) * 255))
