"""Pictures and masks of every kind: the right pixels, or one sentence."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from minidiff.errors import UserError
from minidiff.io.pictures import read_mask, read_picture


@pytest.fixture
def save(tmp_path):
    def save_as(image: Image.Image, name: str, **options):
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return save_as


def quarters() -> Image.Image:
    """64x64: red, green over blue, white."""
    image = Image.new("RGB", (64, 64), "red")
    image.paste("lime", (32, 0, 64, 32))
    image.paste("blue", (0, 32, 32, 64))
    image.paste("white", (32, 32, 64, 64))
    return image


def corners(x: Tensor) -> list[tuple[float, ...]]:
    """The colours in the middle of the four quarters, rounded."""
    return [tuple(x[0, :, i, j].round().tolist()) for i in (16, 48) for j in (16, 48)]


RED, GREEN, BLUE, WHITE = (1, -1, -1), (-1, 1, -1), (-1, -1, 1), (1, 1, 1)


@pytest.mark.parametrize(
    "name, convert",
    [
        ("rgb.png", lambda im: im),
        ("palette.png", lambda im: im.convert("P", palette=Image.Palette.ADAPTIVE)),
        ("cmyk.tif", lambda im: im.convert("CMYK")),
        ("cmyk.jpg", lambda im: im.convert("CMYK")),
        ("alpha.png", lambda im: im.convert("RGBA")),
        ("lossless.webp", lambda im: im),
        ("picture.bmp", lambda im: im),
        ("one.gif", lambda im: im),
    ],
)
def test_every_kind_of_colour_reads_the_same(save, name, convert):
    x = read_picture(save(convert(quarters()), name))
    assert x.shape == (1, 3, 64, 64) and x.dtype == torch.float32
    assert corners(x) == [RED, GREEN, BLUE, WHITE]


def test_values_are_exact_at_the_own_size(save):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    x = read_picture(save(Image.fromarray(pixels), "noise.png"))
    assert torch.equal(x[0].permute(1, 2, 0), torch.from_numpy(pixels / np.float32(127.5) - 1))


def test_transparent_parts_are_white(save):
    image = quarters().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 32, 32))
    assert corners(read_picture(save(image, "hole.png"))) == [WHITE, GREEN, BLUE, WHITE]


def test_a_16_bit_grey_keeps_its_greys(save):
    ramp = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16)[None], 64, axis=0)
    x = read_picture(save(Image.fromarray(ramp), "deep.png"))
    assert torch.allclose(x[0, 0, 10], torch.linspace(-1, 1, 64), atol=0.01)


def test_a_camera_turn_is_undone(save):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise to see it right
    path = save(quarters().rotate(90), "turned.png", exif=exif)
    assert corners(read_picture(path)) == [RED, GREEN, BLUE, WHITE]


def test_a_wide_picture_is_cropped_in_the_middle(save):
    wide = Image.new("RGB", (256, 64), "black")
    wide.paste(quarters(), (96, 0))
    assert corners(read_picture(save(wide, "wide.png"))) == [RED, GREEN, BLUE, WHITE]


def test_shrinking_averages(save):
    checks = np.indices((640, 640)).sum(0) % 2 * 255
    x = read_picture(save(Image.fromarray(checks.astype(np.uint8)), "checks.png"))
    assert x.abs().max() < 0.05


def test_one_pixel_and_many_frames(save):
    x = read_picture(save(Image.new("RGB", (1, 1), "red"), "dot.png"))
    assert corners(x) == [RED] * 4
    path = save(quarters(), "film.gif", save_all=True, append_images=[Image.new("RGB", (64, 64))])
    with pytest.warns(UserWarning, match="2 frames: the first one"):
        assert corners(read_picture(path)) == [RED, GREEN, BLUE, WHITE]


def test_bad_pictures_say_so(save, tmp_path):
    whole = save(quarters(), "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    save(Image.fromarray(np.zeros((8, 8), np.float32)), "float.tif")
    for name in ("cut.png", "text.png", "empty.jpg", "float.tif", "absent.png", ""):
        with pytest.raises(UserError):
            read_picture(tmp_path / name)


def test_a_huge_picture_is_refused_before_it_is_decoded(save):
    path = save(Image.new("1", (20_000, 20_000)), "huge.png")
    with pytest.raises(UserError, match="100 million pixels"):
        read_picture(path)


# --- masks ------------------------------------------------------------------------------------


def box(mode="L", ground=0, ink=255) -> Image.Image:
    image = Image.new(mode, (128, 128), ground)
    image.paste(ink, (32, 32, 96, 96))
    return image


def test_white_is_made_anew(save):
    expected = torch.zeros(1, 1, 64, 64)
    expected[..., 16:48, 16:48] = 1
    assert torch.equal(read_mask(save(box(), "mask.png")), expected)
    assert torch.equal(read_mask(save(box("1", 0, 1), "bits.png")), expected)
    painted = box("RGBA", (0, 0, 0, 0), (255, 255, 255, 255))
    assert torch.equal(read_mask(save(painted, "painted.png")), expected)
    assert torch.equal(read_mask(save(box("L", 255, 0), "other.png"), invert=True), expected)


def test_a_mask_must_match_its_picture(save):
    picture = save(quarters(), "picture.png")
    with pytest.raises(UserError, match="128x128 but .* is 64x64"):
        read_mask(save(box(), "mask.png"), picture=picture)
    mask = save(box().resize((64, 64)), "fits.png")
    assert read_mask(mask, picture=picture).mean() == pytest.approx(0.25, abs=0.01)


def test_masks_that_mark_nothing_everything_or_softly(save):
    with pytest.raises(UserError, match="marks nothing"):
        read_mask(save(Image.new("L", (64, 64), 0), "none.png"))
    with pytest.warns(UserWarning, match="marks everything"):
        assert read_mask(save(Image.new("L", (64, 64), 255), "all.png")).all()
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None] * 4, 64, axis=0)
    with pytest.warns(UserWarning, match="grey in"):
        assert read_mask(save(Image.fromarray(ramp), "ramp.png")).mean() == 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_mask(save(box(), "mask.png"))
