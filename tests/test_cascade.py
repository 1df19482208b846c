"""The second stage: which two folders belong together, and what the network is shown."""

import pytest
import torch
from by_rule import fill, values
from configs import UNETS
from PIL import Image
from tiny_checkpoint import UNET, UPSCALES, write_json, write_tiny_checkpoint, write_tiny_second

import minidiff
from minidiff.cli import main
from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.errors import UserError
from minidiff.figures.grids import read_png_text
from minidiff.guidance import CFG, Anagram, Plain, Upscaled
from minidiff.io.paths import ROOT
from minidiff.model import load_second
from minidiff.noise import SeededNoise
from minidiff.sampling import last
from minidiff.schedule import cosine_schedule, pipeline_pairs
from minidiff.stage2 import upscaler
from minidiff.stage2.cascade import enlarge, upscale
from minidiff.views import VIEWS, View
from minidiff.weights.known import second_folder

CAT = ROOT / "minidiff/figures/inputs/cat.jpg"
CONFIG = UNETS["stage II, as official"]


@pytest.fixture(scope="module")
def unet() -> UNet:
    return fill(UNet(UNetConfig.from_dict(CONFIG)))


@pytest.fixture
def first(tmp_path):
    return write_tiny_checkpoint(tmp_path / "IF-I-M-v1.0")


def walk(unet, low, **how):
    return last(steps_of(unet, low, **how))


def steps_of(unet, low, level=250, told=None, seeds=(180,), **how):
    text = values("text", (len(low), 77, 32))
    with torch.no_grad():
        cond = unet.prepare(text, level if told is None else told)
    noise = SeededNoise(list(seeds), (3, 32, 32))
    pairs = pipeline_pairs([800, 400, 100, 0])
    schedule = cosine_schedule()
    return upscale(unet, schedule, low, level, pairs, Plain(cond), noise, **how)


# --- what the network is shown ----------------------------------------------------------------


def test_enlarging_keeps_the_corners():
    low = values("low", (1, 3, 4, 4))
    large = enlarge(low, (13, 13))
    assert large[0, 0, 0, 0] == low[0, 0, 0, 0] and large[0, 0, 12, 12] == low[0, 0, 3, 3]
    assert torch.allclose(large[..., ::4, ::4], low, atol=1e-6)


def test_the_small_picture_comes_behind_the_noisy_one_and_a_view_turns_both():
    x, seen = values("x", (2, 3, 8, 8)), values("seen", (2, 3, 8, 8))
    cond = object()
    flip = VIEWS["flip"]
    shown = Upscaled(Anagram((cond, cond), cond, (View(), flip)), seen).pictures(x)
    assert len(shown) == 4 and all(picture.shape == (2, 6, 8, 8) for picture in shown)
    assert torch.equal(shown[0], torch.cat([x, seen], 1))
    assert torch.equal(shown[2], torch.cat([flip.view(x), flip.view(seen)], 1))


def test_a_picture_does_not_depend_on_its_batch(unet):
    low = values("low", (2, 3, 8, 8)).clamp(-1, 1)
    together = walk(unet, low, seeds=(180, 7))
    text = values("text", (2, 77, 32))[1:]
    with torch.no_grad():
        cond = unet.prepare(text, 250)
    noise, pairs = SeededNoise([7], (3, 32, 32)), pipeline_pairs([800, 400, 100, 0])
    alone = last(upscale(unet, cosine_schedule(), low[1:], 250, pairs, Plain(cond), noise))
    assert torch.allclose(together[1:], alone, atol=1e-4)


def test_level_small_picture_and_seed_all_matter(unet):
    low = values("low", (1, 3, 8, 8)).clamp(-1, 1)
    base = walk(unet, low)
    others = [walk(unet, -low), walk(unet, low, level=10), walk(unet, low, told=10)]
    for other in [*others, walk(unet, low, seeds=(1,))]:
        assert not torch.allclose(base, other, atol=1e-2)


