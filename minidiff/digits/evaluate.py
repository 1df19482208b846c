"""Measures the models of Part B: `make eval-mnist`.

denoiser   mean squared error on the 10,000 test digits, per strength of noise
DDPMs      the training loss on the test digits, one timestep drawn per digit
class      the share of 1,000 samples at guidance 5 in which the classifier reads the digit that
           was asked for, and the Frechet distance (FID, on the classifier's 128 features)
           between samples and test digits; as its floor, the same for 1,000 training digits
"""

import json
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from minidiff.digits.classifier import (
    FILE,
    Classifier,
    accuracy,
    load_classifier,
    read,
    save_classifier,
    train_classifier,
)
from minidiff.digits.train import choose_device
from minidiff.equations import add_sigma_noise
from minidiff.errors import UserError
from minidiff.io.files import check_writable, save_atomically
from minidiff.mnist.checkpoint import load_model
from minidiff.mnist.data import WEIGHTS, Digits, load_digits
from minidiff.mnist.ddpm import (
    class_ddpm_example,
    class_walk,
    ddpm_example,
    ddpm_schedule,
    last,
    squared_error,
    time_walk,
    to_device,
)

SIGMAS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
SEED, GUIDANCE, BATCH = 1000, 5.0, 500


@torch.no_grad()
def denoiser_errors(model: nn.Module, digits: Digits, seed: int = SEED) -> dict[float, float]:
    """sigma to the mean squared error of the denoised digits; the noise is the same for all."""
    x, device = digits.pictures(), next(model.parameters()).device
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    errors = {}
    for sigma in SIGMAS:
        parts = zip(x.split(BATCH), add_sigma_noise(x, sigma, eps).split(BATCH))
        total = sum(((model(z.to(device)) - y.to(device)) ** 2).sum() for y, z in parts)
        errors[sigma] = float(total) / x.numel()
    return errors


@torch.no_grad()
def ddpm_test_loss(model: nn.Module, digits: Digits, p_uncond: float | None, seed: int = SEED):
    """The mean loss over the digits. p_uncond: how often the class is dropped, None for "time"."""
    device = next(model.parameters()).device
    schedule = to_device(ddpm_schedule(), device)
    generator = torch.Generator(device).manual_seed(seed)
    total = torch.zeros((), device=device)
    for rows in torch.arange(len(digits)).split(BATCH):
        part = digits[rows].to(device)
        if p_uncond is None:
            example = ddpm_example(schedule, part.pictures(), generator)
        else:
            example = class_ddpm_example(
                schedule, part.pictures(), part.labels, p_uncond, generator
            )
        total += squared_error(model, example) * len(rows)
    return float(total) / len(digits)


def class_samples(
    model: nn.Module, count: int, guidance: float = GUIDANCE
) -> tuple[Tensor, Tensor]:
    """count samples, (count, 1, 28, 28) in [0, 1], and the digits asked for: 0..9 in turn."""
    asked = torch.arange(count) % 10
    parts = [
        last(class_walk(model, ddpm_schedule(), asked[rows], (rows + SEED).tolist(), guidance))
        for rows in torch.arange(count).split(BATCH)
    ]
    return torch.cat(parts).float().cpu().clamp(0, 1), asked


