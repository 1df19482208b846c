"""Trains the models of Part B by the course's exact recipes: `make train-mnist`.

A run is a folder. `last.pt`, written after every epoch, holds all that the rest depends on; the
same command goes on from it, and ends as if it had never been interrupted. Beside the runs' folders
lie the results: weights, loss logs, and the sample sheets of chosen epochs.
"""

import importlib.util
import io
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from minidiff.digits import samples
from minidiff.digits.trainer import Trainer
from minidiff.errors import UserError
from minidiff.io.devices import my_share, pick_device
from minidiff.io.files import save_atomically
from minidiff.io.paths import HOME
from minidiff.mnist.checkpoint import RECIPES, Recipe, save_model
from minidiff.mnist.data import load_digits

RUNS = HOME / "runs" / "mnist"
MODES = ("fast", "plain", "deterministic")


def train(trainer: Trainer, folder: Path, stages: int) -> None:
    """Train to the end of stage `stages`, going on from folder/last.pt; write samples and results.

    A stage is an epoch, see Trainer.
    """
    resume(trainer, folder)
    steps = trainer.stage_steps
    on_gpu = trainer.device.type == "cuda"  # there a bar would show launches, not work done
    save = None if on_gpu else lambda: write_state(trainer, folder)
    with tqdm(total=stages * steps, initial=len(trainer.losses), disable=on_gpu) as bar:
        bar.set_description(trainer.recipe.name)
        while trainer.epoch < stages:
            loss = trainer.run_epoch(bar.update, save)
            whole = stages * steps / trainer.per_epoch
            bar.write(
                f"{trainer.recipe.name} seed {trainer.seed}: epoch {trainer.epochs_done():g} of "
                f"{whole:g}, loss {loss:.5f}, {trainer.epoch_seconds[-1]:.2f} s"
            )
            write_samples(trainer, folder)
            write_state(trainer, folder)
    write_results(trainer, folder)


def resume(trainer: Trainer, folder: Path) -> None:
    """Continue the run that is in the folder, if there is one and it is the same run."""
    if not (folder / "last.pt").exists():
        return
    try:
        state = torch.load(folder / "last.pt", map_location="cpu", weights_only=True)
        other = {k: v for k, v in state["config"].items() if trainer.config().get(k) != v}
        if not other:
            trainer.load_state(state)
    except Exception as error:  # a damaged archive can fail in any way it likes
        reason = f"{type(error).__name__}: {str(error)[:100]}"
        raise UserError(
            f"{folder / 'last.pt'} is damaged ({reason}); delete it to train anew"
        ) from error
    if other:
        raise UserError(
            f"{folder} holds a run with other settings ({other}); "
            "delete it or choose another folder with OUT="
        )
    print(f"{trainer.recipe.name}: going on after step {len(trainer.losses)} in {folder}")


def write_state(trainer: Trainer, folder: Path) -> None:
    """last.pt. By way of memory, because torch.save hides what a full disk says."""
    buffer = io.BytesIO()
    torch.save(trainer.state(), buffer)
    save_atomically(folder / "last.pt", lambda file: file.write(buffer.getbuffer()))


def write_samples(trainer: Trainer, folder: Path) -> None:
    recipe, stage = trainer.recipe, trainer.epoch
    if stage in samples.SAMPLE_EPOCHS[recipe.name]:
        sheet, facts = samples.make_sheet(recipe.kind, trainer.model)
        facts |= {"model": recipe.name, "epoch": trainer.epochs_done()}
        facts |= {"training seed": trainer.seed, "first sample seed": samples.SEED}
        path = folder.parent / "samples" / samples.sheet_name(recipe, stage)
        samples.save_sheet(sheet, path, facts)
        if recipe.kind == "pure-noise":  # what its answer should be
            means = samples.mean_sheet(trainer.digits)
            samples.save_sheet(means, path.with_name("mean-digits.png"), {"pictures": "training"})


