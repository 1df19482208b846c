"""Part B's UNets in half precision, for training on CUDA: what makes a step fast besides the graph.

Convolutions run in bfloat16 on copies of their kernels, the weights proper stay in fp32, and batch
norm with its GELU is two Triton kernels forward and two backward (below), which keep channels_last
and compute in fp32. A convolution's bias in front of a batch norm is taken off again by it: it is
not added, its gradient is the zero that it is in exact arithmetic, and the running mean counts it.

The modules stay those of mnist/unet.py and hold the same parameters; in eval mode they are plain.
"""

import importlib.util
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidiff.mnist.unet import FCBlock

if INSTALLED := importlib.util.find_spec("triton") is not None:
    import triton
    import triton.language as tl

HALF = torch.bfloat16
TILE = 4096  # numbers that a program holds at a time
WARPS = 8
PROGRAMS = 264  # that sum up a feature map, at most
COPIES = 4  # of a sum: programs that all add to one place wait for each other


class HalfPrecision:
    """model(*inputs) in half precision for training; `collect` after backward, before Adam.

    model: a UNet of mnist/unet.py, on a GPU, whose modules run so from here on. It is to be called
    through this object, which first copies the weights as they are now. flat: what Adam is to
    train; the model's parameters are parts of it.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self.flat, self.gradients = flatten(list(model.parameters()))
        blocks = [m for m in model.modules() if is_norm_block(m)]
        behind = [block[0] for block in blocks]  # convolutions with a norm behind them
        alone = [m for m in model.modules() if is_conv(m) and m not in behind]
        self.kernels = [conv.weight for conv in behind + alone]
        self.copies = [kernel.detach().to(HALF).requires_grad_() for kernel in self.kernels]
        self.counters = [block[1].num_batches_tracked for block in blocks]
        widest = max(block[1].num_features for block in blocks)
        # of each norm the sums of x and x^2, of the gradient, and of the gradient times x
        self.sums = self.flat.new_zeros(len(blocks), 4, COPIES, widest)
        for i, block in enumerate(blocks):
            replace(block, partial(norm_block, self.copies[i], self.sums[i]))
        for conv, copy in zip(alone, self.copies[len(blocks) :]):
            replace(conv, partial(lone_conv, copy))
        for block in [m for m in model.modules() if isinstance(m, FCBlock)]:
            replace(block, fc_block)
        stands_in = {id(kernel): copy for kernel, copy in zip(self.kernels, self.copies)}
        idle = {id(conv.bias) for conv in behind}
        self.leaves = [
            (stands_in.get(id(parameter), parameter), gradient)
            for parameter, gradient in zip(model.parameters(), self.gradients)
            if id(parameter) not in idle
        ]

    def __call__(self, *inputs: Tensor) -> Tensor:
        with torch.no_grad():
            torch._foreach_copy_(self.copies, self.kernels)
            torch._foreach_add_(self.counters, 1)
            self.sums.zero_()
        return self.model.forward(*inputs)

    @torch.no_grad()
    def collect(self) -> None:
        """Put the gradients of all that was asked for them into the one of `flat`, in fp32."""
        for kind in (HALF, torch.float32):  # a list of both would be copied one by one
            found = [(x.grad, place) for x, place in self.leaves if x.dtype == kind]
            torch._foreach_copy_([place for _, place in found], [gradient for gradient, _ in found])
        for leaf, _ in self.leaves:
            leaf.grad = None


def flatten(parameters: list[nn.Parameter]) -> tuple[nn.Parameter, list[Tensor]]:
    """One parameter that holds them all, in their order and layouts; its gradient's part of each.

    Adam takes a third of the time for it that it takes for sixty.
    """
    flat = nn.Parameter(torch.cat([p.detach().as_strided((p.numel(),), (1,)) for p in parameters]))
    flat.grad = torch.zeros_like(flat)
    gradients, start = [], 0
    for parameter in parameters:
        layout = parameter.shape, parameter.stride(), start
        parameter.data = flat.detach().as_strided(*layout)
        gradients.append(flat.grad.as_strided(*layout))
        start += parameter.numel()
    return flat, gradients


def is_conv(module: nn.Module) -> bool:
    return isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))


def is_norm_block(module: nn.Module) -> bool:
    """A convolution, batch norm, GELU: blocks 1, 2, 3 and 5 of the course's figure."""
    kinds = ((nn.Conv2d, nn.ConvTranspose2d), nn.BatchNorm2d, nn.GELU)
    return (
        isinstance(module, nn.Sequential)
        and len(module) == len(kinds)
        and all(isinstance(part, kind) for part, kind in zip(module, kinds))
    )


