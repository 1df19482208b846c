"""Making right what is handed to the functions: pictures, masks, timesteps, states, digits.

Cells of the course and of other libraries bring numpy arrays, PIL pictures, half precision, one
dimension too few, another device. What can mean only one thing is made right here; all else ends in
one sentence. Inside a network nothing here reads a value that lies on a GPU: it would wait.
"""

import inspect
import math
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from minidiff.errors import UserError
from minidiff.io.decode import flatten, square
from minidiff.io.pictures import read_mask

UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)  # torch can hardly compute with them
LARGEST = 8.0  # of a picture in [-1, 1] with its noise; 12,288 draws reach 5
DARK = 0.2  # a picture in [-1, 1] without anything darker than mid-grey is seldom
DTYPES = {"fp32": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16"}


def as_tensor(value, what: str) -> Tensor:
    """Numbers of any kind as a tensor. UserError, naming `what`, for anything else."""
    try:
        if not isinstance(value, Tensor) and is_list(value) and isinstance(value[0], Tensor):
            value = torch.stack(list(value))
        if not isinstance(value, Tensor):
            array = np.asarray(value)
            if array.dtype.kind not in "biuf":
                raise TypeError
            # a copy: torch reads neither negative strides nor the other byte order
            value = torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("=")))
    except (TypeError, ValueError, RuntimeError) as error:
        found = f"the text {value!r}" if isinstance(value, str) else f"a {type(value).__name__}"
        raise UserError(f"{what} must be a tensor or an array of numbers, not {found}") from error
    if value.is_complex() or value.layout is not torch.strided or value.is_quantized:
        raise UserError(f"{what} must be plain numbers, not {value.dtype} ({value.layout})")
    return value.long() if value.dtype in UNSIGNED else value


def is_list(value) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0


def as_dtype(value) -> torch.dtype | None:
    """torch.float16 also by its name: "float16", "fp16", "half", "torch.float16"."""
    name = str(value).removeprefix("torch.")
    found = getattr(torch, DTYPES.get(name, name), None)
    if value is None or (isinstance(found, torch.dtype) and found.is_floating_point):
        return found if value is not None else None
    raise UserError(f"dtype is float32, float16 or bfloat16, not {value!r}")


# --- pictures and masks -------------------------------------------------------------------------


def pictures(value, device=None, *, size: int | None = None, channels: int = 3) -> Tensor:
    """(B, channels, H, W) float32 (or float64, as given) in about [-1, 1], on `device`.

    Takes one picture or a batch, channels first or last, bytes 0..255, PIL (its middle square, as
    a file's). UserError for other shapes, NaN, and values that are not of such a picture.
    """
    if isinstance(value, Image.Image):
        if 0 in value.size:
            raise UserError("the picture has no pixels")
        value = np.asarray(square(flatten(value, 255), size or min(value.size)))
    x = as_tensor(value, "a picture")
    x = batched(x, channels)
    if not x.is_floating_point():
        x = from_bytes(x)
    if x.dtype != torch.float64:
        x = x.float()
    if not x.numel():
        raise UserError(f"the picture has no pixels: its shape is {tuple(x.shape)}")
    low, high = (float(end) for end in x.aminmax())
    largest = max(-low, high) if low == low else low
    if 0 <= low < DARK and DARK < high <= 1:
        warnings.warn(
            f"the picture's values lie between {low:.2g} and {high:.2g}, and are taken as from -1"
            " (black) to 1 (white): if its black is 0, give x * 2 - 1"
        )
    if not largest <= LARGEST:
        raise UserError(
            f"a picture has values from -1 to 1 (and some more with noise), and this one reaches"
            f" {largest:g}: of bytes, x / 127.5 - 1 makes such a picture"
        )
    return x.to(device)


def network_pictures(value, channels: int, dtype: torch.dtype, device) -> Tensor:
    """Pictures as a network takes them, of its dtype and on its device; bytes become [-1, 1]."""
    x = batched(as_tensor(value, "a picture"), channels)
    if not x.is_floating_point():
        x = from_bytes(x)
    return x.to(device, dtype)


