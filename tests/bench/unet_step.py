"""One guided step of the UNet at the official sizes: ours against diffusers, in one run.

Weights are random, for they do not change the speed. Theirs is measured eager in both memory
layouts and compiled in the layout that was faster; ours as a notebook has it (steps recorded as
CUDA graphs, nothing compiled) and with compile=True; if asked for, with and without fused norms.
"""

import gc
import time
from functools import partial

import torch
from torch import Tensor, nn

from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.fast.graphed import GraphedUNet
from tests.bench.timing import floor_ms, interleaved, milliseconds, relative_error
from tests.configs import OFFICIAL_UNETS

DTYPE = torch.float16


@torch.no_grad()
def measure(
    name: str,
    batch: int = 2,
    compiled: bool = True,
    modes: tuple[str, ...] = ("reduce-overhead",),
    norms: bool = False,
) -> dict:
    """Time one model; prints a block and returns its numbers.

    batch: 2 is one guided picture. modes: how torch.compile is to compile theirs; () is not at all.
    """
    torch.backends.cudnn.benchmark = True
    ours, theirs = random_twins(name)
    config = OFFICIAL_UNETS[name][0]
    x, t, text = inputs(
        batch, config["encoder_hid_dim"], config["in_channels"], config["sample_size"]
    )
    level = torch.full((batch,), 250, device="cuda") if ours.config.upscales else None
    cond = ours.prepare(text, level)

    def their_step(model):
        return lambda: model(x, t, text, class_labels=level, return_dict=False)[0]

    steps = {"diffusers eager": their_step(theirs)}
    contiguous = interleaved(steps, rounds=10)["diffusers eager"]
    theirs.to(memory_format=torch.channels_last)
    steps = {"diffusers eager, channels_last": their_step(theirs)}
    steps |= {"ours, plain calls": lambda: ours(x, t, cond)}
    ways, cold = {"ours, recorded": {}}, {}
    if compiled:
        ways["ours, compiled"] = {"compile": True}
    if norms:
        ways = {
            f"{what}, {norm} norms": how | {"fuse": norm == "fused"}
            for what, how in ways.items()
            for norm in ("fused", "plain")
        }
    if compiled and modes:
        last = interleaved({"channels_last": their_step(theirs)}, rounds=10)["channels_last"]
        if contiguous.median < last.median:
            theirs.to(memory_format=torch.contiguous_format)
        for mode in modes:
            steps[f"diffusers compiled, {mode}"] = their_step(torch.compile(theirs, mode=mode))
    for what, options in ways.items():
        steps[what] = partial(GraphedUNet(ours, **options), x, t, cond)
    for what in [what for what in steps if "compiled" in what]:
        started = time.perf_counter()
        milliseconds(steps[what])
        cold[what] = round(time.perf_counter() - started, 1)
        print(f"first call, {what}: {cold[what]} s", flush=True)
    times = interleaved(steps)
    times = {"diffusers eager": contiguous} | times
    plain = ours(x, t, cond)
    errors = {what: relative_error(step(), plain) for what, step in steps.items()}
    found = {
        "model": name,
        "batch": batch,
        "floor": floor_ms(ours, lambda: ours(x, t, cond)),
        "times": {what: vars(timing) for what, timing in times.items()},
        "errors": errors,
        "seconds of the first call": cold,
    }
    report(found, times)
    return found


def report(found: dict, times: dict) -> None:
    print(f"\n{found['model']}, {found['batch']} pictures, fp16; floor {found['floor']:.2f} ms")
    eager = times["diffusers eager"].median
    theirs = [times[what].median for what in times if what.startswith("diffusers compiled")]
    for what, timing in times.items():
        ratio = f"{eager / timing.median:5.2f} x their eager"
        if theirs:
            ratio += f"  {min(theirs) / timing.median:5.2f} x their compiled"
        error = found["errors"].get(what)
        error = "" if error is None else f"  differs {error:.1e}"
        print(f"  {what:36} {timing!s:32} {ratio}{error}")


def random_twins(name: str) -> tuple[UNet, nn.Module]:
    """Ours and diffusers' on the GPU in fp16 with the same random weights."""
    from diffusers import UNet2DConditionModel  # here: other parts need `inputs` without it

    config = OFFICIAL_UNETS[name][0]
    ours = on_gpu(lambda: UNet(UNetConfig.from_dict(config)))
    theirs = on_gpu(lambda: UNet2DConditionModel(**config))
    theirs.load_state_dict(ours.state_dict())
    return ours.to(memory_format=torch.channels_last), theirs


def on_gpu(make) -> nn.Module:
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPE)
    try:
        with torch.device("cuda"):
            return make().eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)


def inputs(
    batch: int, text_dim: int, channels: int = 3, side: int = 64
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator("cuda").manual_seed(180)
    x = torch.randn(batch, channels, side, side, device="cuda", generator=generator).to(DTYPE)
    text = torch.randn(batch, 77, text_dim, device="cuda", generator=generator).to(DTYPE)
    return x, torch.full((batch,), 500, device="cuda"), text
