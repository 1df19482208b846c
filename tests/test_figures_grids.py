"""Grids, GIFs and the page: nothing is cropped, nothing is half written, texts stay with files."""

import os

import pytest
import torch
from PIL import Image

from minidiff.errors import UserError
from minidiff.figures import grids
from minidiff.figures.grids import draw_grid, enlarge, picture, read_png_text, save_gif, save_png
from minidiff.figures.page import Figure, Section, Table, maths, write_page
from minidiff.io.files import save_atomically


def test_picture_maps_its_range_to_black_and_white():
    x = torch.tensor([-1.0, 1.0, 0.0, 5.0]).reshape(1, 2, 2).expand(3, 2, 2)
    assert picture(x).getpixel((0, 0)) == (0, 0, 0)
    assert picture(x).getpixel((1, 0)) == (255, 255, 255)
    assert picture(x).getpixel((1, 1)) == (255, 255, 255)  # clipped
    assert picture(torch.full((1, 2, 2), 0.5), 0, 1).getpixel((0, 0)) == (128, 128, 128)


def test_picture_refuses_wrong_shapes_and_nan():
    with pytest.raises(UserError, match="shape"):
        picture(torch.zeros(1, 3, 8, 8))
    with pytest.raises(UserError, match="diverged"):
        picture(torch.full((3, 4, 4), float("nan")))


def test_enlarge_repeats_pixels():
    x = picture(torch.rand(3, 4, 5) * 2 - 1)
    big = enlarge(x, 3)
    assert big.size == (15, 12)
    assert all(
        big.getpixel((i, j)) == x.getpixel((i // 3, j // 3)) for i in range(15) for j in range(12)
    )


def test_every_picture_of_a_grid_is_on_the_sheet_whole():
    colours = [[(200, 10 * i, 10 * j) for j in range(4)] for i in range(3)]
    pictures = [[Image.new("RGB", (6, 5), c) for c in row] for row in colours]
    sheet = draw_grid(
        pictures,
        title="Seed 180, γ = 5",
        columns=["t = 0", "antidisestablishmentarianism", "c", "d"],
        rows=["first", "second"],
        captions=[["a caption that is far wider than its picture"]],
        scale=3,
    )
    counts = {colour: n for n, colour in sheet.getcolors(maxcolors=1 << 24)}
    assert all(counts[c] == 6 * 5 * 9 for row in colours for c in row)


@pytest.mark.parametrize("text", ["i_start = 10 of 33", "supercalifragilistic words and others"])
def test_text_is_never_cut(text):
    """All ink of the text is on the sheet: as much as when there is room to spare."""
    face = grids.font(14)
    wide, narrow = (grids.write(text, face, width) for width in (10_000, 30))
    sheet = draw_grid([[Image.new("RGB", (8, 8), "white")]], columns=[text])
    assert ink(sheet) == pytest.approx(ink(narrow))
    assert ink(narrow) == pytest.approx(ink(wide), rel=0.05)
    border = [sheet.getpixel((i, j)) for i in range(sheet.width) for j in (0, sheet.height - 1)]
    border += [sheet.getpixel((i, j)) for j in range(sheet.height) for i in (0, sheet.width - 1)]
    assert set(border) == {(255, 255, 255)}


def ink(image: Image.Image) -> int:
    """How dark the picture is altogether."""
    return sum(255 - level for level in image.convert("L").tobytes())


def test_wrap_keeps_an_equation_on_one_line():
    lines = grids.wrap("one two t = 250", grids.font(14), 40).split("\n")
    assert lines == ["one", "two", "t\u00a0=\u00a0250"]


def test_empty_and_overfull_grids_are_refused():
    with pytest.raises(UserError, match="at least one"):
        draw_grid([])
    with pytest.raises(UserError, match="do not fit"):
        draw_grid([[Image.new("RGB", (2, 2))]], columns=["a", "b"])


def test_png_carries_its_text(tmp_path):
    sheet = draw_grid([[None, Image.new("RGB", (4, 4), "red")]])
    path = save_png(sheet, tmp_path / "new" / "a.png", {"seed": 180, "prompt": "γ and an old man"})
    assert read_png_text(path) == {"seed": "180", "prompt": "γ and an old man"}
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]


def test_failed_save_leaves_the_old_file(tmp_path):
    path = save_png(Image.new("RGB", (4, 4), "red"), tmp_path / "a.png")
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="full"):
        save_atomically(path, lambda file: (file.write(b"half"), fail()))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_pipe_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="is not a file"):
        save_atomically(tmp_path / "pipe", lambda file: file.write(b"x"))
    assert (tmp_path / "pipe").is_fifo()


