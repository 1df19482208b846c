"""Part B's report from models of a few hundred parameters: every figure, and what it carries."""

import json
import shutil

import pytest
import torch
from mnist_tiny import tiny_recipe
from PIL import Image

from minidiff.digits.samples import save_sheet
from minidiff.digits.trainer import fresh_model
from minidiff.errors import UserError
from minidiff.figures import part_b
from minidiff.figures.grids import read_png_text
from minidiff.mnist.checkpoint import RECIPES, save_model
from minidiff.mnist.ddpm import ddpm_schedule

PICTURES = {
    "1.2-noise-levels.png",
    "1.2.1-denoised.png",
    "1.2.1-loss.png",
    "1.2.2-out-of-distribution.png",
    "2.2-loss.png",
    "2.3-samples.png",
    "2.3-sampling.gif",
    "2.4-loss.png",
    "2.5-guidance-scales.png",
    "2.5-samples-epoch-5.png",
    "2.5-samples-epoch-20.png",
    "2.5-sampling.gif",
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder as training leaves it, of untrained models."""
    folder = tmp_path_factory.mktemp("weights")
    for name in RECIPES:
        recipe = tiny_recipe(name, num_hiddens=2)
        save_model(fresh_model(recipe, 1), folder / f"{name}.safetensors", recipe, {})
        log = {"losses": [1 / (i + 1) for i in range(100)], "epochs": 20, "seed": 180}
        (folder / f"{name}-log.json").write_text(json.dumps(log))
    for name, rows in (("denoiser-epoch-01", 3), ("time-epoch-05", 4), ("class-epoch-05", 4)):
        save_sheet(torch.rand(rows, 10, 28, 28), folder / "samples" / f"{name}.png", {})
    return folder


@pytest.fixture
def few_steps(monkeypatch):
    """Six timesteps in place of 300."""
    monkeypatch.setattr(part_b, "ddpm_schedule", lambda: ddpm_schedule(num_ts=6))


def test_report_has_every_figure(weights, few_steps, tmp_path):
    page = part_b.main(weights=weights, out=tmp_path, device="cpu").read_text("utf-8")
    drawn = {path.name for path in tmp_path.iterdir() if path.suffix in (".png", ".gif")}
    assert drawn == PICTURES
    assert all(f'src="{name}"' in page for name in PICTURES)
    facts = read_png_text(tmp_path / "2.5-samples-epoch-20.png")
    assert facts == {"seeds": "180, 181, ...", "steps": "300", "guidance": "5", "epoch": "20"}
    with Image.open(tmp_path / "2.5-sampling.gif") as gif:
        assert gif.n_frames == 2


def test_second_run_keeps_what_is_drawn_and_draws_what_is_missing(weights, few_steps, tmp_path):
    part_b.main(weights=weights, out=tmp_path, device="cpu")
    gone, kept = tmp_path / "2.3-samples.png", tmp_path / "2.5-samples-epoch-20.png"
    gone.unlink()
    before = kept.stat().st_mtime_ns
    part_b.main(weights=weights, out=tmp_path, device="cpu")
    assert gone.is_file() and kept.stat().st_mtime_ns == before


@pytest.mark.parametrize("missing", ["time.safetensors", "class-log.json"])
def test_missing_parts_are_named(weights, few_steps, tmp_path, missing):
    part = tmp_path / "weights"
    part.mkdir()
    for path in weights.iterdir():
        if path.name != missing:
            (part / path.name).symlink_to(path)
    with pytest.raises(UserError, match=missing.replace(".", r"\.")):
        part_b.main(weights=part, out=tmp_path / "out", device="cpu")
    assert not (tmp_path / "out" / "index.html").exists()


def copied(weights, target):
    shutil.copytree(weights, target)
    return target


@pytest.mark.parametrize(
    "name, content",
    [
        ("results.json", "{}"),
        ("results.json", "[]"),
        ("denoiser-log.json", "[1]"),
        ("time-log.json", '{"losses": [1, 2, 3], "epochs": 2, "seed": 1}'),
        ("class-log.json", '{"losses": "many", "epochs": 2, "seed": 1}'),
    ],
)
def test_damaged_numbers_are_one_sentence(weights, few_steps, tmp_path, name, content):
    part = copied(weights, tmp_path / "weights")
    (part / name).write_text(content)
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        part_b.main(weights=part, out=tmp_path / "out", device="cpu")


def test_a_sheet_of_another_size_is_refused(weights, few_steps, tmp_path):
    part = copied(weights, tmp_path / "weights")
    Image.new("L", (100, 100)).save(part / "samples" / "time-epoch-05.png")
    with pytest.raises(UserError, match=r"time-epoch-05\.png is not a sheet"):
        part_b.main(weights=part, out=tmp_path / "out", device="cpu")


def test_labels_say_how_long_the_model_was_trained(weights, few_steps, tmp_path):
    part = copied(weights, tmp_path / "weights")
    log = {"losses": [0.5] * 14, "epochs": 7, "seed": 180}
    (part / "class-log.json").write_text(json.dumps(log))
    page = part_b.main(weights=part, out=tmp_path / "out", device="cpu").read_text("utf-8")
    assert "2.5-samples-epoch-7.png" in page and "after 7 epochs" in page


def test_results_of_an_evaluation_are_shown(weights, few_steps, tmp_path):
    results = {
        "denoiser_mse": {"0.5": 0.00832},
        "time_test_loss": 0.02753,
        "class_test_loss": 0.02621,
        "classifier_test_accuracy": 0.9942,
        "samples": 1000,
        "guidance": 5.0,
        "read_right": 0.987,
        "read_right_per_digit": [0.9 + 0.01 * digit for digit in range(10)],
        "fid_class_samples": 2.33,
        "fid_time_samples": 1.62,
        "fid_train_digits": 0.08,
    }
    (weights / "results.json").write_text(json.dumps(results))
    page = part_b.main(weights=weights, out=tmp_path, device="cpu").read_text("utf-8")
    assert "<td>98.7%</td>" in page and "99.42%" in page and "<td>0.0083</td>" in page
