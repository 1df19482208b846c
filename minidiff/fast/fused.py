"""Group norms and what surrounds them as two Triton kernels for CUDA.

The plain forms are unet.norm_gelu and the group norm of unet.Attention; these give the same
numbers up to rounding. They are faster for two reasons. PyTorch's group norm answers in contiguous
memory whatever it was given, so that what comes behind it copies back to channels_last. And the
bias of the convolution before it, the norm, the scale and shift, and the GELU are passes over
memory of their own. Here the numbers are read twice and written once.

`fuse(unet)` is a UNet that uses them, with the same weights. The calls that make up most of a step,
the convolutions, stay what they are. What the twin moves about belongs to unet.py as it is: who
changes that file meets `fuse_checked`, which compares the two and says so.
"""

import copy
import importlib.util
import warnings

import torch
from torch import Tensor, nn

from minidiff.deepfloyd.unet import Attention, Cond, ResBlock, UNet

if INSTALLED := importlib.util.find_spec("triton") is not None:
    import triton
    import triton.language as tl

TILE = 4096  # numbers that a program holds at a time


def fuse(unet: UNet) -> UNet:
    """A twin with the same parameters (not copies of them) whose norms run as one pass."""
    twin = copy.deepcopy(unet, memo={id(p): p for p in unet.parameters()})
    for module in twin.modules():
        if hasattr(module, "norm_gelu"):
            module.norm_gelu = fused_norm_gelu
        if isinstance(module, ResBlock):  # norm2 comes right behind conv1 and can add its bias
            module.norm2.offset, module.conv1.bias = module.conv1.bias, None
        if isinstance(module, Attention):
            module.group_norm.__class__ = FusedGroupNorm
    return twin


@torch.no_grad()
def fuse_checked(unet: UNet, x: Tensor, t: int | Tensor, cond: Cond) -> UNet:
    """fuse(unet), if it answers this call as unet does; else a warning, and unet itself.

    Triton comes with torch on Linux; without it there is nothing to try. It builds kernels when
    they are first called, and needs a C compiler for that.
    """
    if not INSTALLED:
        return unet
    plain = unet(x, t, cond).float()
    rounding = max(0.01, 20 * torch.finfo(unet.dtype).eps)  # fp16 differs by 0.0015
    try:
        twin = fuse(unet)
        if (twin(x, t, cond).float() - plain).norm() <= rounding * plain.norm():
            return twin
        reason = "unet.py gives something else; was ResBlock, Attention or norm_gelu changed?"
    except Exception as error:  # a missing compiler, an old GPU, ...: each has a type of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
    warnings.warn(f"group norms run unfused, which is slower: {reason}", stacklevel=2)
    return unet