def fail():
    raise RuntimeError("the disk is full")


def test_gif_has_all_frames_and_its_comment(tmp_path):
    frames = [picture(torch.full((1, 4, 4), i / 5), 0, 1) for i in range(6)]
    path = save_gif(frames, tmp_path / "a.gif", {"seed": 3}, scale=2, seconds=1)
    with Image.open(path) as gif:
        assert (gif.n_frames, gif.size, gif.info["comment"]) == (6, (8, 8), b"seed: 3")
        gif.seek(5)
        assert gif.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(UserError, match="two or more"):
        save_gif(frames[:1], path)


def test_a_gif_keeps_its_paper_and_comes_close_to_its_colours(tmp_path):
    """More colours than a frame can have, on white paper."""
    noise = torch.rand((3, 60, 60), generator=torch.Generator().manual_seed(0))
    sheets = [draw_grid([[picture(noise.roll(i, 1), 0, 1)]]) for i in range(3)]
    with Image.open(save_gif(sheets, tmp_path / "a.gif")) as gif:
        for i, sheet in enumerate(sheets):
            gif.seek(i)
            shown = gif.convert("RGB")
            assert shown.getpixel((0, 0)) == sheet.getpixel((0, 0)) == (255, 255, 255)
            apart = torch.tensor(list(shown.tobytes())) - torch.tensor(list(sheet.tobytes()))
            assert apart.abs().float().mean() < 20


def test_page_shows_all_that_it_is_given(tmp_path):
    save_png(Image.new("RGB", (40, 30)), tmp_path / "a.png")
    section = Section(
        title="1.1 Forward & back",
        look="Noise <grows>.",
        equation="x_t = √ᾱ_t x_0 + σ_{t−1}^2",
        code="equations.forward_process",
        figures=[Figure("a.png", "A caption", alt='A "black" square')],
        tables=[Table(["σ", "loss"], [[0.5, "0.0083"]])],
    )
    html = write_page(tmp_path, "Part A", "Intro.", [section], footer="seed 180").read_text("utf-8")
    assert "x<sub>t</sub> = √ᾱ<sub>t</sub> x<sub>0</sub> + σ<sub>t−1</sub><sup>2</sup>" in html
    assert 'alt="A &quot;black&quot; square"' in html and 'width="40" height="30"' in html
    assert 'href="#1-1-forward-back"' in html and 'id="1-1-forward-back"' in html
    assert "Noise &lt;grows&gt;." in html and "<td>0.0083</td>" in html
    assert "http" not in html and "<script" not in html


def test_page_refuses_missing_pictures_and_missing_alt(tmp_path):
    with pytest.raises(UserError, match="not there"):
        write_page(tmp_path, "A", "", [Section("s", "", figures=[Figure("no.png", "", "x")])])
    save_png(Image.new("RGB", (4, 4)), tmp_path / "a.png")
    with pytest.raises(UserError, match="alt text"):
        write_page(tmp_path, "A", "", [Section("s", "", figures=[Figure("a.png", "", " ")])])
    assert not (tmp_path / "index.html").exists()


def test_maths_escapes_and_marks():
    assert maths("a_t < b^{1/2}") == "a<sub>t</sub> &lt; b<sup>1/2</sup>"
