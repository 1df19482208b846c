"""Inputs that are the same on every machine and in every version: made by a rule, never drawn."""

import math
import zlib
from contextlib import ExitStack, contextmanager
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
    `without` counts the numbers that were drawn from no generator. ends: uniform numbers are the
    two that lie nearest to 0 and 1.
    """

    def __init__(self, ends: bool = False):
        self.states: dict[str, np.random.RandomState] = {}
        self.without: dict[str, int] = {}
        self.seeds: set[int] = set()  # of the generators that were drawn from
        self.ends = ends

    def state(self, kind: str, generator: torch.Generator | None, shape) -> np.random.RandomState:
        if generator is None:
            self.without[kind] = self.without.get(kind, 0) + math.prod(shape)
        else:
            self.seeds.add(generator.initial_seed())
        key = f"{kind} {'none' if generator is None else generator.initial_seed()}"
        return self.states.setdefault(key, state(key))

    def normals(self, *shape, dtype=None, generator=None, **_) -> Tensor:
        shape = sizes(shape)
        drawn = self.state("normal", generator, shape).normal(size=shape)
        return torch.as_tensor(drawn).to(dtype or torch.get_default_dtype())

    def uniforms(self, *shape, dtype=None, generator=None, **_) -> Tensor:
        shape = sizes(shape)
        drawn = self.state("uniform", generator, shape).random_sample(shape)
        drawn = np.where(drawn < 0.5, *ENDS) if self.ends else drawn
        return torch.as_tensor(drawn).to(dtype or torch.get_default_dtype())

    def integers(self, low, high=None, size=None, *, generator=None, **_) -> Tensor:
        if size is None:
            low, high, size = 0, low, high
        drawn = self.state("integer", generator, size).random_sample(tuple(size))
        return (low + torch.as_tensor(drawn) * (high - low)).long()


ENDS = (0.0, 1 - 2**-24)  # what torch.rand gives at the least and at the most


class InPlace:
    """The methods of a tensor that fill it with random numbers, and torch.normal, by the rule."""

    def __init__(self, streams: Streams):
        self.streams = streams

    def normal(self, mean=0.0, std=1.0, size=None, *, dtype=None, generator=None, **_) -> Tensor:
        for given in (mean, std):
            if isinstance(given, Tensor):
                size, dtype = given.shape if size is None else size, dtype or given.dtype
        return mean + std * self.streams.normals(*size, dtype=dtype, generator=generator)

    def normal_(self, x: Tensor, mean=0.0, std=1.0, *, generator=None) -> Tensor:
        return x.copy_(mean + std * self.streams.normals(*x.shape, generator=generator))

    def uniform_(self, x: Tensor, *ends, generator=None, **named) -> Tensor:
        low, high = (*ends, *(named.get(k, d) for k, d in BOUNDS[len(ends) :]))
        drawn = self.streams.uniforms(*x.shape, generator=generator)
        return x.copy_(low + (high - low) * drawn)

    def random_(self, x: Tensor, *ends, generator=None) -> Tensor:
        return x.copy_(self.streams.integers(*ends, x.shape, generator=generator))

    def bernoulli(self, chance: Tensor, p=None, *, generator=None, **_) -> Tensor:
        drawn = self.streams.uniforms(*chance.shape, generator=generator)
        return (drawn < (chance if p is None else p)).to(chance.dtype)

    def bernoulli_(self, x: Tensor, p=0.5, *, generator=None) -> Tensor:
        return x.copy_(self.streams.uniforms(*x.shape, generator=generator) < p)


BOUNDS = (("from", 0.0), ("to", 1.0))


@contextmanager
def ruled_torch(ends: bool = False):
    """Make torch.rand, randn, normal, randint, bernoulli and their kin follow the rule.

    Their kin: rand_like and randn_like, and the methods that fill a tensor in place.
    """
    streams = Streams(ends)
    filled = InPlace(streams)

    def like(draw):
        return lambda x, *, dtype=None, generator=None, **_: draw(
            *x.shape, dtype=dtype or x.dtype, generator=generator
        )

    def method(fill):
        return lambda x, *args, **named: fill(x, *args, **named)  # a method's self comes first

    ruled = {
        "randn": streams.normals,
        "rand": streams.uniforms,
        "randint": streams.integers,
        "randn_like": like(streams.normals),
        "rand_like": like(streams.uniforms),
        "normal": filled.normal,
        "bernoulli": filled.bernoulli,
        "Tensor.normal_": method(filled.normal_),
        "Tensor.uniform_": method(filled.uniform_),
        "Tensor.random_": method(filled.random_),
        "Tensor.bernoulli": method(filled.bernoulli),
        "Tensor.bernoulli_": method(filled.bernoulli_),
    }
    with ExitStack() as stack:
        for name, replacement in ruled.items():
            stack.enter_context(patch(f"torch.{name}", replacement))
        yield streams


def sizes(shape: tuple) -> tuple[int, ...]:
    if len(shape) == 1 and not isinstance(shape[0], int):
        return tuple(shape[0])
    return tuple(shape)