def time_samples(model: nn.Module, count: int) -> Tensor:
    """count samples of the time-conditioned model, (count, 1, 28, 28) in [0, 1]."""
    parts = [
        last(time_walk(model, ddpm_schedule(), (rows + SEED).tolist()))
        for rows in torch.arange(count).split(BATCH)
    ]
    return torch.cat(parts).float().cpu().clamp(0, 1)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Between Gaussians fitted to features (N, F) and (M, F).  Heusel et al. 2017, eq. 6.

    |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), arXiv 1706.08500. It depends on the
    sizes of the sets: compare only values of equal sizes.
    """
    a, b = a.double().cpu(), b.double().cpu()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root_a = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root_a @ cov_b @ root_a).clamp(min=0).sqrt().sum()
    mean_part = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return float(mean_part + cov_a.trace() + cov_b.trace() - 2 * cross)


def balanced(digits: Digits, count: int, seed: int = SEED) -> Digits:
    """count of the digits at random, equally many of each kind."""
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(seed))
    kinds = digits.labels[order]
    rows = [order[kinds == kind][: count // 10] for kind in range(10)]
    return digits[torch.cat(rows)]


def measure(weights: Path, judge: Classifier, train: Digits, test: Digits, samples: int) -> dict:
    """All numbers of the model card, for the models in one folder."""
    device = judge.head.weight.device
    denoiser, timed, classed = (
        load_model(weights / f"{name}.safetensors", device)
        for name in ("denoiser", "time", "class")
    )
    _, real = read(judge, test.pictures())
    pictures, asked = class_samples(classed, samples)
    seen, features = read(judge, pictures)
    right = (seen.cpu() == asked).float()
    _, of_time = read(judge, time_samples(timed, samples))
    _, of_train = read(judge, balanced(train, samples).pictures())
    return {
        "denoiser_mse": denoiser_errors(denoiser, test),
        "time_test_loss": ddpm_test_loss(timed, test, None),
        "class_test_loss": ddpm_test_loss(classed, test, 0.0),
        "class_test_loss_without_class": ddpm_test_loss(classed, test, 1.0),
        "classifier_test_accuracy": accuracy(judge, test),
        "samples": samples,
        "guidance": GUIDANCE,
        "read_right": float(right.mean()),
        "read_right_per_digit": [float(right[asked == kind].mean()) for kind in range(10)],
        "fid_class_samples": frechet_distance(features, real),
        "fid_time_samples": frechet_distance(of_time, real),
        "fid_train_digits": frechet_distance(of_train, real),
    }


def report(results: dict) -> str:
    """The numbers as lines of text."""
    count, per_digit = results["samples"], enumerate(results["read_right_per_digit"])
    rows = [
        (f"denoiser, test MSE at sigma {sigma}", f"{error:.5f}")
        for sigma, error in results["denoiser_mse"].items()
    ]
    rows += [
        ("time model, test loss", f"{results['time_test_loss']:.5f}"),
        ("class model, test loss", f"{results['class_test_loss']:.5f}"),
        ("  without the class", f"{results['class_test_loss_without_class']:.5f}"),
        ("classifier, test accuracy", f"{results['classifier_test_accuracy']:.2%}"),
        (f"{count} class samples read right", f"{results['read_right']:.1%}"),
        ("  by digit", "  ".join(f"{kind}: {share:.0%}" for kind, share in per_digit)),
        ("FID to test digits, class samples", f"{results['fid_class_samples']:.2f}"),
        ("  time samples", f"{results['fid_time_samples']:.2f}"),
        (f"  {count} training digits (floor)", f"{results['fid_train_digits']:.2f}"),
    ]
    return "\n".join(f"{name:36}{value}" for name, value in rows)


def check_samples(samples: int) -> None:
    """UserError unless there are as many of each digit, and more than the classifier's features."""
    if samples % 10 or samples <= 128:
        raise UserError(f"samples must be a multiple of 10 above 128, not {samples}")


def main(
    *,
    weights: str | Path = WEIGHTS,
    samples: int = 1000,
    device: str | None = None,
    out: str | Path | None = None,
    classifier: str | Path = FILE,
    retrain_classifier: bool = False,
    data_folder: Path | None = None,
) -> dict:
    """Measure the models in a folder, print the numbers and return them; out: also a JSON file.

    samples: how many the class and the time model draw, a multiple of 10 and more than 128 (the
    number of features). The full 1,000 take minutes on a CPU for each model; a GPU needs seconds.
    retrain_classifier: train the classifier first and write it to the file `classifier`.
    """
    check_samples(samples)
    if out is not None:
        check_writable(out)
    started = time.perf_counter()
    device = choose_device(device)
    train, test = (load_digits(split, "mnist", data_folder) for split in ("train", "test"))
    if retrain_classifier:
        save_classifier(train_classifier(train, device), Path(classifier))
    judge = load_classifier(Path(classifier), device)
    results = measure(Path(weights), judge, train, test, samples)
    print(report(results))
    print(f"measured in {time.perf_counter() - started:.0f} s")
    if out is not None:
        text = json.dumps(results, indent=1).encode()
        save_atomically(out, lambda file: file.write(text))
    return results