def fused_norm_gelu(
    norm: nn.GroupNorm, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """As unet.norm_gelu, on CUDA; the answer is channels_last. x (B, C, H, W), no gradients.

    If the norm has an `offset` (C,), it is added to x first.
    """
    return run(norm, x, scale, shift, gelu=True)


class FusedGroupNorm(nn.GroupNorm):
    """The group norm of pixels (B, C, N), which is fastest where their channels are adjacent."""

    def forward(self, pixels: Tensor) -> Tensor:
        return run(self, pixels[..., None], None, None, gelu=False)[..., 0]


def run(
    norm: nn.GroupNorm, x: Tensor, scale: Tensor | None, shift: Tensor | None, gelu: bool
) -> Tensor:
    """Launch the two kernels: x (B, C, H, W) -> (B, C, H, W), channels_last."""
    batch, channels, height, width = x.shape
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.empty_like(x)
    size, pixels = channels // norm.num_groups, height * width
    columns = power_of_2(size)
    rows = max(1, TILE // columns)
    chunks = -(-pixels // rows)
    partial = torch.empty(batch, norm.num_groups, 2, chunks, device=x.device, dtype=torch.float32)
    grid = (norm.num_groups, chunks, batch)
    offset = getattr(norm, "offset", None)
    with_offset, modulated = offset is not None, scale is not None
    if not with_offset:
        offset = x  # never read
    if not modulated:
        scale = shift = x  # never read
    moments[grid](x, offset, partial, pixels, channels, size, columns, rows, with_offset)
    # Scale and shift are views of one projection: rows of `scale` lie further apart than C.
    normalize[grid](
        x, offset, y, partial, norm.weight, norm.bias, scale, shift, scale.stride(0), pixels,
        channels, size, norm.eps, columns, rows, power_of_2(chunks), with_offset, modulated, gelu,
    )  # fmt: skip
    return y


def power_of_2(n: int) -> int:
    """The smallest that is not below n."""
    return 1 << (n - 1).bit_length()


if INSTALLED:

    @triton.jit
    def load_tile(
        x, offset, pixels, channels, size: tl.constexpr, COLUMNS: tl.constexpr,
        ROWS: tl.constexpr, WITH_OFFSET: tl.constexpr,
    ):  # fmt: skip
        """This program's pixels of a group of channels in fp32; their places, and which exist."""
        group, chunk, n = tl.program_id(0), tl.program_id(1), tl.program_id(2)
        column, row = tl.arange(0, COLUMNS), chunk * ROWS + tl.arange(0, ROWS)
        here = (column < size)[None, :] & (row < pixels)[:, None]
        places = (n * pixels + row)[:, None] * channels + (group * size + column)[None, :]
        v = tl.load(x + places, here, 0.0).to(tl.float32)
        if WITH_OFFSET:
            by = tl.load(offset + group * size + column, column < size, 0.0).to(tl.float32)
            v = tl.where(here, v + by[None, :], 0.0)
        return v, places, here

    @triton.jit
    def moments(
        x, offset, partial, pixels, channels, size: tl.constexpr,
        COLUMNS: tl.constexpr, ROWS: tl.constexpr, WITH_OFFSET: tl.constexpr,
    ):  # fmt: skip
        """The mean of each tile, and the sum of squared distances from it."""
        group, chunk, n = tl.program_id(0), tl.program_id(1), tl.program_id(2)
        v, _, here = load_tile(x, offset, pixels, channels, size, COLUMNS, ROWS, WITH_OFFSET)
        mean = tl.sum(v) / (tl.minimum(ROWS, pixels - chunk * ROWS) * size)
        away = tl.where(here, v - mean, 0.0)
        chunks = tl.num_programs(1)
        place = (n * tl.num_programs(0) + group) * 2 * chunks + chunk
        tl.store(partial + place, mean)
        tl.store(partial + place + chunks, tl.sum(away * away))

    @triton.jit
    def normalize(
        x, offset, y, partial, weight, bias, scale, shift, scale_stride, pixels,
        channels, size: tl.constexpr, EPS: tl.constexpr, COLUMNS: tl.constexpr,
        ROWS: tl.constexpr, CHUNKS: tl.constexpr, WITH_OFFSET: tl.constexpr,
        MODULATED: tl.constexpr, GELU: tl.constexpr,
    ):  # fmt: skip
        """Combine the tiles' moments, then one multiplication and one addition per channel."""
        group, n, chunks = tl.program_id(0), tl.program_id(2), tl.num_programs(1)
        v, places, here = load_tile(x, offset, pixels, channels, size, COLUMNS, ROWS, WITH_OFFSET)

        tile = tl.arange(0, CHUNKS)
        tiles = partial + (n * tl.num_programs(0) + group) * 2 * chunks + tile
        counts = tl.where(tile < chunks, tl.minimum(ROWS, pixels - tile * ROWS), 0) * size
        means = tl.load(tiles, tile < chunks, 0.0)
        mean = tl.sum(means * counts) / (pixels * size)
        squares = tl.load(tiles + chunks, tile < chunks, 0.0)
        squares += counts * (means - mean) * (means - mean)
        rstd = 1 / tl.sqrt(tl.sum(squares) / (pixels * size) + EPS)

        column = tl.arange(0, COLUMNS)
        inside, channel = column < size, group * size + column
        a = tl.load(weight + channel, inside, 0.0).to(tl.float32) * rstd
        b = tl.load(bias + channel, inside, 0.0).to(tl.float32)
        if MODULATED:
            factor = 1 + tl.load(scale + n * scale_stride + channel, inside, 0.0).to(tl.float32)
            a *= factor
            shifted = tl.load(shift + n * scale_stride + channel, inside, 0.0).to(tl.float32)
            b = b * factor + shifted
        v = (v - mean) * a[None, :] + b[None, :]
        if GELU:
            v = 0.5 * v * (1 + tl.erf(v * 0.7071067811865476))
        tl.store(y + places, v.to(y.dtype.element_ty), here)
