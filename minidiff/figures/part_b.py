"""Part B's report: one function per section of the course, from the shipped weights.

Everything is made anew from the final weights, except what an earlier epoch drew: those pictures
are the sheets that training wrote, see `minidiff/digits/samples.py`.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from minidiff.digits.evaluate import SIGMAS
from minidiff.digits.samples import SEED, SIDE, as_sheet, load_sheet, noisy_digits, seeds
from minidiff.digits.train import choose_device
from minidiff.figures.curves import loss_curve, quality, read_log
from minidiff.figures.grids import draw_grid, picture, save_gif, save_png
from minidiff.figures.page import Figure
from minidiff.figures.report import Topic, draw_report, fingerprint
from minidiff.io.paths import HOME
from minidiff.mnist.checkpoint import EDITIONS, load_model
from minidiff.mnist.data import WEIGHTS
from minidiff.mnist.ddpm import class_walk, ddpm_schedule, last, time_walk

OUT = HOME / "out" / "part-b"
DIGITS = [str(kind) for kind in range(10)]
GAMMAS = (0.0, 1.0, 5.0, 10.0)
COMPARED = 5  # digits in the comparison of guidance scales
FRAME_EVERY = 6  # steps between two frames of a GIF
SEEDS = f"{SEED}, {SEED + 1}, ..."  # one per picture


def main(
    *,
    weights: str | Path = WEIGHTS,
    out: str | Path = OUT,
    device: str | None = None,
    only: str | None = None,
) -> Path:
    """Draw all figures of Part B into `out` and write its index.html; returns the page's path.

    weights: a folder as training leaves it: three models, their logs, and samples/. A section that
    is there already, drawn by this code from these files, is kept. only: the id of one section.
    Raises UserError when something of the folder is missing.
    """
    weights, out, device = Path(weights), Path(out), choose_device(device)
    files = sorted(path for path in weights.rglob("*") if path.suffix != ".pt" and path.is_file())
    return draw_report(
        out,
        "Part B: diffusion models from scratch",
        "Small UNets trained on the 60,000 digits of MNIST: a denoiser that works in one step, and"
        f" two models that draw digits in 300. Picture i of a figure has seed {SEED} + i. What an"
        " earlier epoch drew was drawn during training; all else is drawn from the final weights.",
        topics(weights, out, device),
        stamp=fingerprint(files, device),
        tables=quality(weights),
        only=only,
    )


def open_models(edition: str, weights: Path, device: str) -> Callable[[str], nn.Module]:
    """An edition's models by their names, read once; all of them are there and whole before the
    first picture is drawn."""

    @cache
    def model(name: str) -> nn.Module:
        return load_model(weights / f"{name}.safetensors", device)

    for name in EDITIONS[edition]:
        model(name)
    return model


def topics(weights: Path, out: Path, device: str) -> list[Topic]:
    """The sections in the course's order."""
    model = open_models("fa24", weights, device)
    return [
        *denoiser_topics(model, weights, out),
        Topic("2.2", "2.2 Training the time-conditioned UNet",
              "It estimates the noise at every timestep; most of the fall is over after one epoch.",
              lambda: [loss_curve("time", weights, out / "2.2-loss.png")],
              "x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε,   L = E ‖ε_θ(x_t, t) − ε‖^2",
              "equations.forward_process"),
        Topic("2.3", "2.3 Sampling from the time-conditioned UNet",
              "Nobody tells it which digit to draw, so some samples are between two digits.",
              lambda: time_samples(model("time"), weights, out),
              "x_{t−1} = √ᾱ_{t−1} β_t / (1 − ᾱ_t) x̂_0"
              " + √α_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t) x_t + √β_t z", "equations.ddpm_step"),
        Topic("2.4", "2.4 Training the class-conditioned UNet",
              "One picture in ten comes without its class, so that the model can do without too.",
              lambda: [loss_curve("class", weights, out / "2.4-loss.png")],
              "u ← c_1 u + t_1,   up_1 ← c_2 up_1 + t_2", "mnist.unet.ClassConditionalUNet"),
        Topic("2.5", "2.5 Sampling with classifier-free guidance",
              "Every column is the digit that was asked for, in four hands.",
              lambda: class_samples(model("class"), weights, out),
              "ε = ε_u + γ (ε_c − ε_u),   γ = 5", "equations.classifier_free_guidance"),
        Topic("2.5-scales", "2.5 What the guidance scale does",
              "At γ = 0 the class is ignored, at 1 it is followed loosely, at 5 surely.",
              lambda: guidance_scales(model("class"), out)),
    ]  # fmt: skip


