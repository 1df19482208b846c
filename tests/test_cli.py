"""The command line: files that are right, help that is quick, one sentence for bad input."""

import re
import subprocess
import sys
from importlib import import_module
from inspect import signature

import pytest
import torch
from PIL import Image, ImageDraw
from tiny_checkpoint import write_tiny_checkpoint

from minidiff.cli import main
from minidiff.cli.options import seeds
from minidiff.cli.verbs import VERBS
from minidiff.errors import UserError
from minidiff.figures.grids import read_png_text
from minidiff.io.paths import ROOT
from minidiff.views import VIEWS


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture
def run(tiny, tmp_path, monkeypatch, capsys):
    """run("sample", "a cat") -> status, what was printed, what was complained about."""
    monkeypatch.setenv("MINIDIFF_WEIGHTS", str(tiny))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str):
        status = main([*arguments, "--device", "cpu"] if len(arguments) > 1 else list(arguments))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def photo(tmp_path):
    image = Image.linear_gradient("L").convert("RGB")
    image.save(tmp_path / "photo.png")
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).rectangle((64, 64, 191, 191), fill=255)
    mask.save(tmp_path / "mask.png")
    return image


FEW = ("--steps", "3", "--scale", "1")


def pixels(path) -> torch.Tensor:
    with Image.open(path) as image:
        return torch.tensor(list(image.convert("RGB").getdata())).float()


# --- drawing ----------------------------------------------------------------------------------


def test_sample_writes_a_picture_for_every_prompt_and_seed(run, tmp_path):
    status, out, _ = run("sample", "a cat", "a dog", "--seeds", "3,5-6", *FEW)
    assert status == 0
    files = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert files == sorted(
        f"sample-a-{pet}-seed{n}.png" for pet in ("cat", "dog") for n in (3, 5, 6)
    )
    assert out.count("wrote out/") == 6
    text = read_png_text(tmp_path / "out/sample-a-cat-seed5.png")
    assert text == {
        "prompt": "a cat", "seed": "5", "steps": "3", "guidance": "7.0", "weights": "tiny",
        "sampler": "ddpm", "spacing": "leading", "limit": "threshold",
    }  # fmt: skip


def test_a_picture_that_was_drawn_in_another_way_is_not_replaced_in_silence(run, tmp_path):
    path = tmp_path / "out/sample-a-cat-seed180.png"
    path.parent.mkdir()
    path.write_bytes(b"no picture")
    assert "is replaced" not in run("sample", "a cat", *FEW)[2]
    assert "is replaced" not in run("sample", "a cat", *FEW)[2]
    said = run("sample", "a cat", *FEW, "--guidance", "3", "--eta", "0", "--sampler", "ddim")[2]
    assert "out/sample-a-cat-seed180.png is replaced, which was drawn with" in said
    assert "guidance 7.0" in said and "sampler ddpm" in said and "seed" not in said.split("with")[1]
    assert read_png_text(path)["guidance"] == "3.0"


def test_processes_share_the_pictures_out(run, tmp_path, monkeypatch):
    run("sample", "a cat", "--seeds", "0-4", *FEW, "--out", "alone")
    monkeypatch.setenv("WORLD_SIZE", "2")
    drawn = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        drawn.append(run("sample", "a cat", "--seeds", "0-4", *FEW, "--out", "shared")[1])
    assert [text.count(".png") for text in drawn] == [3, 2]
    for path in (tmp_path / "alone").iterdir():
        assert (pixels(path) - pixels(tmp_path / "shared" / path.name)).abs().max() <= 2


