"""`weights check`: every kind of folder a student may point at, recognised and named."""

import json
import shutil

import pytest
from tiny_checkpoint import write_json, write_tiny_checkpoint, write_tiny_second

import minidiff
from minidiff.cli import main
from minidiff.errors import UserError
from minidiff.io.paths import DEMO
from minidiff.weights.known import name_of, repository

UNET_FILE = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture
def tiny(tmp_path):
    return write_tiny_checkpoint(tmp_path / "tiny")


@pytest.fixture
def check(capsys):
    def check(folder):
        status = main(["weights", "check", str(folder)])
        said = capsys.readouterr()
        return status, said.out + said.err

    return check


def test_a_whole_checkpoint(check, tiny):
    status, text = check(tiny)
    assert status == 0
    for words in ("63,414 parameters, float16", "2148 ids", "fits", f"make part-a WEIGHTS={tiny}"):
        assert words in text


def test_the_demo(check):
    assert check(DEMO)[0] == 0


@pytest.mark.parametrize(
    ("widths", "name"),
    [
        ([192, 384, 576, 768], "IF-I-M, stage I"),
        ([320, 640, 960, 1280], "IF-I-L, stage I"),
        ([704, 1408, 2112, 2816], "IF-I-XL, stage I"),
        ([8, 16], "a stage I model of widths [8, 16], none of the official ones"),
        (None, "a stage I model of widths None, none of the official ones"),
    ],
)
def test_models_by_name(widths, name):
    assert name_of({"block_out_channels": widths}) == name


def test_names_of_repositories():
    for name in ("IF-I-L", "if-i-l", "IF-I-L-v1.0"):
        assert repository(name) == "DeepFloyd/IF-I-L-v1.0"
    assert repository("somebody/model") == "somebody/model"


@pytest.mark.parametrize("text_alone", [True, False])
def test_a_second_stage_and_what_it_belongs_to(check, tiny, text_alone):
    second = write_tiny_second(tiny.parent / "second", text_alone=text_alone)
    status, text = check(second)
    assert status == 0
    assert "a stage II model" in text and "fits" in text
    assert f"{'without' if text_alone else 'with'} self-attention" in text
    assert f"--weights {tiny} --weights-2 {second}" in text


def test_a_second_stage_alone_or_with_another_noise(check, tmp_path):
    second = write_tiny_second(tmp_path / "second")
    assert "next: a first stage" in check(second)[1]
    noising = second / "image_noising_scheduler/scheduler_config.json"
    write_json(noising, {"beta_schedule": "linear"})
    status, text = check(second)
    assert status == 2 and "beta_schedule is 'linear'" in text and "(noising)" in text
    noising.unlink()
    assert check(second)[0] == 0


def test_what_is_missing_or_broken(check, tiny):
    shutil.rmtree(tiny / "text_encoder")
    status, text = check(tiny)
    assert status == 0
    assert "--embeddings FILE" in text
    (tiny / "scheduler/scheduler_config.json").unlink()
    (tiny / UNET_FILE).write_text("version https://git-lfs.github.com/spec/v1")
    status, text = check(tiny)
    assert status == 2
    assert "git-lfs pointer" in text
    assert "(unet, scheduler)" in text


def test_an_unfinished_download(check, tiny):
    (tiny / "unet/diffusion_pytorch_model.fp16.safetensors.incomplete").write_bytes(b"")
    assert "was broken off" in check(tiny)[1]


def test_folders_of_another_kind(check, tiny, tmp_path):
    original = tmp_path / "original"
    original.mkdir()
    (original / "config.yml").write_text("")
    (original / "pytorch_model.bin").write_text("")
    empty = tmp_path / "empty"
    empty.mkdir()
    part = tmp_path / "IF-I-L-v1.0.part"
    part.mkdir()
    for folder, says in [
        (original, "the original release's format"),
        (empty, "is empty"),
        (part, "a pull that is not done"),
        (tiny / "unet", f"give {tiny} instead"),
        (tiny.parent, f"give {tiny}"),
        (tmp_path / "IF-I-L-v1.0", "weights pull IF-I-L`"),
        (tmp_path / "nowhere", "there is no folder"),
    ]:
        status, text = check(folder)
        assert status == 2
        assert says in text


# --- manifests --------------------------------------------------------------------------------


def test_a_manifest_finds_a_flipped_bit(check, tiny):
    assert main(["weights", "seal", str(tiny)]) == 0
    assert "have their SHA-256" in check(tiny)[1]
    minidiff.load(tiny, "cpu")
    path = tiny / UNET_FILE
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    status, text = check(tiny)
    assert status == 2
    assert f"{UNET_FILE} has changed" in text
    with pytest.raises(UserError, match="is not as its manifest.json says"):
        minidiff.load(tiny, "cpu")


def test_a_manifest_finds_missing_and_longer_files(tiny):
    main(["weights", "seal", str(tiny)])
    (tiny / "tokenizer/tokenizer_config.json").unlink()
    with open(tiny / "tokenizer/spiece.model", "ab") as file:
        file.write(b"x")
    message = r"spiece.model has .*; tokenizer/tokenizer_config.json is missing"
    with pytest.raises(UserError, match=message):
        minidiff.load(tiny, "cpu")


@pytest.mark.parametrize("content", [{}, {"files": 3}, {"files": {"a": {}}}, {"files": {"a": 1}}])
def test_a_damaged_manifest(check, tiny, content):
    (tiny / "manifest.json").write_text(json.dumps(content))
    assert "manifest.json is damaged" in check(tiny)[1]


def test_only_checkpoints_are_sealed(tmp_path):
    assert main(["weights", "seal", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []
