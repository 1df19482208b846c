"""Part A's figures on a tiny random checkpoint: every section, resuming, and wrong input."""

import filecmp
import json

import pytest
import torch
from PIL import Image
from tiny_checkpoint import write_tiny_checkpoint

import minidiff
from minidiff import equations
from minidiff.deepfloyd.embeddings import save_embeddings
from minidiff.errors import UserError
from minidiff.figures import part_a
from minidiff.figures.grids import read_png_text


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "me.png"
    Image.linear_gradient("L").resize((90, 80)).save(path)
    return path


def test_one_section_makes_its_pictures_and_a_page_of_its_own(tiny, tmp_path):
    page = part_a.main(out=tmp_path, weights=tiny, only="1.1", device="cpu")
    assert page == tmp_path / "only-1.1" / "index.html"
    assert "../1.1-forward.png" in page.read_text()
    text = read_png_text(tmp_path / "1.1-forward.png")
    assert text["seed"] == "180" and text["weights"] == "tiny"
    assert not (tmp_path / "index.html").exists()


def test_a_second_run_keeps_what_is_drawn_and_redraws_what_is_lost(tiny, tmp_path, capsys):
    def run():
        part_a.main(out=tmp_path, weights=tiny, only="1.2", device="cpu")
        return capsys.readouterr().out

    assert "drawn" in run()
    first = (tmp_path / "1.2-classical.png").read_bytes()
    assert "kept" in run()
    (tmp_path / "1.2-classical.png").unlink()
    assert "drawn" in run()
    assert (tmp_path / "1.2-classical.png").read_bytes() == first
    done = tmp_path / "1.2.json"
    done.write_text(json.dumps({**json.loads(done.read_text()), "stamp": "of other code"}))
    assert "drawn" in run()
    done.write_text("{ cut sh")
    assert "drawn" in run()


def test_a_picture_of_the_users_is_edited_and_inpainted(tiny, tmp_path, photo):
    mask = tmp_path / "mask.png"
    Image.new("L", (90, 80), 0).save(mask)
    whole = Image.new("L", (90, 80), 0)
    whole.paste(255, (30, 30, 60, 60))
    whole.save(mask)
    options = {"out": tmp_path, "weights": tiny, "image": photo, "mask": mask, "device": "cpu"}
    part_a.main(**options, only="yours-mask", prompt="a rocket")
    assert (tmp_path / "yours-mask-inpainting.png").is_file()
    part_a.main(**options, only="yours", prompt="a rocket")
    assert read_png_text(tmp_path / "yours-levels.png")["prompt"] == "a rocket"
    assert (tmp_path / "yours.gif").read_bytes() != (tmp_path / "yours-mask.gif").read_bytes()


def test_a_relative_picture_is_the_users_own(tiny, tmp_path, monkeypatch):
    """inputs/ has a cat.jpg, too."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64), (255, 0, 0)).save("cat.jpg", quality=95)
    part_a.main(out="out", weights=tiny, image="cat.jpg", only="yours", device="cpu")
    sheet = Image.open("out/yours-levels.png").convert("RGB")
    red = sum(count for count, (r, g, b) in sheet.getcolors(1 << 20) if r > 250 and g + b < 10)
    assert red >= 4 * 64 * 64  # the original, enlarged twice


def test_a_picture_of_the_users_leaves_the_rest_as_it_is(tiny, tmp_path, photo, capsys):
    options = {"out": tmp_path / "out", "weights": tiny, "device": "cpu", "only": "1.1"}
    part_a.main(**options)
    assert "drawn" in capsys.readouterr().out
    yours = {**options, "only": "yours", "image": photo, "prompt": "a rocket"}
    part_a.main(**yours)
    part_a.main(**options)
    assert "kept" in capsys.readouterr().out
    with pytest.raises(UserError, match="yours and yours-mask"):
        part_a.main(**options, image=photo)


def test_embeddings_of_the_environment_count_as_an_input(tiny, tmp_path, capsys, monkeypatch):
    model = minidiff.load(tiny, "cpu")
    for name in ("one", "two"):
        texts = ["", part_a.DEMO_PROMPTS.neutral, part_a.OFFICIAL_PROMPTS.neutral]
        states = {text: torch.randn(77, model.encode([""]).shape[-1]) for text in texts}
        save_embeddings(states, tmp_path / f"{name}.safetensors")
        monkeypatch.setenv("MINIDIFF_EMBEDDINGS", str(tmp_path / f"{name}.safetensors"))
        part_a.main(out=tmp_path / "out", weights=tiny, device="cpu", only="1.3")
        assert "drawn" in capsys.readouterr().out


def test_wrong_input_is_one_sentence_and_leaves_nothing_behind(tiny, tmp_path, photo):
    out = tmp_path / "out"
    small = tmp_path / "small.png"
    Image.new("L", (10, 10), 255).save(small)
    for options, message in [
        ({"only": "1.10"}, "no section '1.10'; the sections are 0, 1.1"),
        ({"mask": small}, "go with IMAGE"),
        ({"image": photo, "mask": small}, "mask's? size|10x10"),
        ({"image": tmp_path / "none.png"}, "none.png"),
        ({"image": photo, "prompt": "  "}, "PROMPT is empty"),
        ({"image": photo, "prompt": "###"}, "says nothing"),
        ({"image": photo, "compare": True, "only": "yours"}, "leave IMAGE out"),
        ({"weights": tmp_path / "nowhere"}, "nowhere"),
    ]:
        with pytest.raises(UserError, match=message):
            part_a.main(**{"out": out, "weights": tiny, "device": "cpu", **options})
    assert not out.exists()


@pytest.mark.slow
def test_the_whole_report(tiny, tmp_path, capsys):
    page = part_a.main(out=tmp_path, weights=tiny, device="cpu").read_text()
    for section in ("0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.7.1", "1.7.2"):
        assert f">{section} " in page
    assert page.count("<img") == len(list(tmp_path.glob("*.png"))) + len(
        list(tmp_path.glob("*.gif"))
    )
    assert "John Mayer" in page
    capsys.readouterr()
    part_a.main(out=tmp_path, weights=tiny, device="cpu")
    assert "drawn" not in capsys.readouterr().out
    part_a.main(out=tmp_path / "alone", weights=tiny, device="cpu", only="1.7.3")
    alone = sorted((tmp_path / "alone").glob("1.7.3*.???"))
    assert [path.name for path in alone] == ["1.7.3-levels.png", "1.7.3.gif"]
    for path in alone:  # not by bytes ==, whose report of a difference would take an hour
        assert filecmp.cmp(path, tmp_path / path.name, shallow=False), path.name


def test_compare_shows_what_an_edit_of_the_equations_changes(tiny, tmp_path, monkeypatch):
    options = {"out": tmp_path, "weights": tiny, "device": "cpu", "compare": True}
    assert "no pixel differs" in part_a.main(**options, only="1.1").read_text()

    # What a student's slip looks like: the abar that belongs under a root is not.
    def slip(x0, abar, eps):
        return abar * x0 + eps

    for module in (equations, part_a):
        monkeypatch.setattr(module, "forward_process", slip)
    page = part_a.main(**options, only="1.1").read_text()
    assert "pixels differ by" in page
    monkeypatch.setattr(equations, "helper_of_mine", lambda: None, raising=False)
    assert "pixels differ by" in part_a.main(**options, only="1.1").read_text()
    with pytest.raises(UserError, match="ONLY=1.4"):
        part_a.main(**options)
