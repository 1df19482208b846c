"""The studio: what a notebook types, and that a picture depends on nothing but its own words."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_checkpoint import write_json, write_tiny_checkpoint

import minidiff
from minidiff.errors import UserError
from minidiff.guidance import CFG
from minidiff.noise import SeededNoise
from minidiff.plan import make_plan
from minidiff.sampling import denoise, last
from minidiff.schedule import course_pairs
from minidiff.studio import Studio


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture
def studio(folder) -> Studio:
    return minidiff.open(folder, device="cpu")


@pytest.fixture
def photo() -> Image.Image:
    return Image.effect_noise((80, 70), 60).convert("RGB")


def test_draw_is_the_loop_written_out(studio, folder):
    """A picture of the studio is what the nine lines of wiring give."""
    model = minidiff.load(folder, device="cpu")
    noise = SeededNoise([7])
    text, null = (model.unet.prepare(model.encode([p])) for p in ("a cat", ""))
    guidance = CFG(text, null, 3.0)
    with torch.no_grad():
        x = last(denoise(model.unet, model.schedule, noise.draw(), course_pairs(), guidance, noise))
    drawn = studio.draw("a cat", seeds=7, steps="course", guidance=3.0)
    assert torch.equal(drawn.tensor, x)


def test_a_picture_does_not_depend_on_what_was_drawn_before_it(studio, folder):
    studio.draw(["a dog", "a rocket"], steps=2)
    after = studio.draw("a cat", steps=3).tensor
    alone = minidiff.open(folder, device="cpu").draw("a cat", steps=3).tensor
    assert torch.equal(after, alone)


def test_a_picture_for_every_prompt_and_seed(studio):
    pictures = studio.draw(["a cat", "a dog"], seeds=range(3), steps=2)
    assert len(pictures) == 6 and pictures.tensor.shape == (6, 3, 64, 64)
    assert all(p.size == (64, 64) and p.mode == "RGB" for p in pictures)
    one = studio.draw("a dog", seeds=[1], steps=2).tensor[0]
    assert torch.allclose(one, pictures.tensor[4], atol=1e-4)
    assert pictures._repr_png_().startswith(b"\x89PNG")


def test_edit_takes_any_kind_of_picture(studio, photo, tmp_path):
    photo.save(tmp_path / "me.png")
    kinds = [tmp_path / "me.png", str(tmp_path / "me.png"), photo, np.asarray(photo)]
    results = [studio.edit(kind, "a cat", steps=4, i_start=2).tensor for kind in kinds]
    as_tensor = studio.picture(photo)
    results.append(studio.edit(as_tensor[0], "a cat", steps=4, i_start=2).tensor)
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_a_later_start_stays_closer(studio, photo):
    x0 = studio.picture(photo)
    early, late = studio.edit(photo, "a cat", steps=10, i_start=[1, 9], guidance=1.0).tensor
    assert (late - x0).abs().mean() < (early - x0).abs().mean()


def test_strength_is_the_share_of_the_walk(studio, photo):
    half = studio.edit(photo, "a cat", steps=10, strength=0.5).tensor
    assert torch.equal(half, studio.edit(photo, "a cat", steps=10, i_start=5).tensor)
    with pytest.raises(UserError, match="same thing"):
        studio.edit(photo, "a cat", strength=0.5, i_start=5)


def test_inpainting_keeps_what_the_mask_does_not_mark(studio, photo):
    mask = np.zeros((70, 80), dtype=bool)
    mask[:, 40:] = True
    kept = studio.inpaint(photo, mask, "a cat", steps="course", guidance=1.0).tensor
    x0 = studio.picture(photo)
    assert (kept - x0)[..., :30].abs().max() < 0.1
    turned = studio.inpaint(photo, mask, "a cat", steps="course", guidance=1.0, invert=True).tensor
    assert (turned - x0)[..., 40:].abs().max() < 0.1


def test_a_mask_in_memory_is_read_as_one_from_a_file_is(studio, photo, tmp_path):
    marks = np.zeros((photo.height, photo.width), np.uint8)
    marks[20:50, 10:40] = 255
    mask = Image.fromarray(marks)
    erased = photo.convert("RGBA")
    erased.putalpha(Image.fromarray(255 - marks))
    for picture in (mask, erased):
        picture.save(tmp_path / "mask.png")
        photo.save(tmp_path / "photo.png")
        due = studio.hole(tmp_path / "mask.png", tmp_path / "photo.png")
        with pytest.warns(UserWarning, match="is made anew"):
            assert torch.equal(studio.hole(picture, photo), due)
    assert torch.equal(studio.hole(marks, photo), studio.hole(mask, photo))
    with pytest.raises(UserError, match="the picture itself"):
        studio.hole(photo, photo)


def test_a_mask_in_memory_has_the_pictures_size_or_the_models(studio, photo):
    assert studio.hole(Image.new("L", (64, 64), 255), photo).shape == (1, 1, 64, 64)
    with pytest.raises(UserError, match="the mask given is 33x32 but the picture is 80x70"):
        studio.hole(Image.new("L", (33, 32), 255), photo)


def test_a_walk_shows_every_step(studio):
    steps = list(studio.walk("a cat", seeds=[1, 2], steps=5))
    assert len(steps) == 5 and steps[0].t > steps[-1].t
    assert all(s.eps.shape == s.x0.shape == s.x.shape == (2, 3, 64, 64) for s in steps)
    drawn = studio.draw("a cat", seeds=[1, 2], steps=5).tensor
    assert torch.equal(steps[-1].x, drawn)


@pytest.mark.parametrize("call", ["anagram", "hybrid"])
def test_illusions_differ_from_either_prompt(studio, call):
    both = getattr(studio, call)("a cat", "a dog", steps=3).tensor
    assert both.shape == (1, 3, 64, 64)
    assert not torch.allclose(both, studio.draw("a cat", steps=3).tensor, atol=1e-3)


def test_progress_is_told_after_every_step(folder):
    heard = []
    studio = minidiff.open(folder, device="cpu")
    studio.progress = lambda done, total: heard.append((done, total))
    studio.batch = 2
    studio.draw("a cat", seeds=range(3), steps=2)
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"guidance_scale": 3.0}, "called guidance here"),
        ({"num_inference_steps": 5}, "called steps here"),
        ({"generator": None}, "called seeds here"),
        ({"colour": "red"}, "no argument colour"),
        ({"sampler": "euler"}, "sampler is one of"),
        ({"spacing": "odd"}, "spacing is one of"),
        ({"limit": "hard"}, "limit is one of"),
        ({"steps": "fast28"}, "fast27"),
        ({"steps": 0}, "steps"),
        ({"steps": "course", "spacing": "even"}, "leave the spacing out"),
        ({"seeds": []}, "at least one seed"),
    ],
)
def test_wrong_words_are_named(studio, words, says):
    with pytest.raises(UserError, match=says):
        studio.draw("a cat", **words)


def test_the_checkpoint_recommends_its_walk(folder, tmp_path):
    own = write_tiny_checkpoint(tmp_path / "own")
    write_json(
        own / "sampling.json", {"steps": 4, "sampler": "ddim", "eta": 1.0, "spacing": "even"}
    )
    model = minidiff.load(own, device="cpu")
    plan = make_plan(model)
    assert len(plan) == 4 and plan.pairs[0][0] == 990 and plan.tells["sampler"] == "ddim"
    official = make_plan(minidiff.load(folder, device="cpu"))
    assert len(official) == 50 and official.pairs[0] == (980, 960)
    assert official.tells["sampler"] == "ddpm" and official.guidance == 7.0
    course = make_plan(model, steps="course")
    assert course.pairs == course_pairs() and course.limit is None
    write_json(own / "sampling.json", {"stepps": 4})
    with pytest.warns(UserWarning, match="stepps"):
        assert len(make_plan(model)) == 50
