"""Measures the flow models of Part B: `make eval-mnist EDITION=fa25`.

loss     the mean of the last 100 steps of training, from the log; on test digits, per tenth of t
class    for each way of walking: the share of samples in which the classifier reads the digit that
         was asked for, and the Frechet distance between samples and test digits. Beside them the
         DDPM of the other edition, with as many steps
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from minidiff import ode
from minidiff.digits.classifier import FILE, Classifier, load_classifier, read
from minidiff.digits.evaluate import BATCH, GUIDANCE, SEED, check_samples, frechet_distance
from minidiff.digits.train import choose_device
from minidiff.digits.trainer import TENTHS, squared_errors
from minidiff.equations import classifier_free_guidance
from minidiff.errors import UserError
from minidiff.io.files import check_writable, save_atomically
from minidiff.mnist import flow
from minidiff.mnist.checkpoint import load_model
from minidiff.mnist.data import WEIGHTS, Digits, load_digits
from minidiff.mnist.ddpm import ddpm_schedule, denoising_walk, last, to_device
from minidiff.noise import SeededNoise

MODELS = ("flow-time", "flow-class", "flow-class-constant")  # the last one if it is there
SOLVERS = {"euler": ode.euler_walk, "midpoint": ode.midpoint_walk, "heun": ode.heun_walk}
WALKS = ("euler-300", "euler-50", "euler-10", "heun-5", "ddpm-300", "ddpm-50", "ddpm-10")


@torch.no_grad()
def loss_per_tenth(model: nn.Module, digits: Digits, told: bool, seed: int = SEED) -> list[float]:
    """The loss on these digits for each tenth of t. told: the model takes their labels."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    sums = torch.zeros(2, TENTHS, device=device)
    for rows in torch.arange(len(digits)).split(BATCH):
        part = digits[rows].to(device)
        if told:
            example = flow.class_flow_example(part.pictures(), part.labels, 0.0, generator)
        else:
            example = flow.flow_example(part.pictures(), generator)
        errors = squared_errors(model, example)
        tenth = (example[0][2 if told else 1] * TENTHS).long().clamp(max=TENTHS - 1)
        fell = (tenth[:, None] == torch.arange(TENTHS, device=device)).float()
        sums += torch.stack([errors, torch.ones_like(errors)]) @ fell
    return (sums[0] / sums[1]).tolist()


def class_samples(walk: str, models: dict[str, nn.Module], count: int) -> tuple[Tensor, Tensor]:
    """count samples by a walk of WALKS' kind, in [0, 1], and the digits asked for: 0..9 in turn."""
    name, steps = split_walk(walk)
    asked = torch.arange(count) % 10
    parts = []
    for rows in torch.arange(count).split(BATCH):
        seeds = (rows + SEED).tolist()
        if name == "ddpm":
            states = ddpm_walk(models["class"], asked[rows], seeds, steps)
        else:
            states = flow.class_walk(
                models["flow-class"], asked[rows], seeds, steps, GUIDANCE, solver=SOLVERS[name]
            )
        parts.append(last(states))
    return torch.cat(parts).float().cpu().clamp(0, 1), asked


def split_walk(walk: str) -> tuple[str, int]:
    """ "heun-5" is ("heun", 5). UserError for another kind of word."""
    name, _, steps = walk.partition("-")
    if name not in (*SOLVERS, "ddpm") or not steps.isdecimal() or int(steps) < 1:
        raise UserError(f"a walk is {', '.join(SOLVERS)} or ddpm, and its steps, like {WALKS[0]}")
    return name, int(steps)


