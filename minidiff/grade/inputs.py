"""Inputs that are the same on every machine and in every version: made by a rule, never drawn."""

import math
import zlib
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn


def values(name: str, *shape: int) -> Tensor:
    """Numbers of mean 0 and variance 1, uniform, float64; the same name gives the same numbers."""
    uniform = np.random.RandomState(zlib.crc32(name.encode())).random_sample(shape)
    return torch.from_numpy((uniform * 2 - 1) * 3**0.5)


def normal(name: str, *shape: int) -> Tensor:
    """Gaussian numbers, float64, by the same rule."""
    return torch.from_numpy(np.random.RandomState(zlib.crc32(name.encode())).normal(size=shape))


@torch.no_grad()
def fill(module: nn.Module) -> nn.Module:
    """Give parameters and running statistics values by their order; the module becomes float64.

    Neither weights nor biases are 0 or 1 anywhere: whoever forgets or swaps one gets another
    result.
    """
    module = module.double().eval()
    for i, parameter in enumerate(module.parameters()):
        drawn = values(f"parameter {i}", *parameter.shape)
        wide = parameter.ndim >= 2
        parameter.copy_(drawn * parameter[0].numel() ** -0.5 if wide else 0.4 + 0.3 * drawn)
    for i, buffer in enumerate(module.buffers()):
        if buffer.is_floating_point():
            buffer.copy_(0.6 + 0.2 * values(f"buffer {i}", *buffer.shape))
    return module


def cosine_abar(t: int) -> float:
    """DeepFloyd's abar[t] from its closed form, for t below 999 where no beta is capped."""

    def f(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    return 1.0 if t < 0 else f((t + 1) / 1000) / f(0)


class ClosedFormSchedule:
    """Stands in for a Schedule: abar from the formula, no table."""

    def abar(self, t: int | Tensor, like: Tensor) -> Tensor:
        steps = torch.as_tensor(t).reshape(-1).tolist()
        abars = torch.tensor([cosine_abar(int(s)) for s in steps], dtype=torch.float64)
        return abars.to(like.dtype)[:, None, None, None]

    def __len__(self) -> int:
        return 1000


class RuledNoise:
    """Stands in for SeededNoise: the k-th draw is values("noise k"), one entry per picture."""

    def __init__(self, batch: int, shape: tuple[int, ...]):
        self.batch, self.shape, self.drawn = batch, shape, 0

    def draw(self, rows: list[int] | None = None) -> Tensor:
        noise = values(f"noise {self.drawn}", self.batch, *self.shape)
        self.drawn += 1
        return noise if rows is None else noise[rows]


@contextmanager
def ruled_torch():
    """Make torch.randn, randn_like, rand, rand_like and randint follow the rule within the block.

    Each kind has a stream of its own, so that drawing t before or after eps changes nothing.
    """
    counts: dict[str, int] = {}

    def stream(kind: str, shape: tuple[int, ...]) -> Tensor:
        counts[kind] = counts.get(kind, 0) + 1
        state = np.random.RandomState(zlib.crc32(f"{kind} {counts[kind]}".encode()))
        return torch.from_numpy(state.normal(size=shape) if kind == "n" else state.random(shape))

    def normals(*shape, dtype=None, **_):
        return stream("n", sizes(shape)).to(dtype or torch.float64)

    def uniforms(*shape, dtype=None, **_):
        return stream("u", sizes(shape)).to(dtype or torch.float64)

    def integers(low, high=None, size=None, **_):
        if size is None:
            low, high, size = 0, low, high
        return (low + stream("i", tuple(size)) * (high - low)).long()

    with (
        patch("torch.randn", normals),
        patch("torch.rand", uniforms),
        patch("torch.randint", integers),
        patch("torch.randn_like", lambda x, **_: normals(*x.shape, dtype=x.dtype)),
        patch("torch.rand_like", lambda x, **_: uniforms(*x.shape, dtype=x.dtype)),
    ):
        yield


def sizes(shape: tuple) -> tuple[int, ...]:
    if len(shape) == 1 and not isinstance(shape[0], int):
        return tuple(shape[0])
    return tuple(shape)
