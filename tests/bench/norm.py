"""GELU after a group norm, scaled and shifted, at the shapes of IF-I-XL: plain, compiled, fused.

Timed together with a convolution behind it, because what the norm leaves undone (a copy back to
channels_last) is paid there.
"""

import torch
from torch import nn

from minidiff.deepfloyd.unet import norm_gelu
from minidiff.fast import fused
from tests.bench.timing import interleaved, relative_error

SHAPES = [(704, 64), (1408, 64), (1408, 32), (2816, 32), (2112, 16), (2816, 8)]  # channels, side
TILES = (1024, 2048, 4096, 8192)


@torch.no_grad()
def measure(batch: int = 2) -> dict:
    """Milliseconds in fp16, for every size of tile; prints a line per shape."""
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
    forms = {"plain": norm_gelu, "compiled": torch.compile(norm_gelu, dynamic=False)}
    forms |= {f"fused {tile}": with_tile(tile) for tile in TILES}
    steps = {name: recorded(lambda f=f: conv(f(*arguments))) for name, f in forms.items()}
    steps["nothing"] = recorded(lambda: conv(x))
    times = interleaved(steps)
    error = relative_error(fused.fused_norm_gelu(*arguments), norm_gelu(*arguments))
    medians = "  ".join(f"{name} {timing.median:.4f}" for name, timing in times.items())
    print(f"  {channels:5} channels, {side:2} x {side:2}, ms: {medians}  differs {error:.1e}")
    return {name: vars(timing) for name, timing in times.items()} | {"error": error}


def with_tile(tile: int):
    def run(*arguments):
        before, fused.TILE = fused.TILE, tile
        try:
            return fused.fused_norm_gelu(*arguments)
        finally:
            fused.TILE = before

    return run


def recorded(step):
    """As a CUDA graph of ten calls, as in a real step: launching it from Python costs nothing."""
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [step() for _ in range(10)]
    return lambda: (graph.replay(), kept)