def replace(module: nn.Module, forward) -> None:
    """Give a module another forward for training; in eval mode it keeps its own."""
    plain = module.forward
    module.forward = lambda x: forward(module, x) if module.training else plain(x)


def norm_block(kernel: Tensor, sums: Tensor, block: nn.Sequential, x: Tensor) -> Tensor:
    """x (N, C, H, W) through convolution, norm and GELU; bfloat16, channels_last."""
    conv, norm, _ = block
    y = convolve(conv, x, kernel).contiguous(memory_format=torch.channels_last)
    sums = sums[..., : norm.num_features]
    return NormGELU.apply(y, norm.weight, norm.bias, conv.bias.detach(), norm, sums)


def lone_conv(kernel: Tensor, conv: nn.Module, x: Tensor) -> Tensor:
    """A convolution without a norm behind it: the last one, whose answer is fp32."""
    return convolve(conv, x, kernel).float() + conv.bias[:, None, None]


def convolve(conv: nn.Module, x: Tensor, kernel: Tensor) -> Tensor:
    x = x.to(HALF)
    if x.shape[1] == 1:  # one channel has both layouts; say which, or the answer is contiguous
        x = x.squeeze(1)[..., None].permute(0, 3, 1, 2)
    if isinstance(conv, nn.ConvTranspose2d):
        return F.conv_transpose2d(x, kernel, None, conv.stride, conv.padding)
    return F.conv2d(x, kernel, None, conv.stride, conv.padding)


def fc_block(block: FCBlock, x: Tensor) -> Tensor:
    """Computed in fp32, answered in half precision, so that feature maps stay in it."""
    return nn.Sequential.forward(block, x).to(HALF)


# --- batch norm and GELU --------------------------------------------------------------------------