def batched(x: Tensor, channels: int) -> Tensor:
    """Any order of the dimensions that can mean only one thing, as (B, channels, H, W)."""
    shape = tuple(x.shape)
    if x.ndim == 2 and channels == 1:
        x = x[None]
    if x.ndim == 3:
        x = x[:, None] if channels == 1 and 1 not in (shape[0], shape[-1]) else x[None]
    if x.ndim == 4 and x.shape[1] != channels and x.shape[3] == channels:
        x = x.permute(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] != channels or not len(x):
        raise UserError(f"pictures must be (B, {channels}, H, W); got {shape}")
    return x


def from_bytes(x: Tensor) -> Tensor:
    whole = x.dtype == torch.uint8 or (x.dtype != torch.bool and x.max() > 1)
    if not whole or x.min() < 0 or x.max() > 255:
        raise UserError(
            f"a picture of {x.dtype} is neither bytes from 0 to 255 nor float from -1 to 1"
        )
    return x.float() / 127.5 - 1


def mask(value, like: Tensor) -> Tensor:
    """(B or 1, 1, H, W) of 0 (keep) to 1 (make anew), of the dtype and device of pictures `like`.

    Takes (H, W), (B, H, W), three equal channels, truth values, bytes 0..255, PIL.
    """
    if isinstance(value, Image.Image):
        value = read_mask(value, like.shape[-1])
    m = one_channel(as_tensor(value, "a mask"), like)
    if m.shape[-2:] != like.shape[-2:]:
        raise UserError(
            f"the mask is {m.shape[-1]}x{m.shape[-2]} but the picture is"
            f" {like.shape[-1]}x{like.shape[-2]}: make them the same size"
        )
    if len(m) not in (1, len(like)):
        raise UserError(f"give one mask, or one for each of {len(like)} pictures, not {len(m)}")
    m = from_0_to_1(m, like)
    if not bool(m.any()):
        warnings.warn("the mask is 0 everywhere: nothing of the picture is made anew")
    return m


def from_0_to_1(m: Tensor, like: Tensor) -> Tensor:
    """A mask's values, which may be bytes, as shares of the device and dtype of `like`."""
    top = 255 if not m.is_floating_point() and m.max() > 1 else 1
    m = m.to(like.device, like.dtype) / top
    if not bool(((m >= 0) & (m <= 1)).all()):
        raise UserError("a mask has values from 0 (keep) to 1 (make anew), or bytes up to 255")
    return m


def one_channel(m: Tensor, like: Tensor) -> Tensor:
    """A mask of any order of dimensions as (B or 1, 1, H, W)."""
    shape, sides = tuple(m.shape), tuple(like.shape[-2:])
    if m.ndim in (3, 4) and m.shape[-1] in (1, 3) and tuple(m.shape[-3:-1]) == sides:
        m = m.movedim(-1, -3)
    if m.ndim == 2:
        m = m[None, None]
    elif m.ndim == 3:
        m = m[None] if m.shape[0] in (1, 3) and same_channels(m[None]) else m[:, None]
    if m.ndim == 4 and m.shape[1] > 1 and same_channels(m):
        m = m[:, :1]
    if m.ndim != 4 or m.shape[1] != 1 or not len(m):
        raise UserError(f"a mask must be (H, W) or (B, 1, H, W) with one channel; got {shape}")
    return m


def same_channels(m: Tensor) -> bool:
    return bool((m == m[:, :1]).all())


# --- numbers ------------------------------------------------------------------------------------


