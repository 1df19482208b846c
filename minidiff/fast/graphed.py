"""The UNet's step recorded as a CUDA graph: the same answers, without waiting for Python.

At the official sizes a step launches a thousand small kernels, and on a fast GPU launching takes
longer than computing. A CUDA graph is recorded once per batch size and replayed as one launch. It
reads and writes fixed places in memory, so every call copies its inputs there; the prompts' keys
and values, by far the largest, only when they are others than in the call before. All recordings
share one pool of memory for what lies between: they never run at the same time.

Where Triton works (it comes with torch on Linux) the norms of a large UNet run as in fused.py, once
the first call has shown that they give the same. With `compile`, torch.compile fuses what else lies
between the convolutions before the graph is recorded: a minute or more per batch size. Both move
results in the last digits of the dtype.
"""

from collections import Counter

import torch
from torch import Tensor

from minidiff.deepfloyd.unet import Cond, UNet

# The demo's UNet has 16 million parameters, the official ones 400 million and more. To compile
# norms and compare both ways costs seconds, which the demo's short calls never gain back.
LARGE = 100e6
PLAIN_CALLS = 3  # with one batch size, before it is worth a recording; cuDNN chooses in them, too


class GraphedUNet:
    """Called like the UNet it wraps, (x, t, cond) -> (B, 6, H, W). For sampling on CUDA only.

    fuse: whether norms may run as in fused.py; None is if the UNet is large enough to gain by it
    """

    def __init__(self, unet: UNet, compile: bool = False, fuse: bool | None = None):
        large = sum(p.numel() for p in unet.parameters()) >= LARGE
        self.unet, self.compile, self.fuse = unet, compile, large if fuse is None else fuse
        self.step = None  # what is recorded; chosen in the first call
        self.pool = torch.cuda.graph_pool_handle()
        self.calls: Counter[torch.Size] = Counter()
        self.recordings: dict[torch.Size, Recording] = {}

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.dtype

    @torch.no_grad()
    def __call__(self, x: Tensor, t: int | Tensor, cond: Cond) -> Tensor:
        self.unet.check_input(x, cond)
        t = torch.as_tensor(t, device=x.device).float().expand(len(x))  # as sinusoid takes it
        if self.step is None:
            self.step = self.choose_step(x, t, cond)
        self.calls[x.shape] += 1
        if self.calls[x.shape] <= PLAIN_CALLS:
            return self.step(x.contiguous(memory_format=torch.channels_last), t, cond)
        if x.shape not in self.recordings:
            self.recordings[x.shape] = Recording(self.step, x, t, cond, self.pool)
        return self.recordings[x.shape](x, t, cond)

    def choose_step(self, x: Tensor, t: Tensor, cond: Cond):
        step = self.unet
        if self.fuse:
            from minidiff.fast import fused  # here: Triton costs a start without a GPU 0.1 s

            step = fused.fuse_checked(self.unet, x, t, cond)
        return torch.compile(step, dynamic=False) if self.compile else step


class Recording:
    """One CUDA graph and the places in memory that it reads from and writes to."""

    def __init__(self, step, x: Tensor, t: Tensor, cond: Cond, pool):
        self.x = x.clone(memory_format=torch.channels_last)
        self.t = t.clone()
        self.cond, self.filled_with = cond.map(torch.clone), cond
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool):
            self.out = step(self.x, self.t, self.cond)

    def __call__(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        self.x.copy_(x)
        self.t.copy_(t)
        if cond is not self.filled_with:
            for place, tensor in zip(self.cond.tensors(), cond.tensors()):
                place.copy_(tensor)
            self.filled_with = cond
        self.graph.replay()
        return self.out.clone()
