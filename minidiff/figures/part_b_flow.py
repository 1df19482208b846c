"""Part B of the flow matching editions (fall 2025 and 2026), from the trained weights.

t = 0 is noise and t = 1 is clean. How long a model was trained is read from its log and from the
sheets that training wrote, never assumed: every caption says the epochs that it shows.
"""

from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from minidiff import ode
from minidiff.digits.samples import SEED, as_sheet, load_sheet, seeds
from minidiff.digits.train import choose_device
from minidiff.figures import part_b
from minidiff.figures.curves import count_epochs, loss_curve, read_log
from minidiff.figures.grids import draw_grid, read_png_text, save_gif, save_png
from minidiff.figures.page import Figure
from minidiff.figures.part_b import DIGITS, SEEDS, tiles
from minidiff.figures.quality_flow import quality
from minidiff.figures.report import Topic, draw_report, fingerprint
from minidiff.mnist import flow
from minidiff.mnist.checkpoint import EDITIONS, RECIPES
from minidiff.mnist.data import WEIGHTS

OUT = part_b.OUT / "fa25"
WINDOW = 100  # steps in a running mean of the loss, as in the course's notebook
TIME_STEPS, CLASS_STEPS, GAMMA = 50, 300, 5.0  # the course's
FRAMES = 50  # pictures in a GIF
WALKS = (  # how few steps will do
    ("Euler, 4 steps", ode.euler_walk, 4),
    ("Euler, 10 steps", ode.euler_walk, 10),
    ("Heun, 5 (9 calls)", ode.heun_walk, 5),
    ("Euler, 50 steps", ode.euler_walk, 50),
)


def main(
    *,
    weights: str | Path = WEIGHTS,
    out: str | Path = OUT,
    device: str | None = None,
    only: str | None = None,
) -> Path:
    """Draw all figures of Part B's flow editions into `out`; returns its index.html.

    weights: a folder as training leaves it. only: the id of one section. Raises UserError when
    something of the folder is missing.
    """
    weights, out, device = Path(weights), Path(out), choose_device(device)
    files = sorted(path for path in weights.rglob("*") if path.suffix != ".pt" and path.is_file())
    lengths = {
        name: count_epochs(read_log(weights / f"{name}-log.json")["epochs"])
        for name in EDITIONS["fa25"]
    }
    trained = ", ".join(f"{name}: {length}" for name, length in lengths.items())
    return draw_report(
        out,
        "Part B: flow matching from scratch",
        "Small UNets trained on the 60,000 digits of MNIST: a denoiser that works in one step, and"
        " two models that answer with the velocity from noise (t = 0) to a digit (t = 1)."
        f" Trained here: {trained}; the course's recipe for the flow models is"
        f" {RECIPES['flow-time'].epochs} epochs. Picture i of a figure has seed {SEED} + i.",
        topics(weights, out, device),
        stamp=fingerprint(files, device),
        tables=quality(weights),
        only=only,
    )


