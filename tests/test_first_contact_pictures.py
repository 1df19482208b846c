"""Pictures and masks as people make them: understood and told, or refused with what helps."""

import io
import struct
import sys
import types
import warnings

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageDraw
from tiny_checkpoint import write_tiny_checkpoint

from minidiff.cli import main
from minidiff.errors import UserError
from minidiff.io.pictures import read_mask, read_picture

P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SWAPPED = ((0.38515, 0.71687, 0.09708), (0.43607, 0.22249, 0.01392), (0.14307, 0.06061, 0.71410))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def make_profile(primaries) -> bytes:
    """A matrix profile with these D50 primaries and sRGB's curve, as an ICC file."""

    def fixed(*numbers):
        return b"".join(struct.pack(">i", round(x * 65536)) for x in numbers)

    curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0)
    curve += fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)}
    tags |= {b"cprt": b"text\0\0\0\0none\0", b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)}
    for name, xyz in zip((b"r", b"g", b"b"), primaries):
        tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*xyz)
        tags[name + b"TRC"] = curve
    table, data = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(data), len(value))
        data += value
    head = struct.pack(">I4sI4s4s4s", 128 + len(table) + len(data), b"lcms", 0x04200000,
                       b"mntr", b"RGB ", b"XYZ ")  # fmt: skip
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acspAPPL" + bytes(24)
    head += fixed(0.9642, 1, 0.8249)
    return head + bytes(128 - len(head)) + table + data


@pytest.fixture
def photo() -> Image.Image:
    image = Image.radial_gradient("L").resize((512, 512)).convert("RGB")
    ImageDraw.Draw(image).rectangle((80, 160, 240, 440), fill=(200, 60, 20))
    return image


@pytest.fixture
def save(tmp_path, photo):
    photo.save(tmp_path / "photo.png")

    def save_as(image: Image.Image, name: str = "mask.png", **options):
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return save_as


@pytest.fixture
def read(tmp_path):
    """read(path) -> the share that is made anew, and what is said of it."""

    def read_told(path, **options):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            mask = read_mask(path, picture=tmp_path / "photo.png", **options)
        return mask.mean().item(), " / ".join(str(note.message) for note in told)

    return read_told


def values(number, dtype=np.uint8) -> np.ndarray:
    mask = np.zeros((512, 512), dtype)
    mask[128:384, 128:384] = number
    return mask


def layer(paint, mode="RGBA") -> Image.Image:
    """Paint in the middle of a transparent layer."""
    image = Image.new(mode, (512, 512), (0,) * len(mode))
    image.paste(paint, (128, 128, 384, 384))
    return image


# --- masks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 100])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_zeros_and_one_other_small_value(save, read, number, dtype):
    path = save(Image.fromarray(values(number, dtype)))
    top = np.iinfo(dtype).max
    share, told = read(path)
    assert share == pytest.approx(0.25, abs=0.01)
    assert f"is {number} of {top}: taken as white" in told
    assert "25% of the picture is made anew" in told
    assert read(path, invert=True)[0] == pytest.approx(0.75, abs=0.01)


def test_small_values_of_many_kinds_are_asked_about(save, read):
    labels = values(1)
    labels[:100] = 3
    for invert in (False, True):
        with pytest.raises(UserError, match="largest value is 3 of 255") as caught:
            read(save(Image.fromarray(labels)), invert=invert)
        assert "invert" not in str(caught.value)


def test_an_all_black_mask_is_not_told_to_invert(save, read):
    with pytest.raises(UserError, match="marks nothing") as caught:
        read(save(Image.new("L", (512, 512), 0)))
    assert "invert" not in str(caught.value)


@pytest.mark.parametrize("paint", [(0, 0, 0, 255), (255, 0, 0, 255), (30, 60, 90, 255)])
def test_dark_paint_on_a_transparent_layer(save, read, paint):
    path = save(layer(paint))
    share, told = read(path, invert=True)
    assert share == pytest.approx(0.25, abs=0.01)
    assert "25% of the picture is made anew" in told
    with pytest.raises(UserError, match="what is transparent is kept"):
        read(path)