def write_results(trainer: Trainer, folder: Path) -> None:
    """The weights and the loss log, beside the run's folder."""
    recipe, per_stage = trainer.recipe, trainer.stage_steps
    facts = {"seed": trainer.seed, "epochs": trainer.epochs_done(), "mode": trainer.mode}
    facts |= {"torch": torch.__version__, "device": device_name(trainer.device)}
    save_model(trainer.model, folder.parent / f"{recipe.name}.safetensors", recipe, facts)
    log = {
        **facts,
        "recipe": asdict(recipe),
        "final_loss": sum(trainer.losses[-per_stage:]) / per_stage,
        "loss_per_tenth_of_t": [[round(loss, 5) for loss in stage] for stage in trainer.tenths],
        "setup_seconds": round(trainer.setup_seconds(), 3),
        "epoch_seconds": [round(s, 4) for s in trainer.epoch_seconds],
        "losses": [round(loss, 6) for loss in trainer.losses],
    }
    text = json.dumps(log).encode()
    save_atomically(folder.parent / f"{recipe.name}-log.json", lambda file: file.write(text))


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def choose_device(asked: str | None = None) -> str:
    """The device asked for, else this process's GPU under torchrun, else cuda, else the CPU."""
    if asked is not None or torch.cuda.is_available():
        return str(pick_device(asked))
    return "cpu"


def choose_mode(asked: str | None, device: str) -> str:
    """The mode asked for, else fast where it runs; on a GPU where it does not, a line says why."""
    lacks = fast_lacks(device)
    if asked is None and lacks and device.startswith("cuda"):
        print(f"training in mode plain, which is slower: mode fast needs {lacks}")
    if asked == "fast" and lacks:
        raise UserError(f"mode fast needs {lacks}; use mode plain")
    return asked or ("plain" if lacks else "fast")


def fast_lacks(device: str) -> str | None:
    """What half.py needs and does not find, or None."""
    if not device.startswith("cuda"):
        return f"an NVIDIA GPU, and this is {device}"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return f"a GPU that computes in bfloat16, and {torch.cuda.get_device_name(device)} is older"
    if importlib.util.find_spec("triton") is None:
        return "Triton, which comes with torch on Linux alone"
    if not any(map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang"))):
        return "a C compiler, such as gcc, to build Triton's kernels, and there is none here"
    return None


def configure(device: str, mode: str) -> None:
    """torch's global switches for a mode; must come before the first work on a GPU."""
    if mode == "deterministic":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # the same as use_deterministic_algorithms, which would import torch's compiler first
    torch.set_deterministic_debug_mode("error" if mode == "deterministic" else "default")
    torch.backends.cudnn.benchmark = mode == "fast"
    torch.set_float32_matmul_precision("high" if mode == "fast" else "highest")
    if torch.device(device).index is not None:
        torch.cuda.set_device(device)


def main(
    *,
    models: Sequence[str] = ("denoiser", "time", "class"),
    seeds: Sequence[int] = (180,),
    dataset: str = "mnist",
    epochs: float | None = None,
    out: str | Path = RUNS,
    device: str | None = None,
    mode: str | None = None,
    data_folder: Path | None = None,
) -> list[Path]:
    """Train each model with each seed; returns the folders out/<dataset>-seed-<seed>.

    epochs: None is the recipe's own number; for a flow model it may be a fraction. mode: "fast"
    (CUDA graphs and bf16; the default where it runs), "plain" (fp32, step by step; the default
    elsewhere) or "deterministic" (plain, and a resumed run ends bit for bit as an uninterrupted
    one, on a GPU too). Under torchrun each process takes its share of the (model, seed) pairs.
    """
    device = choose_device(device)
    unknown = [m for m in models if m not in RECIPES] + [mode] * (mode not in (None, *MODES))
    if unknown or (epochs is not None and epochs <= 0):
        raise UserError(
            f"models are {', '.join(RECIPES)}, modes {', '.join(MODES)}, epochs above 0; "
            f"got {unknown or epochs}"
        )
    stages = {name: stages_of(RECIPES[name], epochs) for name in models}
    mode = choose_mode(mode, device)
    configure(device, mode)
    digits = load_digits("train", dataset, data_folder)
    jobs = [(name, seed) for seed in seeds for name in models]
    for name, seed in my_share(jobs, "trainings"):
        folder = run_folder(out, dataset, seed) / f"run-{name}"
        folder.mkdir(parents=True, exist_ok=True)  # or fail before the work
        trainer = Trainer(RECIPES[name], digits, seed, device, mode, epochs)
        train(trainer, folder, stages[name])
    return [run_folder(out, dataset, seed) for seed in seeds]


def stages_of(recipe: Recipe, epochs: float | None) -> int:
    """How many stages such a run has. UserError for a part of an epoch where stages are epochs."""
    if epochs is None or recipe.whole_decay:
        return recipe.epochs
    if epochs != int(epochs):
        raise UserError(f"{recipe.name} trains for whole epochs, not {epochs:g}")
    return int(epochs)


def run_folder(out: str | Path, dataset: str, seed: int) -> Path:
    return Path(out) / f"{dataset}-seed-{seed}"