def whole_numbers(value, what: str) -> list[int]:
    """One or several whole numbers of any type as a list: 250, 250.0, range, array, tensor."""
    if isinstance(value, range):
        return list(value)
    if type(value) is int:
        return [value]
    if isinstance(value, Sequence) and all(type(n) is int for n in value):
        return list(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [n for item in value for n in whole_numbers(item, what)]
    numbers = as_tensor(value, what).detach().cpu().reshape(-1)
    odd = (
        ~numbers.isfinite() | (numbers != numbers.round()) if numbers.is_floating_point() else None
    )
    if odd is not None and bool(odd.any()):
        raise UserError(f"{what} must be whole, not {numbers[odd][0]:g}")
    if numbers.dtype == torch.bool:
        raise UserError(f"{what} must be whole numbers, not True or False")
    return [int(n) for n in numbers]


def is_single(value) -> bool:
    """Whether a number stands alone, and not in a list, even of one."""
    return not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0


def one_number(value, what: str) -> int:
    numbers = whole_numbers(value, what)
    if len(numbers) != 1:
        raise UserError(f"{what} must be one number, not {len(numbers)}")
    return numbers[0]


def finite_number(value, what: str, most: float = math.inf) -> float:
    """One number of any type, from -most to most."""
    numbers = as_tensor(value, what).detach().cpu().reshape(-1).tolist()
    if len(numbers) != 1 or isinstance(numbers[0], bool) or not abs(numbers[0]) <= most:
        top = "" if most == math.inf else f" of at most {most:g}"
        raise UserError(f"{what} is one number{top}, and not {str(value)[:60]}")
    return float(numbers[0])


def scale(value) -> float:
    """How strongly a prompt steers: beyond some 20 pictures burn out, and far beyond are none."""
    return finite_number(value, "guidance", 1000)


def timesteps(value, count: int, device, top: int = 1000) -> Tensor:
    """t of a network's call as (count,): one for all pictures, or one each.

    A single float may lie between two timesteps, as flow matching's times do.
    UserError for what is not 0 to top - 1, as far as it can be seen without waiting for a GPU.
    """
    between = isinstance(value, float) and 0 < value < top - 1
    if between:
        value = torch.tensor([value], device=device)
    elif not (isinstance(value, Tensor) and value.device.type != "cpu"):
        value = torch.tensor(timesteps_of(value, count, top), device=device)
    value = value.reshape(-1)
    if len(value) not in (1, count):
        raise UserError(f"give one timestep, or one for each of {count} pictures, not {len(value)}")
    return value.expand(count)


def timesteps_of(value, count: int, top: int = 1000) -> list[int]:
    """The same as a list: of one timestep, or of one for each of `count` pictures."""
    found = whole_numbers(value, "a timestep")
    if not all(0 <= t < top for t in found):
        raise UserError(f"a timestep is 0 to {top - 1}, not {found[:8]}")
    if len(found) not in (1, count):
        raise UserError(f"give one timestep, or one for each of {count} pictures, not {len(found)}")
    return found


def path_times(value, like: Tensor) -> Tensor:
    """t of the linear path, 0 (noise) to 1 (clean), as (1 or B, 1, 1, 1) beside pictures `like`.

    One picture may be wanted at several times.
    """
    t = as_tensor(value, "t").to(like.device, like.dtype).reshape(-1)
    fits = len(t) == 1 or len(like) in (1, len(t))
    if not fits or not bool(((t >= 0) & (t <= 1)).all()):
        raise UserError(
            f"t is a time from 0 (noise) to 1 (clean), one or one for each of {len(like)} pictures,"
            f" not {t.tolist()[:8]}"
        )
    return t.reshape(-1, 1, 1, 1)


def states(value, width: int, dtype: torch.dtype, device) -> Tensor:
    """Text states (P, tokens, width) of the dtype and on the device of the network."""
    texts = isinstance(value, str) or (
        isinstance(value, Sequence) and all(isinstance(text, str) for text in value)
    )
    if texts:
        raise UserError(f"{value!r} is text: `model.encode([...])` turns prompts into states")
    x = as_tensor(value, "text states")
    shape = tuple(x.shape)
    x = x[None] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[2] != width or not x.is_floating_point():
        raise UserError(
            f"text states must be (prompts, tokens, {width}) in floating point; got {shape} of"
            f" {x.dtype}: encode the prompts with this checkpoint's own T5"
        )
    return x.to(device, dtype)


# --- Part B -------------------------------------------------------------------------------------


def unit_pictures(value, device=None) -> Tensor:
    """Part B's pictures, (N, 1, H, W) float32 from 0 to 1. UserError for 0..255."""
    x = batched(as_tensor(value, "a picture"), 1)
    if not x.is_floating_point() or not bool(((x >= -LARGEST) & (x <= LARGEST)).all()):
        raise UserError(
            f"Part B's pictures are float from 0 (paper) to 1 (ink), and these are {x.dtype} up to"
            f" {float(x.max()):g}: of bytes, x.float() / 255 makes them"
        )
    return (x if x.dtype == torch.float64 else x.float()).to(device)


def shares(value, count: int, dtype: torch.dtype, device) -> Tensor:
    """t of Part B's networks as (count,), float from 0 to 1: timestep / T, or a flow's own time."""
    t = as_tensor(value, "t").reshape(-1)
    seen = t.device.type == "cpu"
    if not t.is_floating_point() or (seen and not bool(((t >= 0) & (t <= 1)).all())):
        raise UserError(
            f"t is a float from 0 to 1, and this is {t.dtype} like"
            f" {float(t[0]) if len(t) else 0:g}: divide the number of a step by how many there are"
            " (T, or a flow's num_ts)"
        )
    if len(t) not in (1, count):
        raise UserError(f"give one t, or one for each of {count} pictures, not {len(t)}")
    return t.to(device, dtype).expand(count)


def digits(value, device=None, kinds: int = 10) -> Tensor:
    """Digits (N,) int64: from numbers of any type, or one-hot rows (N, kinds)."""
    c = as_tensor(value, "digits")
    if c.device.type != "cpu" and c.ndim == 1 and c.dtype == torch.int64:
        return c.to(device)
    if c.ndim == 2 and c.shape[1] == kinds and kinds > 1:
        if not bool((((c == 0) | (c == 1)).all(1) & (c.sum(1) == 1)).all()):
            raise UserError("digits as rows must be one-hot: a single 1 in each")
        c = c.to(torch.uint8).argmax(1)
    c = c.reshape(-1)
    if c.dtype == torch.bool or not bool((c == c.round()).all() if c.is_floating_point() else True):
        raise UserError(f"digits are whole numbers, not {c.dtype} like {float(c[0]):g}")
    if bool(((c < 0) | (c >= kinds)).any()):
        raise UserError(f"digits are 0 to {kinds - 1}, not {c.tolist()[:20]}")
    return c.long().to(device)


def chance(value, what: str) -> float:
    numbers = as_tensor(value, what).reshape(-1).tolist()
    if len(numbers) != 1 or not 0 <= numbers[0] <= 1:
        raise UserError(f"{what} is a chance from 0 to 1, not {str(numbers)[1:-1][:60]}")
    return float(numbers[0])


def scales(value, count: int, device) -> Tensor:
    """gamma as (1 or count, 1, 1, 1) fp32: one number for all pictures, or one for each."""
    gamma = as_tensor(value, "the guidance scale").reshape(-1).float()
    if len(gamma) not in (1, count) or not bool(gamma.isfinite().all()):
        raise UserError(
            f"a guidance scale is one finite number, or one for each of {count} pictures, not"
            f" {gamma.tolist()[:8]}"
        )
    return gamma.to(device).reshape(-1, 1, 1, 1)


def sides(value) -> tuple[int, int]:
    """img_wh: width and height; one number is both."""
    found = whole_numbers(value, "img_wh")
    if len(found) not in (1, 2) or min(found) < 1:
        raise UserError(f"img_wh is width and height, such as (28, 28), not {value!r}")
    return found[0], found[-1]


def digit_inputs(unet: torch.nn.Module, given: tuple, named: dict):
    """Runs before the forward of Part B's UNets, of students' versions too, and makes right what
    they are called with: x, and by the names in forward's signature t, c and mask."""
    if torch.compiler.is_compiling():
        return None
    expected = inspect.signature(unet.forward).parameters
    weight = next(unet.parameters())
    try:
        inputs = inspect.signature(unet.forward).bind(*given, **named).arguments
    except TypeError as error:
        raise UserError(
            f"{type(unet).__name__} is called with {', '.join(expected)} ({error}): is it the model"
            " that this function is for?"
        ) from error
    x = inputs["x"] = network_pictures(inputs["x"], unet.in_channels, weight.dtype, weight.device)
    if "t" in inputs:
        inputs["t"] = shares(inputs["t"], len(x), weight.dtype, weight.device)
    if "c" in inputs:
        inputs["c"] = one_each(digits(inputs["c"], weight.device, unet.num_classes), x, "digit")
    if inputs.get("mask") is not None:
        kept = as_tensor(inputs["mask"], "a mask").to(weight.device).reshape(-1)
        inputs["mask"] = one_each(kept, x, "mask entry")
    return (), inputs


def one_each(values: Tensor, x: Tensor, what: str) -> Tensor:
    if len(values) not in (1, len(x)):
        raise UserError(f"give one {what}, or one for each of {len(x)} pictures, not {len(values)}")
    return values.expand(len(x))
