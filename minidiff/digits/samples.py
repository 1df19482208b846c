"""The pictures that show how a model of Part B does, and the plain sheets they are kept in.

A sheet is a PNG of 28x28 tiles without gaps or labels. Training writes one after chosen epochs;
the figures cut it up again and add the labels. The same functions make the pictures of the shipped
weights, so a sheet of training and a fresh one differ in the weights only.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor, nn

from minidiff.equations import add_sigma_noise
from minidiff.errors import UserError
from minidiff.io.files import save_atomically
from minidiff.mnist import flow
from minidiff.mnist.checkpoint import Recipe
from minidiff.mnist.data import Digits, shipped_digits
from minidiff.mnist.ddpm import class_walk, ddpm_schedule, last, time_walk
from minidiff.noise import SeededNoise

SEED = 180
SIDE = 28
FLOW_STEPS = 50  # of the sheets of the flow models; the class model's figure is drawn with 300
SAMPLE_EPOCHS = {
    "denoiser": (1, 5),
    "time": (1, 5, 20),
    "class": (1, 5, 20),
    "pure-noise": (1, 5),
    "flow-time": (1, 5, 10),
    "flow-class": (1, 5, 10),
    "flow-class-constant": (1, 5, 10),
}


def make_sheet(kind: str, model: nn.Module) -> tuple[Tensor, dict[str, object]]:
    """The pictures of one model, (rows, columns, 28, 28) in [0, 1], and what they show."""
    ddpm, euler = {"steps": 300}, {"steps": FLOW_STEPS, "solver": "Euler"}
    sheet, facts = {
        "denoiser": (denoiser_sheet, {"sigma": 0.5}),
        "pure-noise": (pure_noise_sheet, {}),
        "time": (time_sheet, ddpm),
        "class": (class_sheet, ddpm | {"guidance": 5}),
        "flow-time": (flow_time_sheet, euler),
        "flow-class": (flow_class_sheet, euler | {"guidance": 5}),
    }[kind]
    return sheet(model), dict(facts)


def sheet_name(recipe: Recipe, stage: int) -> str:
    """A stage is an epoch where the recipe does not stretch; the file says in its text which."""
    return f"{recipe.name}-{'stage' if recipe.whole_decay else 'epoch'}-{stage:02d}.png"


@torch.no_grad()
def denoiser_sheet(model: nn.Module, sigma: float = 0.5) -> Tensor:
    """Ten test digits, 0 to 9: a row of them, a row with noise, a row denoised."""
    clean, noisy = noisy_digits(sigma)
    denoised = model.eval()(noisy.to(next(model.parameters()).device))
    return torch.cat([as_sheet(clean), as_sheet(noisy), as_sheet(denoised)])


def noisy_digits(sigma: float) -> tuple[Tensor, Tensor]:
    """The first shipped test digit of each kind and itself under noise, both (10, 1, 28, 28).

    The noise of a digit is the same at every sigma, only stronger or weaker.
    """
    digits = shipped_digits()
    first = [int((digits.labels == kind).nonzero()[0]) for kind in range(10)]
    clean = digits[first].pictures()
    return clean, add_sigma_noise(clean, sigma, SeededNoise(seeds(10), (1, SIDE, SIDE)).draw())


def time_sheet(model: nn.Module) -> Tensor:
    """Forty samples of the time-conditioned model, in four rows."""
    return as_sheet(last(time_walk(model, ddpm_schedule(), seeds(40))))


def class_sheet(model: nn.Module) -> Tensor:
    """Four samples of each digit at guidance 5: a column per digit."""
    return as_sheet(last(class_walk(model, ddpm_schedule(), torch.arange(40) % 10, seeds(40))))


@torch.no_grad()
def pure_noise_sheet(model: nn.Module) -> Tensor:
    """A row of noise and a row of what the model, trained to see digits in it, answers."""
    noise = SeededNoise(seeds(10), (1, SIDE, SIDE)).draw()
    answers = model.eval()(noise.to(next(model.parameters()).device))
    return torch.cat([as_sheet(noise), as_sheet(answers)])


def mean_sheet(digits: Digits) -> Tensor:
    """The mean picture of each kind of digit, and below, ten times, the mean of all pictures."""
    x = digits.pictures()
    kinds = torch.stack([x[digits.labels == kind].mean(0) for kind in range(10)])
    return as_sheet(torch.cat([kinds, x.mean(0).expand(10, -1, -1, -1)]))


def flow_time_sheet(model: nn.Module) -> Tensor:
    """Forty samples of the time-conditioned flow model, in four rows."""
    return as_sheet(last(flow.time_walk(model, seeds(40), FLOW_STEPS)))


def flow_class_sheet(model: nn.Module) -> Tensor:
    """Four samples of each digit at guidance 5: a column per digit."""
    return as_sheet(last(flow.class_walk(model, torch.arange(40) % 10, seeds(40), FLOW_STEPS)))


def seeds(count: int) -> list[int]:
    """One seed per picture: 180, 181, ..."""
    return list(range(SEED, SEED + count))


def as_sheet(x: Tensor) -> Tensor:
    """(N, 1, 28, 28) to rows of ten, (N / 10, 10, 28, 28), clipped to [0, 1]."""
    return x.float().cpu().clamp(0, 1).reshape(-1, 10, SIDE, SIDE)


# --- sheets as files --------------------------------------------------------------------------


def save_sheet(sheet: Tensor, path: Path, text: Mapping[str, object]) -> Path:
    """Write (rows, columns, 28, 28) in [0, 1] as a grey PNG that carries `text`."""
    levels = (sheet * 255).round().to(torch.uint8)
    rows, columns = sheet.shape[:2]
    tiled = levels.permute(0, 2, 1, 3).reshape(rows * SIDE, columns * SIDE)
    chunks = PngInfo()
    for key, value in text.items():
        chunks.add_text(key, str(value))
    image = Image.fromarray(tiled.numpy())
    return save_atomically(path, lambda file: image.save(file, "PNG", pnginfo=chunks))


def load_sheet(path: Path) -> Tensor:
    """The tiles of a sheet, (rows, columns, 28, 28) in [0, 1]."""
    try:
        with Image.open(path) as image:
            pixels = torch.from_numpy(np.array(image.convert("L"))).float() / 255
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error}); training writes it when it gets that far: restore "
            "it or run `make train-mnist`"
        ) from error
    rows, columns = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
    if pixels.shape != (rows * SIDE, columns * SIDE) or columns != 10:
        raise UserError(f"{path} is not a sheet of rows of ten {SIDE}x{SIDE} digits: restore it")
    return pixels.reshape(rows, SIDE, columns, SIDE).permute(0, 2, 1, 3)
