"""Loss curves from the logs that training wrote, and the tables of measured quality."""

import json
from pathlib import Path

import torch

from minidiff.errors import UserError
from minidiff.figures.page import Figure, Section, Table
from minidiff.io.files import save_atomically
from minidiff.io.surroundings import import_matplotlib

WINDOW = 50  # steps in a running mean
RESULTS = (
    "denoiser_mse", "read_right", "read_right_per_digit", "time_test_loss", "class_test_loss",
    "fid_class_samples", "fid_time_samples", "fid_train_digits", "classifier_test_accuracy",
    "samples", "guidance",
)  # fmt: skip


def loss_curve(name: str, weights: Path, path: Path, window: int = WINDOW) -> Figure:
    """Draw the training loss per step and its running mean, from weights/<name>-log.json.

    A log that has the loss per tenth of t gets it as a second panel.
    """
    log = read_log(weights / f"{name}-log.json")
    losses, epochs = torch.tensor(log["losses"]), log["epochs"]
    tenths = log.get("loss_per_tenth_of_t") or []
    window = min(window, len(losses))
    smooth = losses.unfold(0, window, 1).mean(1)
    import_matplotlib()
    from matplotlib.figure import Figure as Plot

    figure = Plot(figsize=(7.5, 3.8), dpi=110, layout="constrained")
    axes, *second = figure.subplots(1, 2, width_ratios=(3, 2)) if tenths else [figure.subplots()]
    axes.plot(losses, color="#9db8d9", linewidth=0.6, label="each step")
    steps = torch.arange(len(smooth)) + window // 2
    axes.plot(steps, smooth, color="#1f4e8c", linewidth=1.6, label=f"mean of {window} steps")
    axes.set(yscale="log", xlabel="step", ylabel="mean squared error", xlim=(0, len(losses)))
    # Adam's first steps may leap far beyond where training begins
    axes.set_ylim(float(losses.min()) * 0.9, 1.3 * max(float(losses[0]), float(smooth.max())))
    axes.set_title(f"{name} model, {count_epochs(epochs)}, seed {log['seed']}")
    axes.grid(which="both", alpha=0.25)
    axes.legend()
    for bars in second:
        bars.bar([i / 10 + 0.05 for i in range(10)], tenths[-1], width=0.09, color="#9db8d9")
        bars.set(xlabel="t", ylabel="mean squared error", xlim=(0, 1))
        bars.set_title("by t, in the last stage")
    facts = {"training seed": str(log["seed"]), "epochs": str(epochs)}
    save_atomically(path, lambda file: figure.savefig(file, format="png", metadata=facts))
    caption = f"Training loss over {len(losses)} steps, on a logarithmic axis. "
    if tenths or type(epochs) is float:
        end = float(losses[-window:].mean())
        caption += f"Mean of the last {window} steps: {end:.4f}."
        if tenths:
            caption += " Right: the training loss of the last stage for each tenth of t."
    else:
        means = losses.reshape(epochs, -1).mean(1).tolist()
        end = means[-1]
        shown = [f"{means[i - 1]:.4f} (epoch {i})" for i in (1, 5, 10, 20) if i <= epochs]
        caption += f"Mean of an epoch: {', '.join(shown)}."
    alt = f"A falling curve that ends near {end:.4f}"
    if tenths:
        alt += f"; bars for ten parts of t, from {tenths[-1][0]:.3f} to {tenths[-1][-1]:.3f}"
    return Figure(path.name, caption, f"{alt}.")


def count_epochs(epochs: float) -> str:
    """ "1 epoch", "0.5 epochs": what a figure says of how long its model was trained."""
    return f"{epochs:g} epoch{'' if epochs == 1 else 's'}"


def read_log(path: Path) -> dict:
    """What training noted of a run: losses, epochs, seed. UserError for a damaged file."""
    log = read_numbers(path, ("losses", "epochs", "seed"))
    losses, epochs = log["losses"], log["epochs"]
    numbers = isinstance(losses, list) and all(isinstance(x, (int, float)) for x in losses)
    right = numbers and losses and type(epochs) in (int, float) and epochs > 0
    if not right or (type(epochs) is int and len(losses) % epochs):
        raise UserError(f"{path} is no training log: restore it or run `make train-mnist`")
    return log


def read_numbers(path: Path, keys: tuple[str, ...]) -> dict:
    """A JSON object that has at least these keys. UserError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); training writes it: restore it or run "
            "`make train-mnist`"
        ) from error
    missing = [key for key in keys if not isinstance(content, dict) or key not in content]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}: restore it or make it again")
    return content


def quality(weights: Path) -> list[Section]:
    """The measured numbers, where `make eval-mnist OUT=<weights>/results.json` has left them."""
    path = weights / "results.json"
    if not path.exists():
        return []
    results = read_numbers(path, RESULTS)
    errors = results["denoiser_mse"]
    denoiser = Table(
        ["σ", *errors], [["denoiser, test MSE", *(f"{error:.4f}" for error in errors.values())]]
    )
    per_digit = [f"{share:.0%}" for share in results["read_right_per_digit"]]
    read = Table(
        ["asked for", *range(10), "all"],
        [["read as it", *per_digit, f"{results['read_right']:.1%}"]],
    )
    rest = Table(
        ["measure", "value"],
        [
            ["time model, test loss", f"{results['time_test_loss']:.4f}"],
            ["class model, test loss", f"{results['class_test_loss']:.4f}"],
            ["FID of class samples to test digits", f"{results['fid_class_samples']:.2f}"],
            ["FID of time samples to test digits", f"{results['fid_time_samples']:.2f}"],
            ["FID of training digits, the floor", f"{results['fid_train_digits']:.2f}"],
        ],
    )
    look = (
        f"A classifier with {results['classifier_test_accuracy']:.2%} on real test digits reads "
        f"{results['samples']} samples at guidance {results['guidance']:g}; FID is on its features."
    )
    return [Section("How good are they?", look, tables=[denoiser, read, rest])]