def test_white_paint_on_a_transparent_layer(save, read):
    path = save(layer((255, 255, 255, 255)))
    assert read(path)[0] == pytest.approx(0.25, abs=0.01)
    with pytest.raises(UserError, match="leave out the inversion"):
        read(path, invert=True)
    only_alpha = Image.new("RGBA", (512, 512), (255, 255, 255, 255))
    only_alpha.putalpha(Image.fromarray(values(255)))
    assert read(save(only_alpha))[0] == pytest.approx(0.25, abs=0.01)


def erased(photo: Image.Image) -> Image.Image:
    image = photo.convert("RGBA")
    image.putalpha(Image.fromarray(255 - values(255)))
    return image


def test_the_photo_with_a_hole_marks_the_hole(save, read, photo):
    path = save(erased(photo))
    share, told = read(path)
    assert share == pytest.approx(0.25, abs=0.01)
    assert "the hole is made anew" in told
    assert read_mask(path, picture=path)[0, 0, 32, 32] == 1  # the same file as picture and mask
    with pytest.raises(UserError, match="two things"):
        read_mask(path)  # without the picture nobody can know


def test_another_picture_with_a_hole_is_asked_about(save, read, photo):
    with pytest.raises(UserError, match="two things"):
        read(save(erased(photo.rotate(90).transpose(Image.Transpose.FLIP_TOP_BOTTOM).point(
            lambda v: (v * 7) % 256))))  # fmt: skip


def test_the_picture_itself_is_no_mask(save, read, photo):
    with pytest.raises(UserError, match="is the picture itself"):
        read(save(photo))
    photo.paste((255, 255, 255), (200, 200, 300, 300))
    with pytest.raises(UserError, match="painted onto it"):
        read(save(photo))


def test_lines_too_thin_for_the_model(save, read):
    thin = Image.new("L", (512, 512), 0)
    ImageDraw.Draw(thin).line((50, 50, 460, 460), fill=255, width=3)
    with pytest.raises(UserError, match="too thin at 64 x 64: paint it at least 8 pixels wide"):
        read(save(thin))
    with pytest.raises(UserError, match="keeps is too thin"):
        read(save(thin), invert=True)
    with pytest.raises(UserError, match="keeps is too thin"):
        read(save(Image.fromarray(255 - np.asarray(thin))))
    ImageDraw.Draw(thin).rectangle((0, 0, 20, 20), fill=255)
    assert "thin parts" in read(save(thin))[1]


def test_32_bits_name_the_file(save, read):
    with pytest.raises(UserError, match=r"mask\.tif has 32-bit pixels"):
        read(save(Image.fromarray(values(255, np.int32)), "mask.tif"))


@pytest.mark.parametrize("name", ["mask.jpg", "mask.gif", "mask.webp", "mask.bmp"])
def test_usual_masks_of_any_format(save, read, name):
    share, told = read(save(Image.fromarray(values(255)), name))
    assert share == pytest.approx(0.25, abs=0.01)
    assert told.count("%") == 1


