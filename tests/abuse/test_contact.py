"""What users bring, in all shapes: right, or one sentence; never a torch error, never silence."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_checkpoint import write_tiny_checkpoint

import minidiff
from minidiff import course
from minidiff.deepfloyd.signs import Signs
from minidiff.deepfloyd.text import TextEncoder
from minidiff.errors import UserError
from minidiff.io import inputs
from minidiff.io.decode import refuse_other_kinds
from minidiff.io.paths import DEMO
from minidiff.io.pictures import read_mask
from minidiff.mnist.unet import ClassConditionalUNet
from minidiff.noise import SeededNoise

pytestmark = pytest.mark.filterwarnings("ignore")
CPU = torch.device("cpu")
KINDS = [np.uint8, np.int16, np.int64, np.float16, np.float32, np.float64, np.bool_, np.uint16]
SIDES = st.sampled_from([1, 2, 3, 4, 28, 64])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return minidiff.load(write_tiny_checkpoint(tmp_path_factory.mktemp("w") / "tiny"), "cpu")


@pytest.fixture(scope="module")
def demo():
    return TextEncoder(DEMO, CPU, torch.float32)


@pytest.fixture(scope="module")
def net():
    return ClassConditionalUNet(num_hiddens=4).eval()


def right_or_said(call):
    """The result; None for a UserError of one short line. Anything else fails the test."""
    try:
        return call()
    except UserError as error:
        assert 10 < len(str(error)) < 800
        assert "\n" not in str(error)
        return None


@st.composite
def arrays(draw):
    shape = draw(st.lists(SIDES, max_size=5).filter(lambda sides: np.prod(sides) <= 50_000))
    top = draw(st.sampled_from([0, 1, 2, 200, 255, 4000, float("nan"), float("inf")]))
    kind = draw(st.sampled_from(KINDS))
    with np.errstate(all="ignore"):
        drawn = np.random.default_rng(draw(st.integers(0, 99))).random(shape)
        array = np.asarray(drawn * top).astype(kind)
    return torch.from_numpy(array.copy()) if draw(st.booleans()) else array


@given(arrays())
def test_pictures_of_any_shape_and_kind(model, value):
    x = right_or_said(lambda: course.ready(model, value))
    if x is not None:
        assert x.ndim == 4
        assert x.shape[1] == 3
        assert x.dtype in (torch.float32, torch.float64)
        assert x.abs().max() <= inputs.LARGEST


@given(arrays(), st.integers(1, 3))
def test_masks_of_any_shape_and_kind(value, count):
    m = right_or_said(lambda: inputs.mask(value, torch.zeros(count, 3, 64, 64)))
    if m is not None:
        assert m.shape[1:] == (1, 64, 64)
        assert 0 <= m.min() <= m.max() <= 1


NUMBERS = st.one_of(
    st.integers(-5, 1005), st.floats(-5, 1005), st.floats(), st.booleans(), st.text(max_size=4),
    st.none(), st.lists(st.integers(0, 999), max_size=4), st.binary(max_size=3),
    st.builds(lambda n: torch.tensor([[n]]), st.integers(-5, 1005)),
    st.builds(lambda n: np.array(n, np.float32), st.integers(-5, 1005)),
)  # fmt: skip


@given(NUMBERS)
def test_timesteps_of_any_kind(model, t):
    x = right_or_said(lambda: course.forward(model, torch.zeros(1, 3, 64, 64), t, SeededNoise([1])))
    assert x is None or x.shape == (1, 3, 64, 64)


@given(st.one_of(NUMBERS, arrays()))
def test_seeds_of_any_kind(value):
    noise = right_or_said(lambda: SeededNoise(value))
    assert noise is None or len(noise.draw()) == len(noise.generators)


@given(st.one_of(NUMBERS, arrays()), st.one_of(NUMBERS, arrays()))
def test_times_and_digits_of_any_kind(net, t, c):
    with torch.no_grad():
        out = right_or_said(lambda: net(torch.zeros(3, 1, 28, 28), c, t))
    assert out is None or out.shape == (3, 1, 28, 28)


@given(st.text(max_size=12))
def test_prompts_in_any_script(demo, prompt):
    states = right_or_said(lambda: demo([prompt]))
    assert states is None or states.shape[:2] == (1, 77)


SIGNS = Signs.from_folder(DEMO)
PARTS = st.sampled_from([*list(SIGNS.names)[::40], "\u200d", "\ufe0f", "\U0001f3fd", "a", " ", "1"])


@given(st.lists(PARTS, max_size=8))
def test_signs_joined_in_any_way(parts):
    prompt = "".join(parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spelled = SIGNS(prompt)
    assert SIGNS(spelled) == spelled or not spelled.isascii()
    assert all(sign not in spelled for sign in SIGNS.names if sign in prompt and sign > "\u2190")


@given(st.binary(max_size=64))
def test_files_that_begin_with_anything(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("files") / "picture.png"
    path.write_bytes(content)
    right_or_said(lambda: refuse_other_kinds(path))
    right_or_said(lambda: read_mask(path))


@given(st.lists(st.integers(0, 255), min_size=1, max_size=4), st.booleans(), st.booleans())
def test_masks_of_few_greys(tmp_path_factory, greys, invert, layered):
    """A mask of these greys in stripes: never all of the picture, unless all of the mask is one."""
    stripes = np.repeat(np.array(greys, np.uint8), 64)[None].repeat(64 * len(greys), 0)
    image = Image.fromarray(stripes)
    if layered:
        image = image.convert("RGBA")
        image.putalpha(Image.fromarray(np.where(stripes == greys[0], 0, 255).astype(np.uint8)))
    path = tmp_path_factory.mktemp("masks") / "mask.png"
    image.save(path)
    mask = right_or_said(lambda: read_mask(path, invert=invert))
    if mask is not None and len(set(greys)) > 1:
        assert 0 < mask.mean() < 1
