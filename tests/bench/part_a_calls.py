"""Which UNet calls Part A makes: its own sections, run with a UNet that only counts."""

import tempfile
from pathlib import Path

import torch
from torch import Tensor

from minidiff import load
from minidiff.figures.easel import Easel
from minidiff.figures.page import Figure
from minidiff.figures.part_a import DEMO_PROMPTS, topics


class CountingUNet:
    """Answers every call with zeros, and remembers how many pictures it held."""

    dtype = torch.float32

    def __init__(self, prepare):
        self.prepare, self.calls = prepare, []

    def __call__(self, x: Tensor, t, cond) -> Tensor:
        self.calls.append(len(x))
        return torch.zeros(len(x), 6, *x.shape[2:])


class CountingEasel(Easel):
    """An easel with that UNet, which draws next to nothing."""

    def __init__(self, folder: Path):
        model = load(device="cpu")
        unet = CountingUNet(model.unet.prepare)
        model.__dict__.update(unet=unet, fast_unet=unet)  # in place of its cached properties
        super().__init__(model, folder, DEMO_PROMPTS)

    def save(self, name, *_, **__) -> Figure:
        return Figure(name, "", "")

    save_walk = save


def part_a_calls() -> list[int]:
    """The batch of every UNet call that `make part-a` makes, in its order."""
    with tempfile.TemporaryDirectory() as folder:
        studio = CountingEasel(Path(folder))
        for topic in topics(studio):
            topic.draw()
        return studio.model.unet.calls