def topics(weights: Path, out: Path, device: str) -> list[Topic]:
    """The sections in the course's order."""
    model = part_b.open_models("fa25", weights, device)
    shared = {topic.id: topic for topic in part_b.denoiser_topics(model, weights, out)}
    step = "x_{t+h} = x_t + h u_θ(x_t, t)"
    found = [
        *shared.values(),
        Topic("2.2", "2.2 Training the time-conditioned UNet",
              "It estimates the way from noise to picture. Near t = 0 the picture is unknown, and"
              " the loss cannot fall below the digits' own spread; near t = 1 the noise is faint.",
              lambda: [loss_curve("flow-time", weights, out / "2.2-loss.png", WINDOW)],
              "x_t = (1 − t) x_0 + t x_1,   L = E ‖(x_1 − x_0) − u_θ(x_t, t)‖^2",
              "equations.linear_velocity"),
        Topic("2.3", "2.3 Sampling from the time-conditioned UNet",
              "Nobody tells it which digit to draw, and some of its samples are none.",
              lambda: time_samples(model("flow-time"), weights, out), step, "equations.euler_step"),
        Topic("2.5", "2.5 Training the class-conditioned UNet",
              "One picture in ten comes without its class, so that the model can do without too.",
              lambda: [loss_curve("flow-class", weights, out / "2.5-loss.png", WINDOW)],
              "u ← c_1 u + t_1,   up_1 ← c_2 up_1 + t_2", "mnist.unet.ClassConditionalUNet"),
        Topic("2.6", "2.6 Sampling with classifier-free guidance",
              "Every column was asked for one digit; after one epoch some give none yet. The sheets"
              " of earlier epochs were drawn while training ran, in fewer steps than the last.",
              lambda: class_samples(model("flow-class"), weights, out),
              "u = u_u + γ (u_c − u_u),   γ = 5", "equations.classifier_free_guidance"),
        Topic("2.6-steps", "2.6 How few steps will do",
              "Fewer steps cut the corners of a path that bends. This one bends so little that four"
              " steps already write every digit: the rows differ in the ends of strokes.",
              lambda: few_steps(model("flow-class"), weights, out), step, "ode.euler_walk"),
    ]  # fmt: skip
    if sheets(weights, "pure-noise"):
        found.insert(
            len(shared),
            Topic("1.2.3", "1.2.3 Denoising pure noise",
                  "The input says nothing about the digit behind it, so the best answer under"
                  " squared error is the same for all of them: the mean of the training set.",
                  lambda: pure_noise(weights, out),
                  "argmin_D E ‖D(z) − x‖^2 = E[x]   when z tells nothing of x"),
        )  # fmt: skip
    if sheets(weights, "flow-class-constant"):
        found.append(
            Topic("2.6-constant", "2.6 Without a learning rate scheduler",
                  "A constant rate, ten times lower than the one the scheduler starts from.",
                  lambda: constant_rate(weights, out))
        )  # fmt: skip
    return found


# --- figures --------------------------------------------------------------------------------------


def sheets(weights: Path, name: str) -> list[Path]:
    """What training drew of a model, in order."""
    return sorted((weights / "samples").glob(f"{name}-[se][tp]*-[0-9][0-9].png"))


def epochs_of(path: Path) -> str:
    """How long the model had been trained that drew a sheet, from the sheet's own text."""
    return count_epochs(float(read_png_text(path).get("epoch", "nan")))


def final_epochs(weights: Path, name: str) -> str:
    return count_epochs(read_log(weights / f"{name}-log.json")["epochs"])


def pure_noise(weights: Path, out: Path) -> list[Figure]:
    paths = sheets(weights, "pure-noise")
    noise = load_sheet(paths[0])[:1]
    answers = torch.cat([load_sheet(path)[1:] for path in paths])
    means = load_sheet(weights / "samples" / "mean-digits.png")
    labels = ["input", *(f"after {epochs_of(path)}" for path in paths), "mean of each digit",
              "mean of all"]  # fmt: skip
    sheet = draw_grid(tiles(torch.cat([noise, answers, means])), rows=labels, scale=3)
    facts = {"noise seeds": SEEDS, "epochs": [epochs_of(path) for path in paths]}
    save_png(sheet, out / "1.2.3-pure-noise.png", facts)
    figures = [
        Figure(
            "1.2.3-pure-noise.png",
            "Ten inputs of pure noise, what a denoiser answers that was trained on nothing else,"
            " and the means of the training set.",
            "Noise, one blurred blot ten times over, the blurred mean of each digit, and the blot"
            " that is the mean of all.",
        )
    ]
    if (weights / "pure-noise-log.json").is_file():
        figures.insert(0, loss_curve("pure-noise", weights, out / "1.2.3-loss.png"))
    return figures


def time_samples(model: nn.Module, weights: Path, out: Path) -> list[Figure]:
    walk = flow.time_walk(model, seeds(20), TIME_STEPS)
    states = list(tqdm(walk, "time samples", TIME_STEPS + 1, disable=None))
    earlier = sheets(weights, "flow-time")[:-1]
    rows = [load_sheet(path)[:2] for path in earlier] + [as_sheet(states[-1])]
    lengths = [epochs_of(path) for path in earlier] + [final_epochs(weights, "flow-time")]
    labels = [length for length in lengths for _ in range(2)]
    facts = {"seeds": SEEDS, "steps": TIME_STEPS, "epochs": lengths}
    save_png(
        draw_grid(tiles(torch.cat(rows)), rows=labels, scale=3), out / "2.3-samples.png", facts
    )
    times = ode.even_times(TIME_STEPS)
    save_gif([frame(t, x) for t, x in zip(times, states)], out / "2.3-sampling.gif", facts)
    return [
        Figure(
            "2.3-samples.png",
            f"Twenty samples from the same noise after {', '.join(lengths[:-1])} and"
            f" {lengths[-1]}, {TIME_STEPS} Euler steps.",
            "Pairs of rows of drawn digits, one pair for each moment of training.",
        ),
        Figure(
            "2.3-sampling.gif",
            f"The samples after {lengths[-1]} as they appear out of noise.",
            "An animation: grey noise turns into twenty digits.",
        ),
    ]


