"""Weights in 8 bits, widened again where they are used: what it saves, costs, and errs.

An experiment, not an option of the package. Weights of convolutions and linear layers are stored as
int8 or as float8 (e4m3), with one scale per output channel; arithmetic stays fp16. Random weights
have no outliers, so that a trained model may err more than is printed here.
"""

import gc

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.fast.graphed import GraphedUNet
from tests.bench.timing import interleaved, relative_error
from tests.bench.unet_step import inputs, on_gpu
from tests.configs import OFFICIAL_UNETS

LARGEST = {torch.int8: 127.0, torch.float8_e4m3fn: 448.0}


class Widen(nn.Module):
    """A parametrization: what is stored narrow is wide whenever it is read."""

    def __init__(self, scale: Tensor):
        super().__init__()
        self.register_buffer("scale", scale)

    def forward(self, stored: Tensor) -> Tensor:
        return stored.to(self.scale.dtype) * self.scale


def narrow(unet: UNet, dtype: torch.dtype) -> UNet:
    """Store the weights of all convolutions and linear layers in 8 bits, in place."""
    for module in [m for m in unet.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]:
        weight = module.weight
        largest = weight.abs().amax(tuple(range(1, weight.ndim)), keepdim=True)
        scale = (largest.float() / LARGEST[dtype]).to(weight.dtype)
        stored = weight / scale
        stored = (stored.round() if dtype == torch.int8 else stored).to(dtype)
        module.weight = nn.Parameter(stored, requires_grad=False)
        parametrize.register_parametrization(module, "weight", Widen(scale), unsafe=True)
    return unet


@torch.no_grad()
def measure(name: str, batch: int = 2) -> dict:
    """One guided step, recorded; prints a line per way of storing and returns the numbers."""
    torch.backends.cudnn.benchmark = True
    config = OFFICIAL_UNETS[name][0]
    unet = on_gpu(lambda: UNet(UNetConfig.from_dict(config))).to(memory_format=torch.channels_last)
    saved = {key: value.cpu() for key, value in unet.state_dict().items()}
    x, t, text = inputs(batch, config["encoder_hid_dim"])
    plain = unet(x, t, unet.prepare(text))
    print(f"\n{name}, {batch} pictures, weights in 8 bits, recorded")
    found = {"float16": timed(unet, x, t, text, plain)}
    for dtype in LARGEST:
        unet = on_gpu(lambda: UNet(UNetConfig.from_dict(config)))
        unet.load_state_dict(saved)
        narrow(unet.to(memory_format=torch.channels_last), dtype)
        found[str(dtype).removeprefix("torch.")] = timed(unet, x, t, text, plain)
    for what, row in found.items():
        print(
            f"  {what:14} {row['weights GiB']:5.2f} GiB of weights, peak {row['peak GiB']:5.2f};"
            f" {row['median']:7.2f} ms; differs {row['error']:.1e}"
        )
    return {"model": name} | found


def timed(unet: UNet, x: Tensor, t: Tensor, text: Tensor, plain: Tensor) -> dict:
    tensors = [*unet.parameters(), *unet.buffers()]
    weights = sum(p.numel() * p.element_size() for p in tensors) / 2**30
    cond, fast = unet.prepare(text), GraphedUNet(unet)
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    median = interleaved({"step": lambda: fast(x, t, cond)})["step"].median
    peak = torch.cuda.max_memory_allocated() / 2**30
    error = relative_error(fast(x, t, cond), plain)
    return {"weights GiB": weights, "peak GiB": peak, "median": median, "error": error}
