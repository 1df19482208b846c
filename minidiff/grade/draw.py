"""Random legal arguments for trials: see harness.py for how an exercise uses them.

The same round and name give the same numbers on every machine. Nothing is square, batches have one
to four pictures, and each option of a `choice` is met in some round.
"""

import hashlib

import torch
from torch import Tensor

from minidiff.grade.inputs import RuledNoise, normal, values

ROUNDS = 6
DTYPES = (torch.float64, torch.float32, torch.float64, torch.bfloat16)
SIZES = ((2, 5), (4, 3), (6, 2), (3, 4), (5, 7), (7, 6))  # height, width


class Draw:
    """The arguments of one round.

    It remembers what was `said` of them, the tensors `made`, and those of them, `leaves`, that
    gradients should reach.
    """

    def __init__(self, round_: int):
        self.round, self.said, self.made, self.leaves = round_, {}, {}, {}
        self.batch = self.pick("batch", (2, 1, 3, 4))
        self.channels = self.pick("channels", (3, 1))
        self.dtype = DTYPES[round_ % len(DTYPES)]  # the first difference is told: begin with double
        self.height, self.width = self.pick("size", SIZES)

    # --- numbers ------------------------------------------------------------------------------

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return self.say(name, self.wholes(name, 1, low, high)[0])

    def number(self, name: str, low: float, high: float) -> float:
        return self.say(name, self.numbers(name, 1, low, high)[0])

    def wholes(self, name: str, count: int, low: int, high: int) -> list[int]:
        return self.say(
            name, [low + int(self.share(f"{name} {i}") * (high + 1 - low)) for i in range(count)]
        )

    def numbers(self, name: str, count: int, low: float, high: float) -> list[float]:
        return self.say(
            name, [round(low + self.share(f"{name} {i}") * (high - low), 3) for i in range(count)]
        )

    def time(self, name: str, low: float = 0.0, high: float = 1.0) -> float | Tensor:
        """From low to high: one number for all pictures, often an end, or (B, 1, 1, 1)."""
        chosen = self.choice(name, (None, low, None, high, low + 0.3 * (high - low), None))
        if chosen is not None:
            return chosen
        each = self.numbers(name, self.batch, low, high)
        return torch.tensor(each, dtype=self.dtype)[:, None, None, None]

    def rising(self, name: str, count: int, low: float, high: float) -> list[float]:
        """From low to high in `count` steps of any size, all upwards."""
        parts = [0.1 + self.share(f"{name} {i}") for i in range(count)]
        inner = [round(low + (high - low) * sum(parts[:i]) / sum(parts), 3) for i in range(count)]
        return self.say(name, [low, *inner[1:], high])

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

    def tensor(self, name: str, *shape: int, dtype: torch.dtype | None = None, grad: bool = False):
        """Gaussian numbers of that shape. grad: gradients must reach it as in the package."""
        drawn = normal(f"{self.round} {name}", *shape).to(dtype or self.dtype)
        self.made[name] = drawn.clone()
        if grad:
            self.leaves[name] = drawn.requires_grad_()
            return drawn.clone()  # what is changed in place is no leaf, and so is told as that
        return drawn

    def picture(self, name: str, channels: int = 0, scale: float = 1.0, grad: bool = False):
        """(B, C, H, W) of this round's size and dtype. grad: as for a tensor."""
        shape = (self.batch, channels or self.channels, self.height, self.width)
        self.said["pictures"] = f"{tuple(shape)} in {str(self.dtype).removeprefix('torch.')}"
        return scale * self.tensor(name, *shape, grad=grad)

    def levels(self, *names: str, onto_clean: bool = False) -> list[Tensor]:
        """One level abar for each name, rising; one for all pictures, or one each, (B, 1, 1, 1).

        onto_clean: in some rounds the last is 1.
        """
        each = self.batch if self.pick("each", (True, False)) else 1
        steps = 0.5 + 0.22 * values(f"{self.round} levels", each, len(names))  # 0.12 to 0.88
        levels = steps.cumsum(1) / len(names)
        place = self.round % ROUNDS if self.dtype == torch.float64 else 0
        if place == 2:  # nearly noise
            levels[:, 0] *= 1e-3
        if place == 4:  # nearly clean
            levels[:, -1] = 1 - 1e-3 * (1 - levels[:, -1])
        if onto_clean and self.pick("onto clean", (False, True, False)):
            levels[:, -1] = 1.0
        for name, level in zip(names, levels.T):
            self.say(name, [float(f"{a:.4g}") for a in level.tolist()])
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
        return number_of(f"{self.round} {name}")

    def share(self, name: str) -> float:
        """A number from 0 to 1."""
        return self.seed(name) / 2**32

    def pick(self, name: str, options: tuple):
        """An option by the round; every len(options) rounds meet each of them, in another order."""
        block, place = divmod(self.round, len(options))
        order = sorted(range(len(options)), key=lambda i: number_of(f"{block} {name} {i}"))
        return options[order[place]]

    def say(self, name: str, value):
        self.said[name] = value
        return value

    def sentence(self) -> str:
        """What was drawn, in words: "with scale = 0.0 and pictures of (2, 1, 4, 3) in float32"."""
        text = ""
        for part in (told(name, value) for name, value in self.said.items()):
            if len(text) + len(part) > 160:
                text += ", ..."
                break
            text += f", {part}" if text else part
        return f"with {text}, " if text else ""


def told(name: str, value: object) -> str:
    """One drawn argument in words."""
    if name == "pictures":
        return f"pictures of {value}"
    if value is False:
        return f"without {name}"
    if value is None:
        return f"no {name.removeprefix('a ')}"
    if value is True:
        return name
    if isinstance(value, tuple) and not value:
        return f"{name} left out"
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, Tensor):
        value = f"a tensor {tuple(value.shape)}"
    return f"{name} = {getattr(value, '__name__', str(value).removeprefix('torch.'))}"


def number_of(text: str) -> int:
    """32 bits of a text: names that differ in one letter must have nothing in common."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
