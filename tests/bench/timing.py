"""Timing on a GPU: interleaved rounds, medians, and what the machine could do at best."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# One H200 as measured here: matrix products of 8192 in bf16, and a copy counting both directions.
FLOPS, BYTES = 790e12, 4.3e12


@dataclass(frozen=True)
class Timing:
    """Milliseconds: the median of the rounds, and the fastest and slowest of them."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:8.2f} ms ({self.low:.2f} to {self.high:.2f})"


def interleaved(steps: dict[str, Callable[[], object]], rounds: int = 20) -> dict[str, Timing]:
    """Call each in turn, `rounds` times over, so that all see the same clock and temperature."""
    for step in steps.values():
        for _ in range(5):  # compile, choose algorithms, record graphs
            step()
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            taken[name].append(milliseconds(step))
    return {name: summary(times) for name, times in taken.items()}


def milliseconds(step: Callable[[], object]) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    step()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def summary(times: list[float]) -> Timing:
    times = sorted(times)
    return Timing(times[len(times) // 2], times[0], times[-1])


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.float() - theirs.float()).norm() / theirs.float().norm())


@torch.no_grad()
def floor_ms(model: nn.Module, run: Callable[[], object]) -> float:
    """The sum over layers of max(arithmetic, bytes): no kernel of these layers can be faster.

    Counts convolutions, linear layers and attention; norms and activations could be fused away.
    """
    seconds = 0.0

    def count(flops: float, *tensors: Tensor) -> None:
        nonlocal seconds
        moved = sum(t.numel() * t.element_size() for t in tensors)
        seconds += max(flops / FLOPS, moved / BYTES)

    def layer(module, inputs, out):
        per_output = module.weight[0].numel()
        count(2 * per_output * out.numel(), inputs[0], module.weight, out)

    def attention(q, k, v, **options):
        count(4 * q.numel() * k.shape[-2], q, k, v, q)
        return plain(q, k, v, **options)

    plain = F.scaled_dot_product_attention
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    hooks = [m.register_forward_hook(layer) for m in layers]
    F.scaled_dot_product_attention = attention
    try:
        run()
    finally:
        F.scaled_dot_product_attention = plain
        for hook in hooks:
            hook.remove()
    return seconds * 1000
