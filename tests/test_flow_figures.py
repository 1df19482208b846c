"""The reports of the flow editions, on untrained models, and the page of all editions."""

import json

import pytest
import torch
from mnist_tiny import tiny_recipe

from minidiff.cli import commands
from minidiff.digits import evaluate_flow
from minidiff.digits.samples import save_sheet
from minidiff.digits.trainer import fresh_model
from minidiff.errors import UserError
from minidiff.figures import editions, part_a_flow, part_b_flow
from minidiff.figures.grids import read_png_text
from minidiff.figures.quality_flow import FILE, quality
from minidiff.mnist.checkpoint import EDITIONS, RECIPES, save_model
from minidiff.mnist.data import shipped_digits

PICTURES = {
    "1.2-noise-levels.png",
    "1.2.1-loss.png",
    "1.2.1-denoised.png",
    "1.2.2-out-of-distribution.png",
    "1.2.3-pure-noise.png",
    "1.2.3-loss.png",
    "2.2-loss.png",
    "2.3-samples.png",
    "2.3-sampling.gif",
    "2.5-loss.png",
    "2.6-samples-after-0.05-epochs.png",
    "2.6-samples-after-0.25-epochs.png",
    "2.6-samples-after-0.5-epochs.png",
    "2.6-sampling.gif",
    "2.6-steps.png",
    "2.6-constant.png",
    "2.6-constant-loss.png",
}
ROWS = {"denoiser": 3, "pure-noise": 2}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder as half an epoch of training leaves it."""
    folder = tmp_path_factory.mktemp("weights")
    for name in (
        "denoiser",
        "pure-noise",
        "flow-time",
        "flow-class",
        "flow-class-constant",
        "class",
    ):
        recipe = tiny_recipe(name, num_hiddens=2)
        save_model(fresh_model(recipe, 1), folder / f"{name}.safetensors", recipe, {})
        whole = not recipe.whole_decay
        log = {"losses": [1 / (i + 1) for i in range(100)], "seed": 180}
        log |= {"epochs": 5 if whole else 0.5}
        log |= {} if whole else {"loss_per_tenth_of_t": [[0.1 + i / 100 for i in range(10)]]}
        (folder / f"{name}-log.json").write_text(json.dumps(log))
        for stage in (1, 5) if whole else (1, 5, 10):
            word, epoch = ("epoch", stage) if whole else ("stage", stage / 20)
            sheet = torch.rand(ROWS.get(name, 4), 10, 28, 28)
            path = folder / "samples" / f"{name}-{word}-{stage:02d}.png"
            save_sheet(sheet, path, {"epoch": epoch, "steps": 50})
    save_sheet(torch.rand(2, 10, 28, 28), folder / "samples" / "mean-digits.png", {})
    return folder


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(part_b_flow, "TIME_STEPS", 3)
    monkeypatch.setattr(part_b_flow, "CLASS_STEPS", 4)
    monkeypatch.setattr(part_b_flow, "FRAMES", 2)
    walks = [(label, walk, 2) for label, walk, _ in part_b_flow.WALKS]
    monkeypatch.setattr(part_b_flow, "WALKS", walks)


def test_report_has_every_figure_and_says_how_long_was_trained(weights, few_steps, tmp_path):
    page = editions.part_b_report(weights=weights, out=tmp_path, edition="fa25", device="cpu")
    assert page == tmp_path / "fa25" / "index.html"
    drawn = {path.name for path in page.parent.iterdir() if path.suffix in (".png", ".gif")}
    assert drawn == PICTURES
    text = page.read_text("utf-8")
    assert all(f'src="{name}"' in text for name in PICTURES)
    assert "flow-class: 0.5 epochs" in text and "recipe for the flow models is 10 epochs" in text
    facts = read_png_text(page.parent / "2.6-samples-after-0.5-epochs.png")
    assert facts["steps"] == "4" and facts["trained"] == "0.5 epochs"
    links = (tmp_path / "editions.html").read_text("utf-8")
    assert 'href="fa25/index.html"' in links and "make part-b EDITION=fa24" in links


def test_what_was_not_trained_is_left_out(weights, few_steps, tmp_path):
    part = tmp_path / "part"
    (part / "samples").mkdir(parents=True)
    for name in EDITIONS["fa25"]:
        for path in (*weights.glob(f"{name}[.-][sl]*"), *weights.glob(f"samples/{name}-[es]*")):
            (part / path.relative_to(weights)).write_bytes(path.read_bytes())
    page = part_b_flow.main(weights=part, out=tmp_path / "out", device="cpu").read_text("utf-8")
    assert "1.2.3" not in page and "constant" not in page and "2.6-steps.png" in page
    (part / "flow-class.safetensors").unlink()
    with pytest.raises(UserError, match=r"flow-class\.safetensors"):
        part_b_flow.main(weights=part, out=tmp_path / "other", device="cpu")


def test_editions_that_do_not_exist_are_refused(tmp_path):
    with pytest.raises(UserError, match="fa24, fa25"):
        editions.part_b_report(out=tmp_path, edition="sp99")
    with pytest.raises(UserError, match="fa24, fa26"):
        editions.part_a_report(out=tmp_path, edition="fa25")
    with pytest.raises(UserError, match="IMAGE"):
        editions.part_a_report(out=tmp_path, edition="fa26", image="me.jpg")
    with pytest.raises(UserError, match="editions"):
        commands.eval_mnist(edition="sp99")
    with pytest.raises(UserError, match="walks"):
        commands.eval_mnist(edition="fa24", walks=["euler-3"])
    assert list(tmp_path.iterdir()) == []


def test_measures(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate_flow, "load_digits", lambda *_: shipped_digits())
    out = tmp_path / FILE
    walks = ["euler-3", "heun-2", "ddpm-3"]
    results = evaluate_flow.main(
        weights=weights, samples=130, device="cpu", out=out, walks=walks, digits=150
    )
    assert [walk["calls"] for walk in results["walks"]] == [3, 3, 3]
    assert results["epochs"]["flow-class"] == 0.5 and results["test_digits"] == 150
    assert all(len(row) == 10 for row in results["test_loss_per_tenth"].values())
    assert 0 <= results["walks"][0]["read_right"] <= 1 and results["walks"][0]["fid"] > 0
    (section,) = quality(tmp_path)
    assert len(section.tables) == 3
    with pytest.raises(UserError, match="a walk is"):
        evaluate_flow.main(weights=weights, samples=130, walks=["jump-3"])


def test_part_a_of_autumn_2026_draws_the_cheap_sections(tmp_path):
    for section in ("1.1", "1.2"):
        page = part_a_flow.main(out=tmp_path, only=section, device="cpu")
        assert page.is_file()
    assert (tmp_path / "1.1-interpolate.png").is_file() and (tmp_path / "1.2-blur.png").is_file()


def test_fa25_trains_what_it_shows():
    assert RECIPES["flow-time"].kind == "flow-time"
    assert RECIPES["flow-class-constant"].kind == "flow-class"