def ddpm_walk(unet: nn.Module, c: Tensor, seeds: list[int], steps: int):
    """The other edition's sampler in fewer steps: of its 300 levels, `steps` evenly spaced ones."""
    device = next(unet.parameters()).device
    abars = ddpm_schedule()["alpha_bars"]
    if steps > len(abars):
        raise UserError(f"the DDPM has {len(abars)} levels, not {steps}")
    kept = torch.linspace(0, len(abars) - 1, steps).round().long()
    c = c.to(device)
    mask = torch.cat([torch.zeros_like(c), torch.ones_like(c)])

    def guided(x: Tensor, t: Tensor) -> Tensor:
        level = kept[(t * steps).round().long().cpu()].to(device) / len(abars)
        both = unet(torch.cat([x, x]), torch.cat([c, c]), torch.cat([level, level]), mask)
        return classifier_free_guidance(*both.chunk(2), GUIDANCE)

    schedule = to_device({"alpha_bars": abars[kept]}, device)
    return denoising_walk(guided, schedule, SeededNoise(seeds, (1, 28, 28), device))


def measure_walk(
    walk: str, models: dict[str, nn.Module], judge: Classifier, real: Tensor, count: int
) -> dict:
    name, steps = split_walk(walk)
    pictures, asked = class_samples(walk, models, count)
    seen, features = read(judge, pictures)
    calls = {"midpoint": 2 * steps, "heun": 2 * steps - 1}.get(name, steps)
    return {
        "name": f"{name}, {steps} steps",
        "calls": calls,
        "samples": count,
        "read_right": float((seen.cpu() == asked).float().mean()),
        "fid": frechet_distance(features, real),
    }


def measure(
    weights: Path, judge: Classifier, test: Digits, samples: int, walks: Sequence[str]
) -> dict:
    """All numbers of the flow models in one folder."""
    device = judge.head.weight.device
    names = [name for name in MODELS if (weights / f"{name}.safetensors").is_file()]
    needed = {*names, "flow-time", "flow-class"}
    needed |= {"class"} if any(w.startswith("ddpm") for w in walks) else set()
    models = {name: load_model(weights / f"{name}.safetensors", device) for name in needed}
    files = {name: weights / f"{name}-log.json" for name in names}
    logs = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items()}
    _, real = read(judge, test.pictures())
    walked = []
    for walk in walks:
        walked.append(measure_walk(walk, models, judge, real, samples))
        print(line(walked[-1]), flush=True)
    return {
        "samples": samples,
        "guidance": GUIDANCE,
        "epochs": {name: log["epochs"] for name, log in logs.items()},
        "loss_last_100_steps": {
            name: sum(log["losses"][-100:]) / len(log["losses"][-100:])
            for name, log in logs.items()
        },
        "test_digits": len(test),
        "test_loss_per_tenth": {
            name: loss_per_tenth(models[name], test, name != "flow-time") for name in names
        },
        "walks": walked,
    }


def line(walk: dict) -> str:
    return (
        f"{walk['name']:20}{walk['calls']:5} calls{walk['samples']:6} samples"
        f"{walk['read_right']:8.1%} read right   Frechet {walk['fid']:.2f}"
    )


def main(
    *,
    weights: str | Path = WEIGHTS,
    samples: int = 1000,
    device: str | None = None,
    out: str | Path | None = None,
    walks: Sequence[str] = WALKS,
    digits: int = 10_000,
    data_folder: Path | None = None,
) -> dict:
    """Measure the flow models in a folder, print and return the numbers; out: also a JSON file.

    walks: ways of walking and their steps. digits: how many test digits, for the losses and as what
    samples are compared with. On two CPU cores a thousand samples in 300 steps take half an hour.
    """
    check_samples(samples)
    for walk in walks:
        split_walk(walk)
    if out is not None:
        check_writable(Path(out))
    started, device = time.perf_counter(), choose_device(device)
    judge = load_classifier(FILE, device)
    test = load_digits("test", "mnist", data_folder)[:digits]
    results = measure(Path(weights), judge, test, samples, list(walks))
    for name, loss in results["loss_last_100_steps"].items():
        print(f"{name}: {results['epochs'][name]:g} epochs, last 100 steps {loss:.4f}")
        print(
            "  test, per tenth of t:", *(f"{x:.3f}" for x in results["test_loss_per_tenth"][name])
        )
    print(f"measured in {time.perf_counter() - started:.0f} s")
    if out is not None:
        text = json.dumps(results, indent=1).encode()
        save_atomically(out, lambda file: file.write(text))
    return results
