"""Random legal arguments for trials: see harness.py for how an exercise uses them.

The same round and name give the same numbers on every machine. Nothing is square, batches have one
to four pictures, and each option of a `choice` is met in some round.
"""

import zlib

import torch
from torch import Tensor

from minidiff.grade.inputs import RuledNoise, normal, values

ROUNDS = 6
DTYPES = (torch.float64, torch.float32, torch.float64, torch.bfloat16)
SIZES = ((2, 5), (4, 3), (6, 2), (3, 4), (5, 7), (7, 6))  # height, width


class Draw:
    """The arguments of one round. It remembers what was `said` of them, and the tensors `made`."""

    def __init__(self, round_: int):
        self.round, self.said, self.made = round_, {}, {}
        self.batch = self.pick("batch", (2, 1, 3, 4))
        self.channels = self.pick("channels", (3, 1))
        self.dtype = self.pick("dtype", DTYPES)
        self.height, self.width = self.pick("size", SIZES)

    # --- numbers ------------------------------------------------------------------------------

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return self.say(name, low + int(self.share(name) * (high + 1 - low)))

    def number(self, name: str, low: float, high: float) -> float:
        return self.say(name, round(low + self.share(name) * (high - low), 3))

    def choice(self, name: str, options):
        """One of the options: over the rounds each of the first six is met."""
        return self.say(name, self.pick(name, tuple(options)))

    def rows(self, name: str, count: int) -> list[int]:
        """Some of `count` rows, in rising order, at least one; often not the first."""
        chosen = [i for i in range(count) if self.share(f"{name} {i}") < 0.5]
        return self.say(name, chosen or [count - 1])

    def pairs(self, last: int = -1) -> list[tuple[int, int]]:
        """Three to six transitions (t, t_prev) at any stride; in some rounds down to `last`."""
        ts = sorted({self.seed(f"t {i}") % 997 + 1 for i in range(4 + self.seed("pairs") % 4)})
        if self.pick("end", (True, False)):
            ts = [0, *ts[2:]] if last == 0 else [last, 0, *ts[2:]]
        ts.reverse()
        return self.say("pairs", list(zip(ts[:-1], ts[1:])))

    # --- tensors ------------------------------------------------------------------------------

    def tensor(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Gaussian numbers of that shape."""
        drawn = normal(f"{self.round} {name}", *shape).to(dtype or self.dtype)
        self.made[name] = drawn.clone()
        return drawn

    def picture(self, name: str, channels: int = 0, scale: float = 1.0, grad: bool = False):
        """(B, C, H, W) of this round's size and dtype. grad: gradients must flow from it."""
        shape = (self.batch, channels or self.channels, self.height, self.width)
        self.said["pictures"] = f"{tuple(shape)} in {str(self.dtype).removeprefix('torch.')}"
        return (scale * self.tensor(name, *shape)).requires_grad_(grad)

    def levels(self, *names: str) -> list[Tensor]:
        """One level abar for each name, rising; one for all pictures, or one each, (B, 1, 1, 1)."""
        each = self.batch if self.pick("each", (True, False)) else 1
        steps = 0.5 + 0.22 * values(f"{self.round} levels", each, len(names))  # 0.12 to 0.88
        levels = steps.cumsum(1) / len(names)
        for name, level in zip(names, levels.T):
            self.say(name, [round(a, 3) for a in level.tolist()])
        return [level[:, None, None, None].to(self.dtype) for level in levels.T]

    # --- what draws itself --------------------------------------------------------------------

    def noise(self, channels: int = 3) -> RuledNoise:
        """A stand-in for SeededNoise: every row has noise of its own, in order."""
        shape = (channels, self.height, self.width)
        return RuledNoise(self.batch, shape, dtype=self.dtype)

    def generator(self, name: str = "generator") -> torch.Generator:
        return torch.Generator().manual_seed(self.seed(name) % 1000)

    # --- where it comes from ------------------------------------------------------------------

    def seed(self, name: str) -> int:
        return zlib.crc32(f"{self.round} {name}".encode())

    def share(self, name: str) -> float:
        """A number from 0 to 1."""
        return self.seed(name) / 2**32

    def pick(self, name: str, options: tuple):
        """An option by the round; every len(options) rounds meet each of them, in another order."""
        block, place = divmod(self.round, len(options))
        order = sorted(
            range(len(options)), key=lambda i: zlib.crc32(f"{block} {name} {i}".encode())
        )
        return options[order[place]]

    def say(self, name: str, value):
        self.said[name] = value
        return value

    def sentence(self) -> str:
        """What was drawn, in words: "with scale = 0.0 and pictures of (2, 1, 4, 3) in float32"."""
        told = {k: tuple(v.shape) if isinstance(v, Tensor) else v for k, v in self.said.items()}
        parts = [f"{k} {'of' if k == 'pictures' else '='} {v}" for k, v in told.items()]
        text = ", ".join(parts)
        return f"with {text if len(text) < 160 else text[:157] + '...'}, " if parts else ""
