"""Without a GPU: what the processor can do, the share of it that the demo's guided step reaches,
and a guided walk of four pictures against diffusers.

Five pairs of walks, one after the other in turn, so that another program on the machine slows both;
each pair has a ratio of its own. Theirs as a user gets it, and in the memory layout of ours.
"""

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from minidiff.guidance import CFG
from minidiff.io.paths import DEMO
from minidiff.model import Model, load
from minidiff.noise import SeededNoise
from minidiff.sampling import denoise, last
from minidiff.schedule import pipeline_pairs
from tests.bench.theirs import if_pipeline
from tests.bench.timing import Timing, relative_error, summary
from tests.libraries import missing

PROMPTS = ["a cat", "a red apple", "a rocket", "a house"]
STEPS, PAIRS, ROUNDS, SIDE = 10, 5, 9, 2048


@torch.no_grad()
def measure() -> dict:
    """Prints the table and returns its numbers; without diffusers the comparison is left out."""
    rates = {"fp32": matmul_rate(torch.float32), "bf16": matmul_rate(torch.bfloat16, side=512)}
    print(f"\n{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    print("  matrix products: " + ", ".join(f"{k} {v:.0f} GFLOP/s" for k, v in rates.items()))
    model = load(DEMO, device="cpu")
    found = {"threads": torch.get_num_threads(), "GFLOP/s": rates}
    found["steps"] = [step_share(model, pictures, rates["fp32"]) for pictures in (1, 4)]
    if missing():
        print("  no comparison: diffusers is not installed")
        return found
    return found | {"walks": compare(model)}


def matmul_rate(dtype: torch.dtype, side: int = SIDE) -> float:
    """GFLOP/s of a square product, the best of five: what any layer could reach at most."""
    a, b = torch.randn(2, side, side).to(dtype)
    return 2 * side**3 / timed(lambda: a @ b, rounds=5).low / 1e6


def timed(step: Callable[[], object], rounds: int = ROUNDS) -> Timing:
    step()
    return summary([milliseconds(step) for _ in range(rounds)])


def milliseconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return (time.perf_counter() - started) * 1000


# --- a step, and what the machine could do -------------------------------------------------------


def step_share(model: Model, pictures: int, rate: float) -> dict:
    """One guided step, two estimates a picture: its arithmetic, its time, the share of `rate`."""
    cond = model.unet.prepare(model.encode((PROMPTS * pictures)[:pictures] + [""] * pictures))
    step = partial(model.fast_unet, torch.randn(2 * pictures, 3, 64, 64), 500, cond)
    with FlopCounterMode(display=False) as counter:
        step()
    gflop = counter.get_total_flops() / 1e9
    time_, convolutions = timed(step), convolution_rate(model.unet, step)
    reached = gflop / time_.median * 1000
    print(
        f"  a guided step of {pictures}: {gflop:.1f} GFLOP, {time_}, {reached:.0f} GFLOP/s,"
        f" {reached / rate:.0%} of the matrix product's; its convolutions alone:"
        f" {convolutions['GFLOP/s'] / rate:.0%}, in {convolutions['share of the time']:.0%} of it",
        flush=True,
    )
    numbers = {"pictures": pictures, "GFLOP": gflop, "GFLOP/s": reached, "share": reached / rate}
    return numbers | {"convolutions": convolutions} | vars(time_)


def convolution_rate(unet: nn.Module, step: Callable[[], object]) -> dict:
    """How fast the convolutions run within a step, and how much of its time they take."""
    begun, spent, flops = 0.0, [], 0

    def before(*_):
        nonlocal begun
        begun = time.perf_counter()

    def after(layer, _, out):
        nonlocal flops
        spent[-1] += time.perf_counter() - begun
        flops += 2 * layer.weight[0].numel() * out.numel()

    layers = [layer for layer in unet.modules() if isinstance(layer, nn.Conv2d)]
    hooks = [layer.register_forward_pre_hook(before) for layer in layers]
    hooks += [layer.register_forward_hook(after) for layer in layers]
    whole = []
    for _ in range(ROUNDS):
        spent.append(0.0)
        whole.append(milliseconds(step) / 1000)
    for hook in hooks:
        hook.remove()
    taken, total = sorted(spent)[ROUNDS // 2], sorted(whole)[ROUNDS // 2]
    return {"GFLOP/s": flops / ROUNDS / taken / 1e9, "share of the time": taken / total}


# --- against diffusers ---------------------------------------------------------------------------


def compare(model: Model) -> dict:
    """Five interleaved walks of four pictures, DDPM, guided: ours, theirs, theirs channels_last."""
    from diffusers import DDPMScheduler, UNet2DConditionModel

    states, empty = model.encode(PROMPTS), model.encode([""] * len(PROMPTS))
    theirs = UNet2DConditionModel.from_pretrained(DEMO / "unet").eval().requires_grad_(False)
    x, both = torch.randn(4, 3, 64, 64), model.encode(PROMPTS)
    error = relative_error(model.unet(x, 500, both), theirs(x, 500, both, return_dict=False)[0])
    assert error < 1e-4, f"the two UNets differ by {error}: there is nothing to compare"
    pipeline = if_pipeline(theirs, DDPMScheduler.from_pretrained(DEMO / "scheduler"))
    cond, uncond = model.unet.prepare(states), model.unet.prepare(empty)

    def ours_walks():
        noise, pairs = SeededNoise(range(4)), pipeline_pairs(model.scheduler.timesteps(STEPS))
        guidance = CFG(cond, uncond, 7.0)
        return last(denoise(
            model.fast_unet, model.schedule, noise.draw(), pairs, guidance, noise,
            threshold=model.scheduler.limit,
        ))  # fmt: skip

    def they_walk(layout: torch.memory_format):
        theirs.to(memory_format=layout)
        return pipeline(
            prompt_embeds=states, negative_prompt_embeds=empty, num_inference_steps=STEPS,
            output_type="np", generator=torch.Generator().manual_seed(180),
        )  # fmt: skip

    walks = {
        "ours": ours_walks,
        "diffusers": partial(they_walk, torch.contiguous_format),
        "diffusers, channels_last": partial(they_walk, torch.channels_last),
    }
    return reported(in_turn(walks))


def in_turn(walks: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Milliseconds of each walk, PAIRS times over; the first turn is not counted."""
    taken = {who: [] for who in walks}
    for turn in range(-1, PAIRS):
        for who, walk in walks.items():
            spent = milliseconds(walk)
            if turn >= 0:
                taken[who].append(spent)
    return taken


def reported(taken: dict[str, list[float]]) -> dict:
    print(f"  four pictures, {STEPS} guided steps, {PAIRS} times in turn")
    found = {}
    for who, times in taken.items():
        ratios = [theirs / ours for theirs, ours in zip(times, taken["ours"])]
        middle, shown = summary(ratios).median, ", ".join(f"{r:.2f}" for r in ratios)
        found[who] = {"ratio": middle, "ratios": ratios} | vars(summary(times))
        print(f"    {who:26} {summary(times)}  {middle:.2f} x ours ({shown})")
    return found