def denoiser_topics(model, weights: Path, out: Path) -> list[Topic]:
    """Section 1, the same in every edition; model(name) gives a UNet."""
    return [
        Topic("1.2", "1.2 Noise",
              "Up to σ = 0.6 one can still tell the digits; at 1 only rough strokes are left.",
              lambda: noise_levels(out),
              "z = x + σ ε,   ε ~ N(0, I)", "equations.add_sigma_noise"),
        Topic("1.2.1", "1.2.1 Training the denoiser",
              "The loss falls tenfold in the first hundred steps and then creeps; after one epoch"
              " the strokes are back with frayed edges, after five they are clean.",
              lambda: denoiser(model("denoiser"), weights, out),
              "L = E ‖D(z) − x‖^2,   σ = 0.5", "mnist.ddpm.squared_error"),
        Topic("1.2.2", "1.2.2 Noise it was not trained for",
              "Trained at σ = 0.5 only, it does well up to 0.6; at 0.8 and 1 strokes break.",
              lambda: out_of_distribution(model("denoiser"), out)),
    ]  # fmt: skip


# --- 1: the one-step denoiser ---------------------------------------------------------------------


def noise_levels(out: Path) -> list[Figure]:
    noisy = torch.cat([as_sheet(noisy_digits(sigma)[1])[:, :5] for sigma in SIGMAS])
    heads = [f"σ = {sigma:g}" for sigma in SIGMAS]
    sheet = draw_grid(tiles(noisy.transpose(0, 1)), columns=heads, scale=3)
    save_png(sheet, out / "1.2-noise-levels.png", {"sigmas": SIGMAS, "noise seeds": SEEDS})
    return [
        Figure(
            "1.2-noise-levels.png",
            "Five test digits under noise of seven strengths; a digit's noise is always the same.",
            "A grid of five handwritten digits; from left to right they vanish in grey noise.",
        )
    ]


def denoiser(model: nn.Module, weights: Path, out: Path) -> list[Figure]:
    first = load_sheet(weights / "samples" / "denoiser-epoch-01.png")
    clean, noisy, after_first = first
    trained = denoised(model, 0.5)[0]
    epochs = read_log(weights / "denoiser-log.json")["epochs"]
    labels = ["test digit", "with noise, σ = 0.5", "after epoch 1", f"after epoch {epochs}"]
    rows = torch.stack([clean, noisy, after_first, trained])
    facts = {"sigma": 0.5, "noise seeds": SEEDS}
    save_png(draw_grid(tiles(rows), rows=labels, scale=3), out / "1.2.1-denoised.png", facts)
    return [
        loss_curve("denoiser", weights, out / "1.2.1-loss.png"),
        Figure(
            "1.2.1-denoised.png",
            "Ten test digits, the same under noise, and what the network makes of them.",
            "Four rows of digits: clean, noisy, and two denoised rows, the last one sharper.",
        ),
    ]


def out_of_distribution(model: nn.Module, out: Path) -> list[Figure]:
    """Pairs of rows, a digit with noise and denoised, and a column per sigma."""
    noisy = torch.cat([as_sheet(noisy_digits(sigma)[1]) for sigma in SIGMAS])
    results = torch.cat([denoised(model, sigma) for sigma in SIGMAS])
    pairs = torch.stack([noisy, results])[:, :, :5]  # (2, sigmas, digits, 28, 28)
    rows = pairs.permute(2, 0, 1, 3, 4).flatten(0, 1)
    sheet = draw_grid(
        tiles(rows),
        columns=[f"σ = {sigma:g}" for sigma in SIGMAS],
        rows=["with noise", "denoised"] * 5,
        scale=3,
    )
    save_png(sheet, out / "1.2.2-out-of-distribution.png", {"noise seeds": SEEDS})
    return [
        Figure(
            "1.2.2-out-of-distribution.png",
            "Five test digits under noise it was never trained on, and what it makes of them.",
            "Pairs of rows, noisy digits above denoised ones; the noise grows to the right.",
        )
    ]


@torch.no_grad()
def denoised(model: nn.Module, sigma: float) -> Tensor:
    """(1, 10, 28, 28): what the model makes of ten test digits under this noise."""
    noisy = noisy_digits(sigma)[1]
    return as_sheet(model(noisy.to(next(model.parameters()).device)))


# --- 2: the diffusion models ----------------------------------------------------------------------


