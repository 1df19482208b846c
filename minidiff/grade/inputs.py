"""Inputs that are the same on every machine and in every version: made by a rule, never drawn."""

import math
import zlib
from contextlib import contextmanager
from functools import lru_cache
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn


def values(name: str, *shape: int) -> Tensor:
    """Numbers of mean 0 and variance 1, uniform, float64; the same name gives the same numbers."""
    return kept_values(name, shape).clone()


def normal(name: str, *shape: int) -> Tensor:
    """Gaussian numbers, float64, by the same rule."""
    return kept_normal(name, shape).clone()


@lru_cache(4096)
def kept_values(name: str, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy((state(name).random_sample(shape) * 2 - 1) * 3**0.5)


@lru_cache(4096)
def kept_normal(name: str, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(state(name).normal(size=shape))


def state(name: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(name.encode()))


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
    """Stands in for SeededNoise: the k-th noise of a row is its row of values("noise k").

    It counts by rows, as SeededNoise does: who draws picture by picture gets the same.
    """

    device = torch.device("cpu")

    def __init__(self, batch: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float64):
        self.batch, self.shape, self.dtype = batch, shape, dtype
        self.counts = [0] * batch

    @property
    def drawn(self) -> int:
        """How often the row that drew most has drawn."""
        return max(self.counts)

    def draw(self, rows: list[int] | None = None) -> Tensor:
        noise = []
        for row in range(self.batch) if rows is None else rows:
            noise.append(values(f"noise {self.counts[row]}", self.batch, *self.shape)[row])
            self.counts[row] += 1
        return torch.stack(noise).to(self.dtype)


class Streams:
    """Random numbers by the rule: one stream for each kind and generator, however it is cut.

    Each kind has a stream of its own, so that drawing t before or after eps changes nothing;
    `without` counts the numbers that were drawn from no generator.
    """

    def __init__(self):
        self.states: dict[str, np.random.RandomState] = {}
        self.without: dict[str, int] = {}

    def state(self, kind: str, generator: torch.Generator | None, shape) -> np.random.RandomState:
        if generator is None:
            self.without[kind] = self.without.get(kind, 0) + math.prod(shape)
        key = f"{kind} {'none' if generator is None else generator.initial_seed()}"
        return self.states.setdefault(key, state(key))

    def normals(self, *shape, dtype=None, generator=None, **_) -> Tensor:
        shape = sizes(shape)
        drawn = self.state("normal", generator, shape).normal(size=shape)
        return torch.as_tensor(drawn).to(dtype or torch.get_default_dtype())

    def uniforms(self, *shape, dtype=None, generator=None, **_) -> Tensor:
        shape = sizes(shape)
        drawn = self.state("uniform", generator, shape).random_sample(shape)
        return torch.as_tensor(drawn).to(dtype or torch.get_default_dtype())

    def integers(self, low, high=None, size=None, *, generator=None, **_) -> Tensor:
        if size is None:
            low, high, size = 0, low, high
        drawn = self.state("integer", generator, size).random_sample(tuple(size))
        return (low + torch.as_tensor(drawn) * (high - low)).long()


@contextmanager
def ruled_torch():
    """Make torch.randn, randn_like, rand, rand_like, randint and bernoulli follow the rule."""
    streams = Streams()

    def like(draw):
        return lambda x, *, dtype=None, generator=None, **_: draw(
            *x.shape, dtype=dtype or x.dtype, generator=generator
        )

    def bernoulli(p, *, generator=None, **_):
        return (streams.uniforms(*p.shape, generator=generator) < p).to(p.dtype)

    with (
        patch("torch.randn", streams.normals),
        patch("torch.rand", streams.uniforms),
        patch("torch.randint", streams.integers),
        patch("torch.randn_like", like(streams.normals)),
        patch("torch.rand_like", like(streams.uniforms)),
        patch("torch.bernoulli", bernoulli),
    ):
        yield streams


def sizes(shape: tuple) -> tuple[int, ...]:
    if len(shape) == 1 and not isinstance(shape[0], int):
        return tuple(shape[0])
    return tuple(shape)
