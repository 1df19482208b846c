"""The shipped weights of Part B do what their card says, as far as seconds on a CPU can tell."""

import json

import pytest
import torch

from minidiff.digits import evaluate
from minidiff.digits.classifier import accuracy, load_classifier
from minidiff.digits.evaluate_flow import loss_per_tenth
from minidiff.digits.samples import as_sheet, denoiser_sheet, load_sheet, save_sheet
from minidiff.errors import UserError
from minidiff.figures.grids import read_png_text
from minidiff.mnist.checkpoint import EDITIONS, RECIPES, load_model
from minidiff.mnist.data import WEIGHTS, shipped_digits
from minidiff.mnist.ddpm import class_walk, ddpm_schedule, last


@pytest.fixture(scope="module")
def models():
    return {name: load_model(WEIGHTS / f"{name}.safetensors") for name in EDITIONS["fa24"]}


def test_sizes():
    files = list(WEIGHTS.rglob("*"))
    assert sum(f.stat().st_size for f in files if f.is_file()) <= 40 * 2**20
    assert max(f.stat().st_size for f in files) < 16 * 2**20


@pytest.mark.parametrize(("name", "steps"), [("denoiser", 1175), ("time", 9380), ("class", 9380)])
def test_logs_are_of_the_whole_recipe(name, steps):
    log = json.loads((WEIGHTS / f"{name}-log.json").read_text())
    assert len(log["losses"]) == steps and log["epochs"] == RECIPES[name].epochs
    last_epoch = log["losses"][-steps // log["epochs"] :]
    assert log["final_loss"] == pytest.approx(sum(last_epoch) / len(last_epoch), rel=1e-3)


@pytest.mark.parametrize("name", ["flow-time", "flow-class"])
def test_flow_weights_are_as_long_trained_as_their_log_says(name):
    """However long that was: a later run of the whole recipe passes, too."""
    log = json.loads((WEIGHTS / f"{name}-log.json").read_text())
    steps = -(-60000 // RECIPES[name].batch) * log["epochs"]
    assert len(log["losses"]) == pytest.approx(steps, rel=0.01)
    last = sum(log["losses"][-100:]) / len(log["losses"][-100:])
    sheet = sorted((WEIGHTS / "samples").glob(f"{name}-stage-*.png"))[-1]
    assert float(read_png_text(sheet)["epoch"]) == pytest.approx(log["epochs"])
    digits, model = shipped_digits()[:100], load_model(WEIGHTS / f"{name}.safetensors")
    tenths = loss_per_tenth(model, digits, told=name == "flow-class")
    assert sum(tenths) / 10 < 1.3 * last + 0.02


def test_denoiser_denoises(models, monkeypatch):
    monkeypatch.setattr(evaluate, "SIGMAS", (0.2, 0.5))
    errors = evaluate.denoiser_errors(models["denoiser"], shipped_digits()[:20])
    assert errors[0.5] == pytest.approx(0.0083, rel=0.3)
    assert errors[0.2] < errors[0.5]


def test_diffusion_losses(models):
    digits = shipped_digits()[:60]
    assert evaluate.ddpm_test_loss(models["time"], digits, None) < 0.035
    told = evaluate.ddpm_test_loss(models["class"], digits, 0.0)
    untold = evaluate.ddpm_test_loss(models["class"], digits, 1.0)
    assert told < untold < 0.035  # knowing the digit helps


def test_classifier_reads_digits():
    assert accuracy(load_classifier(), shipped_digits()) >= 0.98


def test_training_sheet_is_reproduced_by_the_shipped_denoiser(models):
    """fp16 storage costs nothing that an eye could see."""
    sheet = load_sheet(WEIGHTS / "samples" / "denoiser-epoch-05.png")
    assert (denoiser_sheet(models["denoiser"]) - sheet).abs().max() < 3 / 255


@pytest.mark.slow
def test_training_samples_are_reproduced_by_the_shipped_class_model(models):
    """The same seeds give the same digits on another device, from fp16 weights."""
    c = torch.arange(10)
    x = last(class_walk(models["class"], ddpm_schedule(), c, list(range(180, 190))))
    sheet = load_sheet(WEIGHTS / "samples" / "class-epoch-20.png")
    difference = (as_sheet(x) - sheet[:1]).abs()
    assert difference.mean() < 0.01
    seen, _ = evaluate.read(load_classifier(), x.clamp(0, 1))
    assert seen.tolist() == list(range(10))


def test_sheets_survive_their_file(tmp_path):
    sheet = torch.randint(256, (3, 10, 28, 28)).float() / 255
    path = save_sheet(sheet, tmp_path / "sheet.png", {"epoch": 5})
    torch.testing.assert_close(load_sheet(path), sheet)


@pytest.mark.parametrize("content", [b"", b"\x10" * 100, None])
def test_foreign_weights_are_refused(tmp_path, content):
    path = tmp_path / "class.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"class\.safetensors"):
        load_model(path)


def test_weights_of_another_kind_are_refused():
    with pytest.raises(UserError, match="does not hold one of Part B's models"):
        load_model(WEIGHTS / "classifier.safetensors")


# --- the measures ---------------------------------------------------------------------------------


def test_frechet_distance_of_known_gaussians():
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(200_000, 3, generator=generator)
    b = 2 * torch.randn(200_000, 3, generator=generator) + torch.tensor([1.0, 0.0, 0.0])
    assert evaluate.frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    # |difference of means|^2 + 3 (1 + 4 - 2 * 2)
    assert evaluate.frechet_distance(a, b) == pytest.approx(1 + 3, rel=0.02)


def test_balanced_digits():
    chosen = evaluate.balanced(shipped_digits(), 50)
    assert torch.bincount(chosen.labels).tolist() == [5] * 10
    assert len(chosen.index.unique()) == 50


@pytest.mark.parametrize("samples", [0, 55, 100])
def test_sample_counts_that_do_not_work_are_refused(samples):
    with pytest.raises(UserError, match="multiple of 10 above 128"):
        evaluate.main(samples=samples)
