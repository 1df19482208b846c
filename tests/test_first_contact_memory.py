"""What a notebook hands over: pictures and masks of any kind in memory, numbers, other names."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_checkpoint import write_tiny_checkpoint

import minidiff
from minidiff import course
from minidiff.errors import UserError
from minidiff.noise import SeededNoise
from minidiff.studio import Studio

FEW = {"steps": 2}
WIDTH, HEIGHT = 300, 200
PHOTO = Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB")
BYTES = np.asarray(PHOTO)
MARKS = np.zeros((HEIGHT, WIDTH), np.uint8)
MARKS[50:150, 100:200] = 255
SHARES = MARKS / 255


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Studio:
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("w") / "tiny")
    return Studio(minidiff.load(folder, "cpu"), progress=lambda done, total: None)


MASKS = {
    "float": SHARES,
    "float32, one channel": SHARES.astype(np.float32)[None],
    "truth values": MARKS > 0,
    "truth values, a tensor": torch.tensor(MARKS > 0),
    "a batch of one": torch.tensor(SHARES)[None, None],
    "whole numbers": (MARKS > 0).astype(int),
    "a list": SHARES.tolist(),
    "bytes": MARKS,
    "bytes, a channel last": MARKS[..., None],
    "bytes, a channel first": MARKS[None],
    "three equal channels first": np.repeat(MARKS[None], 3, 0),
    "bytes of 0 and 1": MARKS // 255,
    "other byte order": SHARES.astype(">f4"),
    "mirrored memory": SHARES[::-1][::-1],
}


@pytest.mark.parametrize("kind", MASKS)
def test_a_mask_of_any_kind_is_the_mask(studio, kind):
    due = studio.hole(Image.fromarray(MARKS), PHOTO)
    with pytest.warns(UserWarning, match="25% of the picture is made anew"):
        assert torch.equal(studio.hole(MASKS[kind], PHOTO), due)


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (np.zeros((64, 64)), "marks nothing"),
        (torch.zeros(1, 1, 64, 64), "marks nothing"),
        (np.eye(40), "the mask given is 40x40 but the picture is 300x200"),
        (SHARES * np.nan, "from 0"),
        (SHARES - 1, "from 0"),
        (SHARES * 3, "from 0"),
        (np.zeros((0, 0)), "no pixels"),
        ("nowhere.png", "nowhere.png"),
    ],
)
def test_a_mask_that_is_none(studio, mask, says):
    with pytest.raises(UserError, match=says):
        studio.hole(mask, PHOTO)


PICTURES = {
    "channels last": BYTES,
    "channels first": BYTES.transpose(2, 0, 1),
    "grey": BYTES[..., 0],
    "grey, a channel last": BYTES[..., :1],
    "with a whole alpha": np.asarray(PHOTO.convert("RGBA")),
    "with a whole alpha first": np.asarray(PHOTO.convert("RGBA")).transpose(2, 0, 1),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_bytes_of_any_order_are_the_picture(studio, kind):
    assert torch.equal(studio.picture(PICTURES[kind]), studio.picture(PHOTO))


@pytest.mark.parametrize(
    "picture", [np.zeros((9, 9, 5), "u1"), np.zeros((0, 0, 3), "u1"), Image.new("RGB", (0, 0)),
                np.zeros(7, "u1"), torch.zeros(3, 0, 0)],
)  # fmt: skip
def test_a_picture_that_is_none(studio, picture):
    with pytest.raises(UserError, match="pixel|must be"):
        studio.edit(picture, "a cat", **FEW)


def test_a_picture_from_0_to_1_is_told_how_it_is_read(studio):
    small = np.asarray(PHOTO.resize((64, 64))) / 255
    with pytest.warns(UserWarning, match=r"if its black is 0, give x \* 2 - 1"):
        studio.picture(small)
    with pytest.warns(UserWarning, match="as from -1"):
        course.forward(studio.model, small, 100, SeededNoise([1]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        studio.picture(small * 2 - 1)
        studio.picture(torch.zeros(3, 64, 64))  # grey
        studio.picture(torch.ones(3, 64, 64))


NAN, INFINITY = float("nan"), float("inf")
CALLS = {
    "swapped": (lambda s: s.edit("a cat", PHOTO), "a picture comes first"),
    "several prompts": (lambda s: s.edit(PHOTO, ["a cat", "a dog"]), "one text"),
    "a list as the negative": (lambda s: s.draw("a cat", negative=["a dog"]), "one text"),
    "lists of an anagram": (lambda s: s.anagram(["a cat"], ["a dog"]), "one text"),
    "steps, a list": (lambda s: s.draw("a cat", steps=[900, 0]), "one number"),
    "steps, a range": (lambda s: s.draw("a cat", steps=range(3)), "one number"),
    "steps, true": (lambda s: s.draw("a cat", steps=True), "not True"),
    "steps, broken": (lambda s: s.draw("a cat", steps=2.5), "whole"),
    "guidance, text": (lambda s: s.draw("a cat", guidance="7"), "the text '7'"),
    "guidance, several": (lambda s: s.draw("a cat", guidance=[1, 7]), "one number"),
    "guidance, infinite": (lambda s: s.draw("a cat", guidance=INFINITY), "at most 1000"),
    "guidance, none": (lambda s: s.draw("a cat", guidance=NAN), "at most 1000"),
    "guidance, far too much": (lambda s: s.draw("a cat", guidance=1e38), "at most 1000"),
    "eta, text": (lambda s: s.draw("a cat", eta="1", sampler="ddim"), "eta"),
    "no place to begin": (lambda s: s.edit(PHOTO, "a cat", i_start=[]), "at least one place"),
    "no prompt": (lambda s: s.draw(), r"draw\(prompts, seeds, ...\)"),
    "another name": (lambda s: s.edit(image=PHOTO, prompt="a cat"), "image is called picture"),
    "two other names": (
        lambda s: s.inpaint(image=PHOTO, mask_image=MARKS, prompt="a cat"),
        "image is called picture, mask_image is called mask here",
    ),
    "a studio for a model": (
        lambda s: course.forward(s, torch.zeros(1, 3, 64, 64), 10, SeededNoise([1])),
        "studio.model",
    ),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_call_that_cannot_be_is_one_sentence(studio, what):
    call, says = CALLS[what]
    with pytest.raises(UserError, match=says) as caught:
        call(studio)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", [3, 3.0, torch.tensor(3.0), np.float32(3), np.array([3])])
def test_a_number_of_any_kind_is_that_number(studio, number):
    assert studio.plan(guidance=number, **FEW).guidance == 3.0
    assert len(studio.plan(steps=number)) == 3


@pytest.mark.parametrize("scale", [NAN, "7", [1, 7]])
def test_the_courses_scale_is_a_number(studio, scale):
    text = studio.model.encode(["a cat"])
    with pytest.raises(UserError, match="guidance"):
        course.iterative_denoise_cfg(
            studio.model, torch.zeros(1, 3, 64, 64), 32, text, text, SeededNoise([1]), scale=scale
        )


def test_a_negative_prompt_that_counts_for_nothing_is_told(studio):
    with pytest.warns(UserWarning, match="counts for nothing"):
        studio.draw("a cat", guidance=1, negative="a dog", **FEW)


def test_a_mask_of_nothing_is_told_in_the_courses_cell(studio):
    with pytest.warns(UserWarning, match="nothing of the picture is made anew"):
        minidiff.io.inputs.mask(torch.zeros(64, 64), torch.zeros(1, 3, 64, 64))


def test_a_picture_that_nobody_can_see_is_told(studio):
    with pytest.warns(UserWarning, match="transparent everywhere"):
        white = studio.picture(Image.new("RGBA", (80, 80), (255, 0, 0, 0)))
    assert white.min() == 1
