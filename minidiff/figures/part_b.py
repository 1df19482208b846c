"""Part B's report: a figure per section of the course, from the shipped weights, and one page.

Everything is made anew from the final weights on any machine, except what an earlier epoch drew:
those pictures are the sheets that training wrote, see `minidiff/mnist/samples.py`.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from minidiff.figures.curves import loss_curve, quality
from minidiff.figures.grids import draw_grid, picture, save_gif, save_png
from minidiff.figures.page import Figure, Section, write_page
from minidiff.mnist.checkpoint import RECIPES, load_model
from minidiff.mnist.data import ROOT, WEIGHTS
from minidiff.mnist.ddpm import class_walk, ddpm_schedule, time_walk
from minidiff.mnist.evaluate import SIGMAS
from minidiff.mnist.samples import SEED, as_sheet, load_sheet, noisy_digits, seeds
from minidiff.mnist.train import choose_device

OUT = ROOT / "out" / "part-b"
DIGITS = [str(kind) for kind in range(10)]
GAMMAS = (0.0, 1.0, 5.0, 10.0)
COMPARED = 5  # digits in the comparison of guidance scales
FRAME_EVERY = 6  # steps between two frames of a GIF
SEEDS = f"{SEED}, {SEED + 1}, ..."  # one per picture


def main(
    *, weights: str | Path = WEIGHTS, out: str | Path = OUT, device: str | None = None
) -> Path:
    """Draw all figures of Part B into `out` and write its index.html; returns the page's path.

    weights: a folder as training leaves it: three models, their logs, and samples/. Raises
    UserError when something of it is missing.
    """
    started = time.perf_counter()
    weights, out, device = Path(weights), Path(out), device or choose_device()
    models = {name: load_model(weights / f"{name}.safetensors", device) for name in RECIPES}
    sections = [
        noise_levels(out),
        denoiser_training(weights, out),
        denoiser_results(models["denoiser"], weights, out),
        out_of_distribution(models["denoiser"], out),
        time_training(weights, out),
        time_results(models["time"], weights, out),
        class_training(weights, out),
        *class_results(models["class"], weights, out),
        *quality(weights),
    ]
    page = write_page(
        out,
        "Part B: diffusion models from scratch",
        "Small UNets trained on the 60,000 digits of MNIST: a denoiser that works in one step, and "
        "two models that draw digits in 300.",
        sections,
        footer=f"Weights: {weights.name}. Picture i of a figure has seed {SEED} + i.",
    )
    print(f"{page}: {len(sections)} sections in {time.perf_counter() - started:.0f} s")
    return page


def tiles(sheet: Tensor) -> list:
    """(rows, columns, 28, 28) in [0, 1] as rows of pictures."""
    return [[picture(tile[None], 0, 1) for tile in row] for row in sheet]


# --- 1: the one-step denoiser --------------------------------------------------------------------


def noise_levels(out: Path) -> Section:
    noisy = torch.cat([as_sheet(noisy_digits(sigma)[1])[:, :5] for sigma in SIGMAS])
    sheet = draw_grid(
        tiles(noisy.transpose(0, 1)), columns=[f"σ = {sigma:g}" for sigma in SIGMAS], scale=3
    )
    save_png(sheet, out / "1.2-noise-levels.png", {"sigmas": SIGMAS, "noise seeds": SEEDS})
    figure = Figure(
        "1.2-noise-levels.png",
        "Five test digits under noise of seven strengths; a digit's noise is always the same.",
        "A grid of five handwritten digits; from left to right they vanish in grey noise.",
    )
    return Section(
        "1.2 Noise",
        "Up to σ = 0.6 one can still tell the digits; at 1 only rough strokes are left.",
        "z = x + σ ε,   ε ~ N(0, I)",
        "equations.add_sigma_noise",
        [figure],
    )


def denoiser_training(weights: Path, out: Path) -> Section:
    figure, table = loss_curve("denoiser", weights, out / "1.2.1-loss.png")
    return Section(
        "1.2.1 Training the denoiser",
        "The loss falls tenfold in the first hundred steps and then creeps.",
        "L = E ‖D(z) − x‖^2,   σ = 0.5",
        "mnist.ddpm.squared_error",
        [figure],
        [table],
    )


def denoiser_results(model: nn.Module, weights: Path, out: Path) -> Section:
    first = load_sheet(weights / "samples" / "denoiser-epoch-01.png")
    fifth = denoised_sheet(model, [0.5])
    rows = torch.cat([first, fifth[1:]])
    labels = ["test digit", "with noise, σ = 0.5", "denoised after epoch 1", "after epoch 5"]
    save_png(
        draw_grid(tiles(rows), rows=labels, scale=3),
        out / "1.2.1-denoised.png",
        {"sigma": 0.5, "noise seeds": SEEDS},
    )
    figure = Figure(
        "1.2.1-denoised.png",
        "Ten test digits, the same under noise, and what the network makes of them.",
        "Four rows of digits: clean, noisy, and two denoised rows of which the last is sharper.",
    )
    return Section(
        "1.2.1 Denoised digits",
        "After one epoch the strokes are back with frayed edges; after five they are clean.",
        figures=[figure],
    )


@torch.no_grad()
def denoised_sheet(model: nn.Module, sigmas: list[float]) -> Tensor:
    """Two rows of ten per sigma: the noisy test digits and what the model makes of them."""
    device, rows = next(model.parameters()).device, []
    for sigma in sigmas:
        noisy = noisy_digits(sigma)[1]
        rows += [as_sheet(noisy), as_sheet(model(noisy.to(device)))]
    return torch.cat(rows)


def out_of_distribution(model: nn.Module, out: Path) -> Section:
    pairs = denoised_sheet(model, list(SIGMAS))[:, :5]  # noisy and denoised by turns
    rows = torch.cat([pairs[0::2].transpose(0, 1), pairs[1::2].transpose(0, 1)])
    order = [row for kind in range(5) for row in (kind, kind + 5)]  # each digit with its result
    sheet = draw_grid(
        tiles(rows[order]),
        columns=[f"σ = {sigma:g}" for sigma in SIGMAS],
        rows=["with noise", "denoised"] * 5,
        scale=3,
    )
    save_png(sheet, out / "1.2.2-out-of-distribution.png", {"noise seeds": SEEDS})
    figure = Figure(
        "1.2.2-out-of-distribution.png",
        "Five test digits at noise the network was never trained on, and what it makes of them.",
        "Pairs of rows, noisy digits above denoised ones, from no noise on the left to the most.",
    )
    return Section(
        "1.2.2 Noise it was not trained for",
        "Trained at σ = 0.5 only, it does well up to 0.6; at 0.8 and 1 strokes break.",
        figures=[figure],
    )


# --- 2: the diffusion models ---------------------------------------------------------------------


def time_training(weights: Path, out: Path) -> Section:
    figure, table = loss_curve("time", weights, out / "2.2-loss.png")
    return Section(
        "2.2 Training the time-conditioned UNet",
        "It estimates the noise at every timestep; most of the fall is over after one epoch.",
        "x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε,   L = E ‖ε_θ(x_t, t) − ε‖^2",
        "equations.forward_process",
        [figure],
        [table],
    )


def time_results(model: nn.Module, weights: Path, out: Path) -> Section:
    walk = time_walk(model, ddpm_schedule(), seeds(20))
    final, frames = watch(walk, "time samples")
    fifth = load_sheet(weights / "samples" / "time-epoch-05.png")[: len(final)]
    facts = {"seeds": SEEDS, "steps": 300}
    labels = [*["epoch 5"] * len(fifth), *["epoch 20"] * len(final)]
    sheet = draw_grid(tiles(torch.cat([fifth, final])), rows=labels, scale=3)
    save_png(sheet, out / "2.3-samples.png", facts)
    save_gif([frame_of(t, x, ()) for t, x in frames], out / "2.3-sampling.gif", facts)
    figures = [
        Figure(
            "2.3-samples.png",
            "Twenty samples after 5 and after 20 epochs, from the same noise.",
            "Two pairs of rows of drawn digits; those of epoch 20 are more often legible.",
        ),
        Figure(
            "2.3-sampling.gif",
            "The samples of epoch 20 as they appear out of noise.",
            "An animation: grey noise turns into twenty digits.",
        ),
    ]
    return Section(
        "2.3 Sampling from the time-conditioned UNet",
        "Nobody tells it which digit to draw, so some samples are between two digits.",
        "x_{t−1} = √ᾱ_{t−1} β_t / (1 − ᾱ_t) x̂_0 + √α_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t) x_t + √β_t z",
        "equations.ddpm_step",
        figures,
    )


def class_training(weights: Path, out: Path) -> Section:
    figure, table = loss_curve("class", weights, out / "2.4-loss.png")
    return Section(
        "2.4 Training the class-conditioned UNet",
        "One picture in ten is shown without its class, so that the model can do without it too.",
        "u ← c_1 u + t_1,   up_1 ← c_2 up_1 + t_2",
        "mnist.unet.ClassConditionalUNet",
        [figure],
        [table],
    )


def class_results(model: nn.Module, weights: Path, out: Path) -> list[Section]:
    """Samples of each digit, and the same digits at four guidance scales, from one walk."""
    others = [gamma for gamma in GAMMAS if gamma != 5]
    c = torch.cat([torch.arange(40) % 10, torch.arange(COMPARED).repeat(len(others))])
    scales = torch.cat([torch.full((40,), 5.0), torch.tensor(others).repeat_interleave(COMPARED)])
    walk = class_walk(model, ddpm_schedule(), c, seeds(40) + seeds(COMPARED) * len(others), scales)
    final, frames = watch(walk, "class samples")  # four rows of the grid, then the comparison
    grid, compared = final[:4], final[4:].reshape(-1, COMPARED, 28, 28)
    rows = {5.0: grid[0, :COMPARED], **dict(zip(others, compared))}
    return [
        class_section(grid, [(t, x[:4]) for t, x in frames], weights, out),
        guidance_section(torch.stack([rows[gamma] for gamma in GAMMAS]), out),
    ]


def class_section(grid: Tensor, frames: list, weights: Path, out: Path) -> Section:
    facts = {"seeds": SEEDS, "steps": 300, "guidance": 5}
    fifth = load_sheet(weights / "samples" / "class-epoch-05.png")
    for epoch, sheet in ((5, fifth), (20, grid)):
        drawn = draw_grid(tiles(sheet), columns=DIGITS, scale=3)
        save_png(drawn, out / f"2.5-samples-epoch-{epoch}.png", {**facts, "epoch": epoch})
    save_gif([frame_of(t, x, DIGITS) for t, x in frames], out / "2.5-sampling.gif", facts)
    figures = [
        Figure(
            f"2.5-samples-epoch-{epoch}.png",
            f"Four samples of each digit after {epoch} epochs, guidance 5.",
            "Four rows of ten drawn digits, a column for each digit from 0 to 9.",
        )
        for epoch in (5, 20)
    ]
    animation = Figure(
        "2.5-sampling.gif",
        "The samples of epoch 20 as they appear out of noise.",
        "An animation: grey noise turns into four rows of the digits 0 to 9.",
    )
    return Section(
        "2.5 Sampling with classifier-free guidance",
        "Every column is the digit that was asked for, in four hands.",
        "ε = ε_u + γ (ε_c − ε_u),   γ = 5",
        "equations.classifier_free_guidance",
        [*figures, animation],
    )


def guidance_section(rows: Tensor, out: Path) -> Section:
    sheet = draw_grid(
        tiles(rows), columns=DIGITS[:COMPARED], rows=[f"γ = {g:g}" for g in GAMMAS], scale=4
    )
    save_png(sheet, out / "2.5-guidance.png", {"seeds": SEEDS, "steps": 300, "guidance": GAMMAS})
    figure = Figure(
        "2.5-guidance.png",
        "The digits 0 to 4 from the same noise at four guidance scales.",
        "Four rows of digits; the first row ignores what was asked, the last is bold and plain.",
    )
    return Section(
        "2.5 What guidance does",
        "At γ = 0 the class is ignored, at 1 it is followed loosely, at 5 surely.",
        figures=[figure],
    )


def watch(walk: Iterator[Tensor], name: str) -> tuple[Tensor, list[tuple[int, Tensor]]]:
    """Run a walk with a progress bar: its last pictures as rows of ten, and frames as (t, rows)."""
    frames = []
    for t, x in zip(range(300, -1, -1), tqdm(walk, name, total=301)):
        if t % FRAME_EVERY == 0:
            frames.append((t, rows_of(x)))
    return frames[-1][1], frames


def rows_of(x: Tensor) -> Tensor:
    """as_sheet for any number of pictures: the last row is filled up with black ones."""
    filler = x.new_zeros((-len(x)) % 10, *x.shape[1:])
    return as_sheet(torch.cat([x, filler]))


def frame_of(t: int, x: Tensor, columns):
    return draw_grid(tiles(x), title=f"t = {t}", columns=columns, scale=2)