@pytest.mark.parametrize("outside", ["clean", "noised"])
def test_outside_the_mask_the_original_stays_as_it_is(unet, outside):
    low, original = values("low", (1, 3, 8, 8)), values("original", (1, 3, 32, 32)).clamp(-1, 1)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:20, 8:20] = 1
    made = walk(unet, low, level=0, original=original, mask=mask, start=1, outside=outside)
    keep = (mask == 0).expand_as(original)
    assert torch.equal(made[keep], original[keep])
    assert not torch.allclose(made[~keep], original[~keep], atol=1e-2)


def test_what_the_network_sees_outside_the_mask(unet):
    """The official second stage shows it the clean original, a checkpoint may ask for noise."""
    low, original = values("low", (1, 3, 8, 8)), torch.full((1, 3, 32, 32), 0.5)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:20, 8:20] = 1
    seen = {}
    for outside in ("clean", "noised"):
        steps = list(steps_of(unet, low, original=original, mask=mask, outside=outside))
        seen[outside] = [float((s.x_t - original)[..., :8, :].std()) for s in steps]
    assert max(seen["clean"]) == 0
    due = [float((1 - cosine_schedule().abar(s.t, like=low)) ** 0.5) for s in steps]
    assert seen["noised"] == pytest.approx(due, abs=0.1) and len(due) > 1


@pytest.mark.parametrize(
    ("low", "says"),
    [
        (torch.zeros(3, 8, 8), "must be"),
        (torch.zeros(1, 1, 8, 8), "must be"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "must be"),
        (torch.zeros(2, 3, 8, 8), "one for each"),
    ],
)
def test_small_pictures_that_are_none(unet, low, says):
    with pytest.raises(UserError, match=says):
        next(upscale(unet, cosine_schedule(), low, 0, [(9, 0)], None, SeededNoise([1])))


# --- two folders ------------------------------------------------------------------------------


@pytest.mark.parametrize("text_alone", [True, False])
def test_the_second_stage_is_found_beside_the_first(first, text_alone):
    second = write_tiny_second(first.parent / "IF-II-M-v1.0", text_alone=text_alone)
    small = minidiff.load(first, device="cpu")
    large = load_second(small)
    assert large.folder == second.resolve() and large.sample_size == 96
    assert large.encode is small.encode
    text = small.encode(["a cat"])
    conds = [large.unet.prepare(states, 250) for states in (text, small.encode([""]))]
    noise = SeededNoise([180], (3, 96, 96))
    low, pairs = torch.zeros(1, 3, 64, 64), pipeline_pairs([500, 0])
    made = last(upscale(large.unet, large.schedule, low, 250, pairs, CFG(*conds, 4.0), noise))
    assert made.shape == (1, 3, 96, 96) and made.isfinite().all()


def test_names_come_before_whatever_else_lies_there(first):
    for name in ("A-second", "IF-II-L-v1.0", "IF-II-M-v1.0"):
        write_tiny_second(first.parent / name)
    assert second_folder(first).name == "IF-II-M-v1.0"
    xl = first.rename(first.parent / "IF-I-XL-v1.0")
    assert second_folder(xl).name == "IF-II-L-v1.0"  # as published; no name is equal


def test_a_freed_unet_is_read_again(first):
    model = minidiff.load(first, device="cpu")
    weight = model.unet.conv_in.weight.clone()
    model.free_unet()
    model.free_unet()
    assert torch.equal(model.unet.conv_in.weight, weight)


def test_what_does_not_belong_together(first):
    small = minidiff.load(first, device="cpu")
    with pytest.raises(UserError, match="no second stage"):
        load_second(small)
    second = write_tiny_second(first.parent / "other")
    with pytest.raises(UserError, match="--weights-2"):
        minidiff.load(second)
    with pytest.raises(UserError, match="is a first stage"):
        load_second(small, first)
    write_json(second / "unet/config.json", UNET | UPSCALES | {"encoder_hid_dim": 64})
    with pytest.raises(UserError, match="no second stage"):
        load_second(small)


# --- at work ----------------------------------------------------------------------------------


@pytest.fixture
def studio(first):
    write_tiny_second(first.parent / "IF-II-M-v1.0")
    return minidiff.open(first, device="cpu")


