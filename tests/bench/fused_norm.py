"""A candidate: GELU after a group norm, scaled and shifted in between, as one Triton kernel.

PyTorch's group norm answers in contiguous memory whatever it was given, so that every convolution
behind it copies back to channels_last; and the GELU, the scale and the shift are passes of their
own. This kernel reads and writes channels_last once. The part `norm` of the benchmark times it
against the plain form and the compiled one, at the shapes of IF-I-XL. It belongs in the package
only if it wins there; tests/test_fused_norm.py holds it to the plain form on any machine.
"""

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor, nn

from tests.bench.timing import interleaved, relative_error

TILE = 4096  # numbers that a program holds at a time


def plain(norm: nn.GroupNorm, x: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    """What the UNet's ResBlock writes. x (B, C, H, W); scale and shift (B, C, 1, 1) or None."""
    h = norm(x)
    if scale is not None:
        h = h * (1 + scale) + shift
    return F.gelu(h)


def fused(norm: nn.GroupNorm, x: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    """The same for a channels_last x on CUDA; the answer is channels_last too."""
    batch, channels, height, width = x.shape
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.empty_like(x)
    size = channels // norm.num_groups
    columns = triton.next_power_of_2(size)
    modulated = scale is not None
    # Views of one projection: rows of `scale` lie further apart than C.
    scale, shift = (s.flatten(1) if modulated else x for s in (scale, shift))
    norm_gelu[(batch, norm.num_groups)](
        x, y, norm.weight, norm.bias, scale, shift, scale.stride(0), height * width, channels,
        norm.eps, size, columns, max(1, TILE // columns), modulated,
    )  # fmt: skip
    return y


@triton.jit
def norm_gelu(
    x, y, weight, bias, scale, shift, scale_stride, pixels, channels, eps,
    SIZE: tl.constexpr, COLUMNS: tl.constexpr, ROWS: tl.constexpr, MODULATED: tl.constexpr,
):  # fmt: skip
    """One program per picture and group; its `pixels` x SIZE numbers are read three times."""
    n, group = tl.program_id(0), tl.program_id(1)
    column, row = tl.arange(0, COLUMNS), tl.arange(0, ROWS)
    inside = column < SIZE
    channel = group * SIZE + column
    places = n * pixels * channels + row[:, None] * channels + channel[None, :]

    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, pixels, ROWS):
        here = inside[None, :] & (start + row < pixels)[:, None]
        total += tl.load(x + places + start * channels, here, 0.0).to(tl.float32)
    mean = tl.sum(total) / (pixels * SIZE)

    squares = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, pixels, ROWS):
        here = inside[None, :] & (start + row < pixels)[:, None]
        v = tl.load(x + places + start * channels, here, 0.0).to(tl.float32)
        v = tl.where(here, v - mean, 0.0)
        squares += v * v
    rstd = 1 / tl.sqrt(tl.sum(squares) / (pixels * SIZE) + eps)

    # Weight, bias, scale and shift become one multiplication and one addition per channel.
    a = tl.load(weight + channel, inside, 0.0).to(tl.float32) * rstd
    b = tl.load(bias + channel, inside, 0.0).to(tl.float32)
    if MODULATED:
        factor = 1 + tl.load(scale + n * scale_stride + channel, inside, 0.0).to(tl.float32)
        a *= factor
        b = b * factor + tl.load(shift + n * scale_stride + channel, inside, 0.0).to(tl.float32)

    for start in range(0, pixels, ROWS):
        here = inside[None, :] & (start + row < pixels)[:, None]
        v = tl.load(x + places + start * channels, here, 0.0).to(tl.float32)
        v = (v - mean) * a[None, :] + b[None, :]
        v = 0.5 * v * (1 + tl.erf(v * 0.7071067811865476))
        tl.store(y + places + start * channels, v.to(y.dtype.element_ty), here)


# --- the measurement --------------------------------------------------------------------------

SHAPES = [(704, 64), (1408, 64), (1408, 32), (2816, 32), (2112, 16), (2816, 8)]  # channels, side


@torch.no_grad()
def measure(batch: int = 2) -> dict:
    """Milliseconds of what lies before a convolution, and the convolution, in fp16."""
    print(f"\ngroup norm, scale and shift, GELU, 3 x 3 convolution; {batch} pictures, fp16")
    return {f"{channels} x {side}": row(batch, channels, side) for channels, side in SHAPES}


def row(batch: int, channels: int, side: int) -> dict:
    norm = nn.GroupNorm(32, channels, device="cuda", dtype=torch.float16)
    conv = nn.Conv2d(channels, 64, 3, padding=1, device="cuda", dtype=torch.float16)
    conv = conv.to(memory_format=torch.channels_last)
    x = torch.randn(batch, channels, side, side, device="cuda", dtype=torch.float16)
    x = x.contiguous(memory_format=torch.channels_last)
    both = torch.randn(batch, 2 * channels, device="cuda", dtype=torch.float16)
    arguments = norm, x, *both[:, :, None, None].chunk(2, dim=1)
    forms = {"plain": plain, "compiled": torch.compile(plain, dynamic=False), "fused": fused}
    times = interleaved({name: lambda f=f: conv(f(*arguments)) for name, f in forms.items()})
    error = relative_error(fused(*arguments), plain(*arguments))
    medians = "  ".join(f"{name} {timing.median:.3f} ms" for name, timing in times.items())
    print(f"  {channels:5} channels, {side:2} x {side:2}: {medians}  differs {error:.1e}")
    return {name: vars(timing) for name, timing in times.items()} | {"error": error}
