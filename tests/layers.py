"""Recording what every layer of a model puts out, and comparing two models layer by layer.

Our modules bear the names of the official state-dict keys, and so do those of the reference
libraries: outputs are recorded by name, on both sides, and compared in the reference's order.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

TOLERANCE = 1e-4  # relative error of a layer's output; sound fp32 layers stay below 1e-5
SAMPLES = 16  # numbers of each output that a committed reference keeps

Outputs = dict[str, Tensor]


@dataclass(frozen=True)
class Difference:
    """The first layer that differs, how much, and the last layer before it that does not."""

    layer: str
    error: float
    last_equal: str | None
    compared: int

    def __str__(self) -> str:
        before = f"{self.last_equal} before it agrees" if self.last_equal else "nothing before it"
        return f"{self.layer} differs first (relative error {self.error:.1e}; {before})"


@contextmanager
def recorded(
    model: nn.Module, keep: Callable[[Tensor], Tensor] = Tensor.clone
) -> Iterator[Outputs]:
    """Within it, the outputs of all submodules that return a tensor, in the order they ran.

    keep  what to keep of each output: all of it, or `sampled`
    """
    outputs: Outputs = {}

    def hook(name: str):
        def record(module, args, output):
            if isinstance(output, (tuple, list)):  # the reference's blocks also return their skips
                output = output[0] if isinstance(output, tuple) and output else None
            if isinstance(output, Tensor) and name not in outputs:
                outputs[name] = keep(output.detach())

        return record

    handles = [m.register_forward_hook(hook(n)) for n, m in model.named_modules() if n]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def sampled(output: Tensor) -> Tensor:
    """SAMPLES numbers, evenly spread over an output: its fingerprint, float32."""
    flat = output.flatten()
    return flat[torch.linspace(0, len(flat) - 1, SAMPLES, dtype=torch.float64).long()].float()


def relative_error(ours: Tensor, reference: Tensor) -> float:
    """|ours - reference| / |reference|, Euclidean norms in float64; infinite for another shape."""
    if ours.shape != reference.shape:
        return float("inf")
    ours, reference = ours.double(), reference.double()
    return float((ours - reference).norm() / reference.norm().clamp(min=1e-30))


def first_difference(
    ours: Outputs, reference: Outputs, tolerance: float = TOLERANCE
) -> Difference | None:
    """None where all layers that both have agree. ValueError where they have none in common."""
    common = [name for name in reference if name in ours]
    if not common:
        raise ValueError("the two models have no layer name in common")
    last_equal = None
    for name in common:
        error = relative_error(ours[name], reference[name])
        if not error <= tolerance:  # also when it is NaN
            return Difference(name, error, last_equal, len(common))
        last_equal = name
    return None