def test_an_inpainting_says_what_was_understood(save, tmp_path, capsys):
    tiny = write_tiny_checkpoint(tmp_path / "tiny")
    mask = save(Image.fromarray(values(1)))
    arguments = ["inpaint", str(tmp_path / "photo.png"), str(mask), "a cat", "--weights", str(tiny)]
    arguments += ["--steps", "1", "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert "taken as white" in said
    assert "25% of the picture is made anew" in said


# --- colours ------------------------------------------------------------------------------------


@pytest.mark.parametrize("primaries", [P3, ADOBE, SWAPPED], ids=["p3", "adobe", "swapped"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_what_a_person_sees_is_what_the_model_gets(save, photo, primaries, mode):
    profile = make_profile(primaries)
    muted = photo.point(lambda v: 60 + v // 2)  # colours that all of these spaces have
    if mode == "P":
        muted = muted.quantize(64).convert("RGB")
    wide = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    moved = ImageCms.profileToProfile(muted, SRGB, wide, ImageCms.Intent.RELATIVE_COLORIMETRIC)
    plain = read_picture(save(muted, "plain.png"))
    moved = moved.quantize(256) if mode == "P" else moved.convert(mode)
    path = save(moved, "moved.png", icc_profile=profile)
    error = (read_picture(path) - plain).abs().max() * 127.5
    assert error <= 2
    numbers = Image.fromarray(np.asarray(moved.convert("RGB")))  # without the profile
    unread = read_picture(save(numbers, "unread.png"))
    assert (unread - plain).abs().max() * 127.5 > 5


def test_a_damaged_profile_is_told(save, photo):
    path = save(photo, "odd.png", icc_profile=b"nonsense")
    with pytest.warns(UserWarning, match="colour profile of .* cannot be used"):
        assert torch.equal(read_picture(path), read_picture(save(photo, "plain.png")))


# --- other kinds of files -----------------------------------------------------------------------

HEIC = b"\x00\x00\x00\x24ftypheic\x00\x00\x00\x00mif1MiHEmiafheictmap" + bytes(400)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("IMG_0001.HEIC", HEIC, "save it as JPEG"),
        ("IMG_0002.jpg", HEIC, "HEIC picture"),
        ("burst.png", HEIC.replace(b"ftypheic", b"ftypmif1"), "HEIC picture"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "export it as PNG"),
        ("drawing.png", b"<?xml version='1.0'?>\n<svg/>", "SVG"),
        ("page.jpg", b"<!DOCTYPE html><html>", "web page"),
        ("report.png", b"%PDF-1.7", "PDF"),
        ("clip.jpg", b"\0\0\0\x14ftypqt  ", "a video"),
        ("new.jpg", b"\xff\x0aabc", "JPEG XL"),
        ("lfs.png", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("empty.png", b"", "an empty file"),
        ("text.png", b"hello", "text.png is no kind of picture .*: save it as PNG or JPEG$"),
    ],
)
def test_what_is_no_picture_here_says_what_it_is(tmp_path, monkeypatch, name, content, says):
    monkeypatch.setattr("minidiff.io.decode.find_spec", lambda name: None)
    (tmp_path / name).write_bytes(content)
    for reader in (read_picture, read_mask):
        with pytest.raises(UserError, match=says):
            reader(tmp_path / name)


@pytest.mark.parametrize("name", ["cut.png", "cut.jpg", "cut.webp"])
def test_a_picture_that_is_cut_short_is_to_be_fetched_again(tmp_path, photo, name, capsys):
    photo.save(tmp_path / name)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert main(["edit", str(path), "a cat", "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert said.count(str(path)) == 1
    assert "fetch or save it again" in said


def test_a_picture_of_which_nothing_is_to_be_seen_is_told(save):
    path = save(Image.new("RGBA", (64, 64), (200, 0, 0, 0)), "clear.png")
    with pytest.warns(UserWarning, match="transparent everywhere: it is taken as white"):
        assert (read_picture(path) == 1).all()
    seen = save(Image.new("RGBA", (64, 64), (200, 0, 0, 9)), "faint.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_picture(seen)


def test_heic_is_read_where_its_library_is(tmp_path, monkeypatch, photo):
    """With a stand-in for pillow_heif that opens such files: the real one is an extra."""
    opened = []

    def register():
        def accept(prefix):
            return prefix[4:12] == b"ftypheic"

        def open_heif(file, name):
            opened.append(name)
            return photo

        Image.register_open("STANDIN", open_heif, accept)

    stand_in = types.SimpleNamespace(register_heif_opener=register)
    monkeypatch.setitem(sys.modules, "pillow_heif", stand_in)
    monkeypatch.setattr("minidiff.io.decode.find_spec", lambda name: stand_in)
    (tmp_path / "IMG_0001.HEIC").write_bytes(HEIC)
    try:
        assert read_picture(tmp_path / "IMG_0001.HEIC").shape == (1, 3, 64, 64)
    finally:
        Image.OPEN.pop("STANDIN", None)
        if "STANDIN" in Image.ID:
            Image.ID.remove("STANDIN")
    assert opened


def test_a_picture_of_ones_own_goes_with_its_own_sections(save, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    save(Image.new("RGB", (64, 64)), "other.png")
    assert main(["part-a", "--only", "1.7.2", "--image", str(photo)]) == 2
    assert "yours and yours-mask, not in 1.7.2" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["part-a", "--help"])
    assert "yours, yours-mask" in capsys.readouterr().out