class NormGELU(torch.autograd.Function):
    """gelu(batch norm of y) in training, y (N, C, H, W) channels_last; updates running statistics.

    offset (C,): added to y before the norm, as seen in the running mean alone. sums (4, COPIES, C)
    fp32 holds zeros.
    """

    @staticmethod
    def forward(ctx, y, weight, bias, offset, norm, sums):
        rows, channels, (columns, tile) = y.numel() // y.shape[1], y.shape[1], tiles(y)
        parts, count = triton.cdiv(channels, columns), triton.cdiv(rows, tile)
        each = triton.cdiv(count, max(1, PROGRAMS // parts))  # tiles for a program that sums up
        ctx.each, ctx.eps = each, norm.eps
        ctx.summing, ctx.mapping = (triton.cdiv(count, each), parts), (count, parts)
        add_moments[ctx.summing](
            y, sums, rows, channels, each, sums.stride(1), tile, columns, COPIES, num_warps=WARPS
        )
        out = torch.empty_like(y)
        normalize[ctx.mapping](
            y, out, sums, weight, bias, offset, norm.running_mean, norm.running_var, rows,
            channels, sums.stride(1), norm.momentum, norm.eps, tile, columns, COPIES,
            num_warps=WARPS,
        )  # fmt: skip
        ctx.save_for_backward(y, weight, bias)
        ctx.sums = sums  # not saved: it is written to, on purpose
        return out

    @staticmethod
    def backward(ctx, gradient):
        y, weight, bias = ctx.saved_tensors
        rows, channels, (columns, tile) = y.numel() // y.shape[1], y.shape[1], tiles(y)
        (gradient, apart), into, sums = as_rows(gradient), torch.empty_like(y), ctx.sums
        weight_and_bias = torch.empty_like(weight), torch.empty_like(bias)
        add_gradient_sums[ctx.summing](
            y, gradient, sums, weight, bias, rows, channels, ctx.each, apart, sums.stride(1),
            ctx.eps, tile, columns, COPIES, num_warps=WARPS,
        )  # fmt: skip
        normalize_backward[ctx.mapping](
            y, gradient, sums, weight, bias, into, *weight_and_bias, rows, channels, apart,
            sums.stride(1), ctx.eps, tile, columns, COPIES, num_warps=WARPS,
        )  # fmt: skip
        return into, *weight_and_bias, None, None, None


def tiles(y: Tensor) -> tuple[int, int]:
    """Channels and pixels that a program holds at a time."""
    columns = min(64, triton.next_power_of_2(y.shape[1]))
    return columns, TILE // columns


def as_rows(x: Tensor) -> tuple[Tensor, int]:
    """x (N, C, H, W) with its channels adjacent, and how far apart its pixels lie.

    The gradient of one part of a concatenation is such a tensor, and need not be copied.
    """
    _, channels, height, width = x.shape
    apart = x.stride(3)
    if x.stride() == (height * width * apart, 1, width * apart, apart) and apart >= channels:
        return x, apart
    return x.contiguous(memory_format=torch.channels_last), channels


if INSTALLED:

    @triton.jit
    def place(rows, channels, tile, TILE: tl.constexpr, COLUMNS: tl.constexpr):
        """A tile's pixels, its channels, and which of both exist."""
        row = tile * TILE + tl.arange(0, TILE)
        column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
        here = (row < rows)[:, None] & (column < channels)[None, :]
        return row, column, column < channels, here

    @triton.jit
    def add_up(sums, which, values, column, inside, apart, COPIES: tl.constexpr):
        """Add a tile's values, channel by channel, to one of the copies of sum `which`."""
        place = (which * COPIES + tl.program_id(0) % COPIES) * apart + column
        tl.atomic_add(sums + place, tl.sum(values, 0), inside)

    @triton.jit
    def total(sums, which, column, inside, apart, COPIES: tl.constexpr):
        """Sum `which` of each channel."""
        places = (which * COPIES + tl.arange(0, COPIES))[:, None] * apart + column[None, :]
        return tl.sum(tl.load(sums + places, inside[None, :], 0.0), 0)

    @triton.jit
    def statistics(sums, column, inside, rows, apart, EPS: tl.constexpr, COPIES: tl.constexpr):
        """Mean, variance and 1 / standard deviation of each channel."""
        mean = total(sums, 0, column, inside, apart, COPIES) / rows
        square = total(sums, 1, column, inside, apart, COPIES) / rows
        variance = tl.maximum(square - mean * mean, 0.0)
        return mean, variance, 1 / tl.sqrt(variance + EPS)

    @triton.jit
    def normal_law(z):
        """The normal law's share below z, to 8e-8 (Abramowitz and Stegun 7.1.26), and density at z.

        Both from one exponential: a library's erf would take longer than reading the numbers does.
        """
        bell = tl.exp(-0.5 * z * z)
        t = 1 / (1 + 0.23164189 * tl.abs(z))  # their p / sqrt(2)
        tail = 1.061405429 * t - 1.453152027
        tail = ((tail * t + 1.421413741) * t - 0.284496736) * t + 0.254829592
        tail = 0.5 * tail * t * bell
        return tl.where(z >= 0, 1 - tail, tail), 0.3989422804014327 * bell

    @triton.jit
    def add_moments(
        y, sums, rows, channels, each, apart, TILE: tl.constexpr, COLUMNS: tl.constexpr,
        COPIES: tl.constexpr,
    ):  # fmt: skip
        values = tl.zeros([TILE, COLUMNS], tl.float32)
        squares = tl.zeros([TILE, COLUMNS], tl.float32)
        row, column, inside, here = place(rows, channels, 0, TILE, COLUMNS)
        for i in range(each):
            tile = tl.program_id(0) * each + i
            row, column, inside, here = place(rows, channels, tile, TILE, COLUMNS)
            v = tl.load(y + row[:, None] * channels + column[None, :], here, 0.0).to(tl.float32)
            values += v
            squares += v * v
        add_up(sums, 0, values, column, inside, apart, COPIES)
        add_up(sums, 1, squares, column, inside, apart, COPIES)

    @triton.jit
    def normalize(
        y, out, sums, weight, bias, offset, running_mean, running_var, rows, channels, apart,
        MOMENTUM: tl.constexpr, EPS: tl.constexpr, TILE: tl.constexpr, COLUMNS: tl.constexpr,
        COPIES: tl.constexpr,
    ):  # fmt: skip
        tile = tl.program_id(0)
        row, column, inside, here = place(rows, channels, tile, TILE, COLUMNS)
        mean, variance, rstd = statistics(sums, column, inside, rows, apart, EPS, COPIES)
        if tile == 0:
            old = tl.load(running_mean + column, inside, 0.0)
            new = mean + tl.load(offset + column, inside, 0.0)
            tl.store(running_mean + column, old + MOMENTUM * (new - old), inside)
            old = tl.load(running_var + column, inside, 0.0)
            new = variance * rows / (rows - 1)
            tl.store(running_var + column, old + MOMENTUM * (new - old), inside)
        a = rstd * tl.load(weight + column, inside, 0.0)
        b = tl.load(bias + column, inside, 0.0) - mean * a
        places = row[:, None] * channels + column[None, :]
        z = tl.load(y + places, here, 0.0).to(tl.float32) * a[None, :] + b[None, :]
        below, _ = normal_law(z)
        tl.store(out + places, (z * below).to(out.dtype.element_ty), here)

    @triton.jit
    def behind_gelu(
        y, gradient, sums, weight, bias, row, column, inside, here, rows, channels, apart_gradient,
        apart, EPS: tl.constexpr, COPIES: tl.constexpr,
    ):  # fmt: skip
        """y normalized, and the gradient before the GELU; both of a tile."""
        mean, _, rstd = statistics(sums, column, inside, rows, apart, EPS, COPIES)
        v = tl.load(y + row[:, None] * channels + column[None, :], here, 0.0).to(tl.float32)
        v = (v - mean[None, :]) * rstd[None, :]
        w = tl.load(weight + column, inside, 0.0)
        z = v * w[None, :] + tl.load(bias + column, inside, 0.0)[None, :]
        below, density = normal_law(z)
        g = tl.load(gradient + row[:, None] * apart_gradient + column[None, :], here, 0.0)
        return v, g.to(tl.float32) * (below + z * density), w * rstd

    @triton.jit
    def add_gradient_sums(
        y, gradient, sums, weight, bias, rows, channels, each, apart_gradient, apart,
        EPS: tl.constexpr, TILE: tl.constexpr, COLUMNS: tl.constexpr, COPIES: tl.constexpr,
    ):  # fmt: skip
        values = tl.zeros([TILE, COLUMNS], tl.float32)
        products = tl.zeros([TILE, COLUMNS], tl.float32)
        row, column, inside, here = place(rows, channels, 0, TILE, COLUMNS)
        for i in range(each):
            tile = tl.program_id(0) * each + i
            row, column, inside, here = place(rows, channels, tile, TILE, COLUMNS)
            v, g, _ = behind_gelu(
                y, gradient, sums, weight, bias, row, column, inside, here, rows, channels,
                apart_gradient, apart, EPS, COPIES,
            )  # fmt: skip
            values += g
            products += g * v
        add_up(sums, 2, values, column, inside, apart, COPIES)
        add_up(sums, 3, products, column, inside, apart, COPIES)

    @triton.jit
    def normalize_backward(
        y, gradient, sums, weight, bias, into, into_weight, into_bias, rows, channels,
        apart_gradient, apart, EPS: tl.constexpr, TILE: tl.constexpr, COLUMNS: tl.constexpr,
        COPIES: tl.constexpr,
    ):  # fmt: skip
        tile = tl.program_id(0)
        row, column, inside, here = place(rows, channels, tile, TILE, COLUMNS)
        v, g, factor = behind_gelu(
            y, gradient, sums, weight, bias, row, column, inside, here, rows, channels,
            apart_gradient, apart, EPS, COPIES,
        )  # fmt: skip
        values = total(sums, 2, column, inside, apart, COPIES)
        products = total(sums, 3, column, inside, apart, COPIES)
        if tile == 0:
            tl.store(into_weight + column, products, inside)
            tl.store(into_bias + column, values, inside)
        g = factor[None, :] * (g - (values[None, :] + v * products[None, :]) / rows)
        places = row[:, None] * channels + column[None, :]
        tl.store(into + places, g.to(into.dtype.element_ty), here)