def time_samples(model: nn.Module, weights: Path, out: Path) -> list[Figure]:
    final, frames = watch(time_walk(model, ddpm_schedule(), seeds(20)), "time samples")
    epochs = read_log(weights / "time-log.json")["epochs"]
    fifth = load_sheet(weights / "samples" / "time-epoch-05.png")[: len(final)]
    facts = {"seeds": SEEDS, "steps": 300}
    labels = [*["epoch 5"] * len(fifth), *[f"epoch {epochs}"] * len(final)]
    sheet = draw_grid(tiles(torch.cat([fifth, final])), rows=labels, scale=3)
    save_png(sheet, out / "2.3-samples.png", facts)
    save_gif([frame(t, x) for t, x in frames], out / "2.3-sampling.gif", facts)
    return [
        Figure(
            "2.3-samples.png",
            f"Twenty samples after 5 and after {epochs} epochs, from the same noise.",
            "Two pairs of rows of drawn digits; the later ones are more often legible.",
        ),
        Figure(
            "2.3-sampling.gif",
            f"The samples of epoch {epochs} as they appear out of noise.",
            "An animation: grey noise turns into twenty digits.",
        ),
    ]


def class_samples(model: nn.Module, weights: Path, out: Path) -> list[Figure]:
    walk = class_walk(model, ddpm_schedule(), torch.arange(40) % 10, seeds(40), 5.0)
    final, frames = watch(walk, "class samples")
    epochs = read_log(weights / "class-log.json")["epochs"]
    fifth = load_sheet(weights / "samples" / "class-epoch-05.png")
    facts = {"seeds": SEEDS, "steps": 300, "guidance": 5}
    figures = []
    for epoch, sheet in ((5, fifth), (epochs, final)):
        path = out / f"2.5-samples-epoch-{epoch}.png"
        save_png(draw_grid(tiles(sheet), columns=DIGITS, scale=3), path, {**facts, "epoch": epoch})
        caption = f"Four samples of each digit after {epoch} epochs, guidance 5."
        alt = "Four rows of ten drawn digits, a column for each digit from 0 to 9."
        figures.append(Figure(path.name, caption, alt))
    save_gif([frame(t, x, DIGITS) for t, x in frames], out / "2.5-sampling.gif", facts)
    animation = Figure(
        "2.5-sampling.gif",
        f"The samples of epoch {epochs} as they appear out of noise.",
        "An animation: grey noise turns into four rows of the digits 0 to 9.",
    )
    return [*figures, animation]


def guidance_scales(model: nn.Module, out: Path) -> list[Figure]:
    """The same digits from the same noise at four scales, all in one batch."""
    asked = torch.arange(COMPARED).repeat(len(GAMMAS))
    scales = torch.tensor(GAMMAS).repeat_interleave(COMPARED)
    x = last(class_walk(model, ddpm_schedule(), asked, seeds(COMPARED) * len(GAMMAS), scales))
    rows = as_sheet(x).reshape(len(GAMMAS), COMPARED, SIDE, SIDE)
    labels = [f"γ = {gamma:g}" for gamma in GAMMAS]
    sheet = draw_grid(tiles(rows), columns=DIGITS[:COMPARED], rows=labels, scale=4)
    facts = {"seeds": SEEDS, "steps": 300, "guidance": GAMMAS}
    save_png(sheet, out / "2.5-guidance-scales.png", facts)
    return [
        Figure(
            "2.5-guidance-scales.png",
            "The digits 0 to 4 from the same noise at four guidance scales.",
            "Four rows of digits; the first ignores what was asked, the last is bold and plain.",
        )
    ]


# --- pictures from tensors ------------------------------------------------------------------------


def tiles(sheet: Tensor) -> list[list[Image.Image]]:
    """(rows, columns, 28, 28) in [0, 1] as rows of pictures."""
    return [[picture(tile[None], 0, 1) for tile in row] for row in sheet]


def frame(t: int, sheet: Tensor, columns: list[str] | tuple = ()) -> Image.Image:
    """One frame of a GIF: the pictures at timestep t."""
    return draw_grid(tiles(sheet), title=f"t = {t}", columns=columns, scale=2)


def watch(walk: Iterator[Tensor], name: str) -> tuple[Tensor, list[tuple[int, Tensor]]]:
    """Run a walk with a progress bar: its last pictures as a sheet, and frames as (t, sheet)."""
    frames = [
        (t, as_sheet(x))
        for t, x in zip(range(300, -1, -1), tqdm(walk, name, total=301, disable=None))
        if t % FRAME_EVERY == 0
    ]
    return frames[-1][1], frames