def test_a_studio_makes_what_it_drew_large(studio):
    small = studio.draw("a cat", seeds=[1, 2], steps=2)
    large = studio.upscale(small, "a cat", seeds=[1, 2], steps=2)
    assert large.tensor.shape == (2, 3, 96, 96) and large[0].size == (96, 96)
    alone = studio.upscale(small.tensor[1:], "a cat", seeds=[2], steps=2)
    assert torch.allclose(alone.tensor[0], large.tensor[1], atol=1e-4)


def test_prompts_are_encoded_once_for_both_stages(studio, monkeypatch):
    small, encode = studio.draw("a cat", steps=2), studio.model.encode
    asked = []
    monkeypatch.setattr(type(encode), "__call__", lambda self, prompts: asked.append(prompts))
    studio.upscale(small, "a cat", steps=2)
    assert asked == []


def test_the_first_stage_leaves_only_where_both_do_not_fit(studio, monkeypatch):
    small = studio.draw("a cat", steps=2)
    monkeypatch.setattr(upscaler, "free_memory", lambda device: 1 << 40)
    studio.upscale(small, "a cat", steps=2)
    assert "unet" in studio.model.__dict__
    studio._upscalers.clear()
    monkeypatch.setattr(upscaler, "free_memory", lambda device: 1 << 20)
    studio.upscale(small, "a cat", steps=2)
    assert "unet" not in studio.model.__dict__
    again = studio.draw("a cat", steps=2)
    assert torch.equal(again.tensor, small.tensor)


def test_without_guidance_the_network_is_asked_once(studio):
    up = upscaler.Upscaler(studio)
    job = up.enlarging("drawing", torch.zeros(1, 3, 64, 64), ["a cat"], guidance=1.0, steps=4)
    assert isinstance(job.guidance, Plain) and job.starts == [0] and job.level == 250
    job = up.enlarging("drawing", torch.zeros(1, 3, 64, 64), ["a cat"], steps=4, strength=0.5)
    assert isinstance(job.guidance, CFG) and job.plan.guidance == 4.0
    assert job.starts == [2] and job.original.shape == (1, 3, 96, 96)


def test_defaults_are_those_of_the_official_pipelines_or_of_the_checkpoint(studio, tmp_path):
    photo, mask = torch.zeros(1, 3, 96, 96), torch.ones(1, 1, 96, 96)
    up, low = upscaler.Upscaler(studio), torch.zeros(1, 3, 64, 64)
    edit = up.enlarging("editing", low, photo, "a cat")
    hole = up.enlarging("inpainting", low, photo, mask, "a cat")
    assert (len(edit.plan), edit.starts, edit.level) == (50, [10], 250)
    assert (len(hole.plan), hole.starts, hole.level) == (100, [20], 0)
    advice = {"steps": 20, "strength": 0.25, "level": 60, "guidance": 1.0}
    write_json(up.model.folder / "sampling.json", advice)
    job = up.enlarging("drawing", low, ["a cat"])
    assert (len(job.plan), job.starts, job.level, job.plan.guidance) == (20, [15], 60, 1.0)


def test_pictures_of_every_kind_are_enlarged(studio):
    drawn = studio.draw(["a cat", "a dog"], seeds=[1, 2], steps=2)
    assert drawn[1:3].tensor.equal(drawn.tensor[1:3]) and len(drawn[1:3]) == 2
    for small in (drawn[0], drawn[:1], [drawn[0]], drawn.tensor[0], CAT):
        assert studio.upscale(small, "a cat", steps=1).tensor.shape == (1, 3, 96, 96)
    assert len(studio.upscale([drawn[0], drawn[1]], "a cat", seeds=[1, 2], steps=1)) == 2


