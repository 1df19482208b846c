"""Text states from a file: the course's pickle and safetensors, right or refused."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from tiny_checkpoint import write_tiny_checkpoint

import minidiff
from minidiff.cli import main
from minidiff.course import rows
from minidiff.deepfloyd.embeddings import read_embeddings, save_embeddings
from minidiff.errors import UserError
from minidiff.figures.grids import read_png_text

PROMPTS = ["a photo of a dog", "a rocket ship", "a pencil", ""]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture
def course_file(tmp_path):
    """As the course gives it: a dict of (1, 77, 4096) half-precision tensors."""
    torch.manual_seed(0)
    path = tmp_path / "prompt_embeds_dict.pth"
    torch.save({prompt: torch.randn(1, 77, 4096).half() for prompt in PROMPTS}, path)
    return path


def test_the_courses_file_opens_and_converts(course_file, tmp_path, capsys):
    found = read_embeddings(course_file)
    assert list(found) == PROMPTS
    assert {tuple(x.shape) for x in found.values()} == {(77, 4096)}
    target = tmp_path / "embeddings.safetensors"
    assert main(["convert", str(course_file), str(target)]) == 0
    assert "'a rocket ship'" in capsys.readouterr().out
    again = read_embeddings(target)
    assert all(torch.equal(again[prompt], found[prompt]) for prompt in PROMPTS)


def test_drawing_from_a_file_equals_drawing_with_the_encoder(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIDIFF_WEIGHTS", str(tiny))
    few = ["--steps", "2", "--scale", "1", "--device", "cpu"]
    assert main(["encode", "a photo of a dog", "--out", "dog.safetensors"]) == 0
    assert main(["sample", "a photo of a dog", *few, "--out", "with"]) == 0
    bare = write_tiny_checkpoint(tmp_path / "tiny")
    for part in ("text_encoder", "tokenizer"):
        for file in (bare / part).iterdir():
            file.unlink()
    monkeypatch.setenv("MINIDIFF_WEIGHTS", str(bare))
    command = ["sample", "a photo of a dog", *few, "--out", "without"]
    assert main([*command, "--embeddings", "dog.safetensors"]) == 0
    name = "sample-a-photo-of-a-dog-seed180.png"
    assert read_png_text(tmp_path / "with" / name) == read_png_text(tmp_path / "without" / name)
    assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()


def test_the_environment_names_a_file(tiny, tmp_path, monkeypatch):
    path = save_embeddings({"": torch.zeros(77, 32)}, tmp_path / "none.safetensors")
    monkeypatch.setenv("MINIDIFF_EMBEDDINGS", str(path))
    model = minidiff.load(tiny, "cpu", torch.bfloat16)
    assert torch.equal(model.encode([""]), torch.zeros(1, 77, 32, dtype=torch.bfloat16))
    model.encode.free()


def test_encode_uses_the_folders_own_encoder(tiny, tmp_path, monkeypatch):
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    assert main(["encode", "a cat", "--weights", str(tiny), "--out", str(one)]) == 0
    monkeypatch.setenv("MINIDIFF_EMBEDDINGS", str(one))
    assert main(["encode", "a dog", "--weights", str(tiny), "--out", str(two)]) == 0
    assert set(read_embeddings(two)) == {"a dog", ""}


def test_a_text_is_not_a_list_of_letters(tiny, course_file):
    for model in (minidiff.load(tiny, "cpu"), minidiff.load(tiny, "cpu", embeddings=course_file)):
        with pytest.raises(UserError, match="list of texts"):
            model.encode("a cat")


def test_as_many_prompts_as_pictures(tiny):
    model = minidiff.load(tiny, "cpu")
    with pytest.raises(UserError, match="one for each of 1 pictures, not 2"):
        rows(model, model.encode(["a cat", "a dog"]), 1)


def test_an_unknown_prompt_names_the_nearest(tiny, course_file):
    model = minidiff.load(tiny, "cpu", embeddings=course_file)
    with pytest.raises(UserError, match="'a photo of a dog'") as caught:
        model.encode(["a photo of a god"])
    assert "4 prompts in all" in str(caught.value)
    with pytest.raises(UserError, match=r"must be \(prompts, tokens, 32\)"):
        model.unet.prepare(model.encode(["a pencil"]))


class Evil:
    def __reduce__(self):
        return print, ("this must never be printed",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_refused(tmp_path, capsys, protocol):
    torch.save({"a": torch.zeros(1, 77, 8), "b": Evil()}, tmp_path / "new.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"b": Evil()}, protocol))
    torch.save(Evil(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("new.pth", "plain.pth", "old.pth"):
        with pytest.raises(UserError, match="was not opened"):
            read_embeddings(tmp_path / name)
    assert "never" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        {},
        [torch.zeros(1, 77, 8)],
        {"a": torch.zeros(1, 76, 8)},
        {"a": torch.zeros(2, 77, 8)},
        {"a": torch.zeros(77)},
        {"a": torch.zeros(77, 8, dtype=torch.int64)},
        {"a": torch.full((77, 8), float("nan"))},
        {"a": "text"},
        {3: torch.zeros(77, 8)},
        {"a": torch.zeros(77, 8), "b": torch.zeros(77, 16)},
    ],
)
def test_contents_that_are_no_embeddings(tmp_path, content):
    torch.save(content, tmp_path / "wrong.pth")
    with pytest.raises(UserError):
        read_embeddings(tmp_path / "wrong.pth")


def test_damaged_files(tmp_path, course_file):
    whole = course_file.read_bytes()
    for size in (0, 10, 1000, len(whole) // 2, len(whole) - 1):
        course_file.write_bytes(whole[:size])
        with pytest.raises(UserError):
            read_embeddings(course_file)
    for name in ("absent.pth", "absent.safetensors"):
        with pytest.raises(UserError, match="there is no file"):
            read_embeddings(tmp_path / name)
    save_file({"a": torch.zeros(3)}, tmp_path / "short.safetensors")
    with pytest.raises(UserError, match="shape"):
        read_embeddings(tmp_path / "short.safetensors")


def test_the_target_must_be_safetensors(course_file, capsys):
    assert main(["convert", str(course_file), "x.pth"]) == 2
    assert "must end in .safetensors" in capsys.readouterr().err