@pytest.mark.parametrize(
    "variables", [{"RANK": "x"}, {"RANK": "1"}, {"WORLD_SIZE": "0"}, {"RANK": "-1"}]
)
def test_a_team_that_cannot_be_draws_nothing(run, tmp_path, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run("sample", "a cat", *FEW)[0] == 2
    assert not list(tmp_path.rglob("*.png"))


def test_each_picture_is_drawn_once(run):
    assert run("sample", "a cat", "a cat", *FEW)[1].count("wrote ") == 1


def test_a_picture_does_not_depend_on_its_batch(run, tmp_path):
    run("sample", "a cat", "a dog", "--seeds", "0-2", *FEW, "--out", "one", "--batch", "1")
    run("sample", "a dog", "a cat", "--seeds", "2,1,0", *FEW, "--out", "all")
    for path in (tmp_path / "one").iterdir():
        assert (pixels(path) - pixels(tmp_path / "all" / path.name)).abs().max() <= 2


def test_the_same_command_writes_the_same_bytes(run, tmp_path):
    for out in ("first", "second"):
        run("sample", "a cat", *FEW, "--out", out, "--gif")
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_edit_begins_at_every_strength(run, photo, tmp_path):
    arguments = ("edit", "photo.png", "a cat", "--steps", "10", "--scale", "1")
    assert run(*arguments, "--strength", "1", "0.5", "0.1")[0] == 0
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {f"edit-photo-from-{i}-a-cat-seed180.png" for i in (0, 5, 9)}
    original = pixels(tmp_path / "photo.png").view(256, 256, 3)[::4, ::4].reshape(-1, 3)
    distances = [
        (pixels(tmp_path / f"out/edit-photo-from-{i}-a-cat-seed180.png") - original).abs().mean()
        for i in (0, 5, 9)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 12
    assert run(*arguments, "--i-start", "5", "--out", "same")[0] == 0
    same = tmp_path / "same/edit-photo-from-5-a-cat-seed180.png"
    assert (pixels(same) - pixels(tmp_path / "out" / same.name)).abs().max() <= 2


@pytest.mark.parametrize("steps", ["4", "course"])
def test_inpaint_keeps_what_is_not_masked(run, photo, tmp_path, steps):
    arguments = ("--steps", steps, "--scale", "1")
    assert run("inpaint", "photo.png", "mask.png", "a cat", *arguments)[0] == 0
    drawn = pixels(tmp_path / "out/inpaint-photo-a-cat-seed180.png").view(64, 64, 3)
    small = photo.resize((64, 64), Image.Resampling.BICUBIC)
    change = (drawn - torch.tensor(list(small.getdata())).view(64, 64, 3)).abs().amax(-1)
    assert change[16:48, 16:48].mean() > 20
    change[15:49, 15:49] = 0
    # The course's walk ends at t = 0, where a trace of noise is left: abar_0 = 0.99996.
    assert change.max() <= (1 if steps == "4" else 6)


@pytest.mark.parametrize("verb", ["anagram", "hybrid"])
def test_two_readings(run, tmp_path, verb):
    assert run(verb, "a cat", "a dog", *FEW, "--gif", "--negative", "a blur")[0] == 0
    (still, *turned), (film,) = (
        sorted((tmp_path / "out").glob(kind)) for kind in ("*.png", "*.gif")
    )
    if turned:  # "-turned.png" stands before ".png"
        still, (turned,) = turned[0], [still]
        seen, hung = (pixels(file).view(64, 64, 3) for file in (turned, still))
        assert torch.equal(seen, hung.flip(0))
        with Image.open(film) as frames:
            assert frames.n_frames > 10  # the walk's few, and then it turns
    assert bool(turned) == (verb == "anagram")
    text = read_png_text(still)
    assert (text["prompt"], text["negative"]) == ("a cat | a dog", "a blur")


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sample"], "required: prompt"),
        (["nonsense"], "invalid choice"),
        (["sample", ""], "says nothing"),
        (["sample", "###"], "says nothing"),
        (["sample", "cat " * 100], "100 tokens and 76 fit"),
        (["sample", "a cat", "--steps", "0"], "1 to 1000, not 0"),
        (["sample", "a cat", "--level", "100"], "say --upscale"),
        (["edit", "photo.png", "a cat", "--steps-2", "5"], "say --upscale"),
        (["hybrid", "a cat", "a dog", "--weights-2", "x"], "say --upscale"),
        (["sample", "a cat", "--steps", "1001"], "1 to 1000, not 1001"),
        (["sample", "a cat", "--steps", "-5"], "steps"),
        (["sample", "a cat", "--steps", "many"], "no timestep list"),
        (["sample", "a cat", "--guidance", "nan"], "finite number, not nan"),
        (["sample", "a cat", "--guidance", "inf"], "finite number, not inf"),
        (["sample", "a cat", "--seeds", "-1"], "seeds"),
        (["sample", "a cat", "--seeds", ""], "seeds are whole numbers"),
        (["sample", "a cat", "--seeds", "5-3"], "seeds are whole numbers"),
        (["sample", "a cat", "--seeds", "0-999999999"], "more than 10000 seeds"),
        (["sample", "a cat", "--seeds", str(2**63)], f"a seed is at most {2**63 - 1}"),
        (["sample", "a cat", "--seeds", "9" * 5000], f"a seed is at most {2**63 - 1}, and 99"),
        (["sample", "a cat", "--batch", "0"], "at least 1 picture"),
        (["sample", "a cat", "--scale", "0"], "1 to 32 times"),
        (["sample", "a cat", "--dtype", "fp8"], "fp32, fp16, bf16"),
        (["sample", "a cat", "--weights", "nowhere"], "there is no folder nowhere"),
        (["sample", "a cat", "--out", "photo.png"], "photo.png"),
        (["edit", "absent.png", "a cat"], "there is no file absent.png: check the"),
        (["edit", "a cat", "photo.png"], "the order is picture, prompt: 'photo.png', in the"),
        (["inpaint", "photo.png", "a cat", "mask.png"], "the order is picture, mask, prompt"),
        (["inpaint", "a cat", "photo.png", "mask.png"], "is a file, and 'a cat' is none"),
        (["edit", "https://example.com/a.png", "a cat"], "https://example.com/a.png is an address"),
        (["edit", ".", "a cat"], ". is a folder: give a picture"),
        (["edit", "photo.png", "a cat", "--strength", "0"], "strength must be above 0"),
        (["edit", "photo.png", "a cat", "--strength", "1.5"], "strength must be above 0"),
        (["edit", "photo.png", "a cat", "--strength", "nan"], "strength must be above 0"),
        (["edit", "photo.png", "a cat", "--strength", "70%"], "say 0.7 for 70%"),
        (["edit", "photo.png", "a cat", "--strength", "0.5,x"], "0.3,0.7, not '0.5,x'"),
        (["edit", "photo.png", "a cat", "--strength", "150%"], "percentage: above 0 and up to 1"),
        (["edit", "photo.png", "--i-start", "1", "7"], "required: prompt, before --strength and"),
        (["edit", "--strength", "0.1", "photo.png", "a cat"], "the picture and the prompt come b"),
        (["edit", "photo.png", "--i-start", "1", "a cat"], "the picture and the prompt come bef"),
        (["edit", "photo.png", "a cat", "--i-start", "1.5"], "such as 1,3,5, not '1.5'"),
        (["edit", "photo.png", "a cat", "--i-start", "33"], "i_start must be 0 to 32"),
        (["edit", "photo.png", "a cat", "--i-start", "-1"], "i_start must be"),
        (["inpaint", "photo.png", "black.png", "a cat"], "marks nothing"),
        (["inpaint", "photo.png", "small.png", "a cat"], "make the mask the picture's size"),
        (["anagram", "a cat", "a dog", "--view", "blur"], "no view is called 'blur'"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(run, photo, tmp_path, arguments, says):
    Image.new("L", (256, 256)).save(tmp_path / "black.png")
    Image.new("L", (64, 64), 255).save(tmp_path / "small.png")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    status, out, err = run(*arguments)
    assert status == 2
    assert says in err
    assert err.startswith("minidiff: ")
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_seeds():
    assert seeds("180") == [180]
    assert seeds("0-3,2,9") == [0, 1, 2, 3, 9]
    assert seeds(f"{2**63 - 1}") == [2**63 - 1]
    with pytest.raises(UserError):
        seeds("1,,2")


def test_places_and_shares_go_by_commas_too(monkeypatch):
    seen = []
    monkeypatch.setattr("minidiff.cli.draw.edit", lambda **given: seen.append(given))
    main(["edit", "a.png", "a cat", "--i-start", "1,3", "5"])
    main(["edit", "a.png", "a cat", "--strength", "0.3,0.5", "1"])
    assert seen[0]["i_start"] == [1, 3, 5]
    assert seen[1]["strength"] == [0.3, 0.5, 1.0]


@pytest.mark.parametrize("name", VERBS)
def test_usage_begins_with_what_has_no_dashes(capsys, name):
    with pytest.raises(SystemExit):
        main([*name.split(), "--help"])
    usage = capsys.readouterr().out.splitlines()[0].partition(f" {name}")[2].split()
    plain = [names[0] for names, _ in VERBS[name].options if not names[0].startswith("-")]
    assert len([word for word in usage if "..." not in word and word != "[options]"]) >= len(plain)
    assert not any("--" in word for word in usage)
    assert "[options]" not in usage[:-1]


def test_full_disks_and_full_memory_are_one_sentence(run, monkeypatch):
    for error, says in [
        (OSError(28, "No space left on device", "a.png"), "No space left on device: a.png; free"),
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (KeyboardInterrupt(), "interrupted"),
    ]:
        monkeypatch.setattr("minidiff.cli.draw.sample", lambda error=error, **_: throw(error))
        status, _, err = run("sample", "a cat")
        assert status == (130 if isinstance(error, KeyboardInterrupt) else 2)
        assert says in err


def throw(error):
    raise error


def test_a_message_stays_on_its_line(run, monkeypatch):
    error = UserError("a\nb\x1b[2Jc\ud800")
    monkeypatch.setattr("minidiff.cli.draw.sample", lambda **_: throw(error))
    assert run("sample", "a cat")[2] == "minidiff: a b [2Jc \n"


def test_our_own_errors_keep_their_traceback(run, monkeypatch):
    monkeypatch.setattr("minidiff.cli.draw.sample", lambda **_: throw(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        run("sample", "a cat")


# --- the program itself -----------------------------------------------------------------------


def python(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_needs_no_torch():
    code = (
        "import sys, minidiff.cli as cli\n"
        "cli.make_parser().format_help()\n"
        "print('torch' in sys.modules)"
    )
    assert python("-c", code).stdout.strip() == "False"
    done = python("-m", "minidiff", "--help")
    assert done.returncode == 0
    assert all(verb.split()[0] in done.stdout for verb in VERBS)


def test_every_verb_has_help_and_a_function():
    for name, verb in VERBS.items():
        module, function = verb.function.split(":")
        takes = signature(getattr(import_module(module), function)).parameters.values()
        if not any(p.kind is p.VAR_KEYWORD for p in takes):
            given = {names[0].lstrip("-").replace("-", "_") for names, _ in verb.options}
            assert given <= {p.name for p in takes}
        assert verb.example.startswith(name)
        with pytest.raises(SystemExit) as caught:
            main([*name.split(), "--help"])
        assert caught.value.code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sample", "a cat", "--sedds", "3"], "takes no --sedds 3 (is it --seeds?); `python -m"),
        (["sample", "a cat", "--stpes=3"], "takes no --stpes=3 (is it --steps?)"),
        (["weights", "check", "a", "b"], "weights check takes no b; `python -m minidiff weights c"),
        (["sample"], "required: prompt; `python -m minidiff sample --help` shows how"),
    ],
)
def test_words_that_no_verb_takes(capsys, arguments, says):
    assert main(arguments) == 2
    assert says in capsys.readouterr().err


def test_help_knows_all_views():
    view = next(kw for names, kw in VERBS["anagram"].options if names[0] == "--view")
    listed = re.findall(r"[a-z]+\d*", re.sub(r"default:|; or|\(.*\)", "", view["help"]))
    assert {*listed, "identity"} == set(VIEWS)