def class_samples(model: nn.Module, weights: Path, out: Path) -> list[Figure]:
    asked = torch.arange(40) % 10
    walk = flow.class_walk(model, asked, seeds(40), CLASS_STEPS, GAMMA)
    every = CLASS_STEPS // FRAMES
    states = list(
        islice(tqdm(walk, "class samples", CLASS_STEPS + 1, disable=None), 0, None, every)
    )
    figures = []
    for path in sheets(weights, "flow-class")[:-1]:
        steps = read_png_text(path).get("steps", "?")
        figures.append(class_sheet(load_sheet(path), epochs_of(path), steps, out))
    figures.append(
        class_sheet(as_sheet(states[-1]), final_epochs(weights, "flow-class"), CLASS_STEPS, out)
    )
    frames = [frame(i * every / CLASS_STEPS, x, DIGITS) for i, x in enumerate(states)]
    save_gif(frames, out / "2.6-sampling.gif", {"seeds": SEEDS, "guidance": GAMMA})
    animation = Figure(
        "2.6-sampling.gif",
        f"The samples after {final_epochs(weights, 'flow-class')} as they appear out of noise.",
        "An animation: grey noise turns into four rows of the digits 0 to 9.",
    )
    return [*figures, animation]


def class_sheet(sheet: Tensor, length: str, steps: int | str, out: Path) -> Figure:
    """Four rows of the ten digits that were asked for."""
    path = out / f"2.6-samples-after-{length.replace(' ', '-')}.png"
    facts = {"seeds": SEEDS, "steps": steps, "guidance": GAMMA, "trained": length}
    save_png(draw_grid(tiles(sheet), columns=DIGITS, scale=3), path, facts)
    return Figure(
        path.name,
        f"Four samples of each digit after {length}, γ = {GAMMA:g}, {steps} Euler steps.",
        "Four rows of ten drawn digits, a column for each digit from 0 to 9.",
    )


def few_steps(model: nn.Module, weights: Path, out: Path) -> list[Figure]:
    """The same noise and digits by short walks."""
    rows = [
        as_sheet(ode.last(flow.class_walk(model, torch.arange(10), seeds(10), n, GAMMA, solver=w)))
        for _, w, n in WALKS
    ]
    labels = [label for label, _, _ in WALKS]
    sheet = draw_grid(tiles(torch.cat(rows)), columns=DIGITS, rows=labels, scale=3)
    save_png(sheet, out / "2.6-steps.png", {"seeds": SEEDS, "guidance": GAMMA, "walks": labels})
    return [
        Figure(
            "2.6-steps.png",
            f"The ten digits from the same noise by short walks, γ = {GAMMA:g},"
            f" after {final_epochs(weights, 'flow-class')}.",
            "Rows of ten digits, a row for each way of walking.",
        )
    ]


def constant_rate(weights: Path, out: Path) -> list[Figure]:
    last = {name: sheets(weights, name)[-1] for name in ("flow-class", "flow-class-constant")}
    rows = torch.cat([load_sheet(path)[:2] for path in last.values()])
    labels = [
        f"{how}, {epochs_of(path)}"
        for how, path in zip(("with the scheduler", "constant rate"), last.values())
        for _ in range(2)
    ]
    sheet = draw_grid(tiles(rows), columns=DIGITS, rows=labels, scale=3)
    save_png(sheet, out / "2.6-constant.png", {"seeds": SEEDS, "guidance": GAMMA})
    return [
        loss_curve("flow-class-constant", weights, out / "2.6-constant-loss.png", WINDOW),
        Figure(
            "2.6-constant.png",
            "The same digits and noise by the model with a decaying and by the one with a constant"
            " learning rate.",
            "Four rows of digits, two for each model.",
        ),
    ]


def frame(t: float, x: Tensor, columns=()):
    """One frame of a GIF: the pictures at time t."""
    return draw_grid(tiles(as_sheet(x)), title=f"t = {t:.2f}", columns=columns, scale=2)