def test_an_illusion_has_a_walk_and_a_level_of_its_own(studio):
    write_json(
        studio.model.folder / "sampling.json",
        {"steps": 10, "illusion_steps": 20, "illusion_guidance": 3},
    )
    assert len(studio.drawing("a cat").plan) == 10
    plan = studio.hybrids("a cat", "a dog").plan
    assert (len(plan), plan.guidance) == (20, 3)
    assert len(studio.anagrams("a cat", "a dog", steps=4, guidance=2).plan) == 4
    up, low = upscaler.Upscaler(studio), torch.zeros(1, 3, 64, 64)
    write_json(up.model.folder / "sampling.json", {"illusion_level": 150, "highest": 299})
    assert up.enlarging("hybrids", low, "a cat", "a dog").level == 150
    assert up.enlarging("drawing", low, ["a cat"]).level == 250  # the official pipeline's
    with pytest.warns(UserWarning, match="above 299"):
        up.enlarging("drawing", low, ["a cat"], level=300)


@pytest.mark.parametrize("name", [name for name in VIEWS if name not in ("skew", "circle")])
def test_a_view_does_the_same_to_larger_pictures(name):
    """A skew and a circle are only as exact as their pixels."""
    x = values("x", (1, 3, 64, 64))
    large = x.repeat_interleave(4, -1).repeat_interleave(4, -2)
    seen = VIEWS[name].enlarged(4).view(large)
    assert torch.equal(seen[..., ::4, ::4], VIEWS[name].view(x))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"level": 1000}, "0 to 999"),
        ({"level": 2.5}, "whole"),
        ({"strength": 0.0}, "strength"),
        ({"seeds": [1, 2]}, "1 small pictures, and 2"),
        ({"guidance_scale": 7}, "is called guidance here"),
        ({"weights_2": "nowhere"}, "no folder"),
    ],
)
def test_words_that_mean_nothing(studio, how, says):
    with pytest.raises(UserError, match=says):
        studio.upscale(torch.zeros(1, 3, 64, 64), "a cat", **{"steps": 2} | how)


UPSCALED = "upscale-cat-no-words-seed180-96.png"


def test_a_gif_of_each_stage(first, tmp_path):
    write_tiny_second(first.parent / "IF-II-M-v1.0")
    options = ["--weights", str(first), "--out", str(tmp_path), "--steps", "2", "--steps-2", "3"]
    assert main(["sample", "a cat", "--upscale", "--gif", "--scale", "2", *options]) == 0
    films = {path.name: Image.open(path) for path in tmp_path.glob("*.gif")}
    assert {name: film.size[0] for name, film in films.items()} == {
        "sample-a-cat-seed180.gif": 128,
        "sample-a-cat-seed180-96.gif": 96,
    }
    assert films["sample-a-cat-seed180-96.gif"].n_frames == 1 + 3  # noise, and after each step


def test_the_command_line(first, tmp_path, capsys):
    write_tiny_second(first.parent / "IF-II-M-v1.0")
    options = ["--weights", str(first), "--out", str(tmp_path / "out"), "--steps", "2"]
    assert main(["sample", "a cat", "--upscale", "--steps-2", "2", *options]) == 0
    assert main(["upscale", str(CAT), "--level", "30", "--guidance", "1", *options]) == 0
    negative = ["--guidance", "3", "--negative", "a dog", "--out", str(tmp_path / "negative")]
    assert main(["upscale", str(CAT), *options, "--guidance", "3"]) == 0
    plain = Image.open(tmp_path / "out" / UPSCALED).tobytes()
    assert main(["upscale", str(CAT), *options, *negative]) == 0
    assert Image.open(tmp_path / "negative" / UPSCALED).tobytes() != plain
    sizes = {path.name: Image.open(path).size[0] for path in (tmp_path / "out").iterdir()}
    assert sizes == {
        "sample-a-cat-seed180.png": 256,
        "sample-a-cat-seed180-96.png": 96,
        UPSCALED: 96,
    }
    told = read_png_text(tmp_path / "out/sample-a-cat-seed180-96.png")
    assert (told["steps"], told["first steps"]) == ("2", "2")
    assert (told["guidance"], told["first guidance"]) == ("4.0", "7.0")
    assert (told["weights"], told["first weights"]) == ("IF-II-M-v1.0", first.name)
    assert not any(key.startswith("first") for key in read_png_text(tmp_path / "out" / UPSCALED))
    assert main(["sample", "a cat", "--upscale", "--weights-2", str(first), *options]) == 2
    assert "is a first stage" in capsys.readouterr().err
