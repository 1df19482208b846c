"""Checkpoints as people have them: what is checked is what is opened, and the cause is named."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoint import SCHEDULER, write_json, write_tiny_checkpoint

import minidiff
from minidiff.cli import main
from minidiff.deepfloyd.embeddings import save_embeddings
from minidiff.errors import UserError
from minidiff.io.paths import weights_folder

UNET, T5 = "unet/diffusion_pytorch_model", "text_encoder/model"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_tiny_checkpoint(tmp_path / "tiny")


@pytest.fixture
def run(tiny, capsys):
    def run(*arguments):
        status = main([*arguments, "--device", "cpu"] if arguments[0] == "sample" else [*arguments])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


SAMPLE = ("sample", "a cat", "--weights", "tiny", "--steps", "1", "--scale", "1")


@pytest.mark.parametrize("part", [UNET, T5])
@pytest.mark.parametrize("damage", ["pointer", "cut", "empty", "web page"])
def test_the_whole_half_is_used_where_the_full_file_is_not(run, tiny, part, damage):
    half = tiny / f"{part}.fp16.safetensors"
    content = {
        "pointer": POINTER, "cut": half.read_bytes()[:-100], "empty": b"", "web page": b"<html>",
    }[damage]  # fmt: skip
    (tiny / f"{part}.safetensors").write_bytes(content)
    for command in (("weights", "check", "tiny"), SAMPLE):
        status, said = run(*command)
        assert status == 0, said
        assert f"until then {half.name} is used" in said


def test_check_and_loader_refuse_together(run, tiny):
    for name in (UNET, T5):
        (tiny / f"{name}.fp16.safetensors").write_bytes(POINTER)
    for command in (("weights", "check", "tiny"), SAMPLE):
        status, said = run(*command)
        assert status == 2
        assert "git-lfs pointer" in said


@pytest.mark.parametrize("name", ["8bit", "int8", "non_ema", "bf16", "8bit-00001-of-00002"])
def test_other_variants_are_not_taken_for_full_precision(run, tiny, name):
    whole = tiny / f"{T5}.fp16.safetensors"
    shutil.copy(whole, tiny / f"{T5}.{name}.safetensors")
    status, said = run(*SAMPLE)
    assert status == 0
    assert name not in said
    whole.unlink()
    for command in (("weights", "check", "tiny"), SAMPLE):
        status, said = run(*command)
        assert status == 2
        assert "fetch model.safetensors or model.fp16.safetensors" in said
        assert len(said) < 1500


def restore(path, change) -> None:
    tensors = load_file(path)
    save_file({key: x for old, y in tensors.items() for key, x in [change(old, y)]}, path)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8, torch.float64])
def test_dtypes_that_are_not_read_end_in_one_sentence(run, tiny, dtype):
    restore(tiny / f"{UNET}.fp16.safetensors", lambda key, x: (key, x.to(dtype)))
    status, said = run(*SAMPLE)
    assert status == 2
    assert "read here are F16, BF16, F32" in said
    assert len(said) < 500


@pytest.mark.parametrize("part", [UNET, T5])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "unet.", "model.diffusion."])
def test_prefixed_keys_name_the_prefix(run, tiny, part, prefix):
    restore(tiny / f"{part}.fp16.safetensors", lambda key, x: (prefix + key, x))
    status, said = run(*SAMPLE)
    assert status == 2
    assert repr(prefix) in said
    assert "fetch them again" not in said
    assert len(said) < 500


def test_a_wrapper_inside_the_keys_is_named(run, tiny):
    path = tiny / f"{UNET}.fp16.safetensors"
    restore(path, lambda key, x: (key.replace("_blocks.", "_blocks._orig_mod."), x))
    assert "'_orig_mod.'" in run(*SAMPLE)[1]


@pytest.mark.parametrize("name", ["DeepFloyd/IF-I-XL-v1.0", "IF-I-XL-v1.0", "if-i-m", "IF-I-L"])
@pytest.mark.parametrize("command", ["sample", "check"])
def test_a_models_name_is_told_how_to_be_fetched(run, name, command):
    arguments = ("weights", "check", name) if command == "check" else (*SAMPLE[:3], name)
    status, said = run(*arguments)
    assert status == 2
    assert "weights pull IF-I-" in said


def test_a_file_or_a_part_leads_to_the_folder_above(run, tiny):
    for path in (f"tiny/{UNET}.fp16.safetensors", "tiny/unet", "tiny/unet/config.json"):
        for arguments in (("weights", "check", path), (*SAMPLE[:3], path)):
            status, said = run(*arguments)
            assert status == 2
            assert f"give {tiny}" in said


@pytest.mark.parametrize("kind", ["fixed_small", "fixed_small_log", "fixed_large", "learned_range"])
def test_variances_of_fine_tuned_models_are_drawn(run, tiny, kind):
    write_json(tiny / "scheduler/scheduler_config.json", SCHEDULER | {"variance_type": kind})
    assert run(*SAMPLE)[0] == 0


def test_a_tokenizer_of_another_format_is_named(run, tiny):
    (tiny / "tokenizer/spiece.model").unlink()
    (tiny / "tokenizer/tokenizer.json").write_text("{}", encoding="utf-8")
    status, said = run(*SAMPLE)
    assert status == 2
    assert "only tokenizer.json, which is not read here" in said


def test_unet_and_scheduler_alone_serve_with_embeddings(run, tiny, tmp_path):
    states = minidiff.load(tiny, "cpu").encode(["a cat", ""])
    save_embeddings(dict(zip(["a cat", ""], states)), tmp_path / "e.safetensors")
    for part in ("tokenizer", "text_encoder"):
        shutil.rmtree(tiny / part)
    status, said = run("weights", "check", "tiny")
    assert status == 0
    assert "--weights tiny --embeddings FILE" in said
    assert run(*SAMPLE, "--embeddings", "e.safetensors")[0] == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("name", ["unet/config.json", "scheduler/scheduler_config.json"])
def test_json_with_a_byte_order_mark(run, tiny, encoding, name):
    path = tiny / name
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    assert run(*SAMPLE)[0] == 0


def test_the_demo_says_where_it_should_be(monkeypatch, tmp_path):
    monkeypatch.delenv("MINIDIFF_WEIGHTS", raising=False)
    monkeypatch.setattr("minidiff.io.paths.DEMO", tmp_path / "away")
    monkeypatch.setattr("minidiff.model.DEMO", tmp_path / "away")
    assert weights_folder() == tmp_path / "away"
    with pytest.raises(UserError, match="the demo is not where it should be"):
        minidiff.load()


def test_a_folder_around_checkpoints_names_the_stage_that_is_wanted(run, tmp_path):
    for name, unet in (("a-256", {"in_channels": 6}), ("b-64", {"in_channels": 3})):
        write_json(tmp_path / "both" / name / "unet" / "config.json", unet)
    write_json(tmp_path / "second" / "c" / "unet" / "config.json", {"in_channels": 6})
    first = "both is no checkpoint, but it holds one of the first stage: give both/b-64\n"
    for command, says in [
        (("sample", "cat", "--weights", "both"), first),
        (("names", "fish", "--weights", "both"), first),
        ((*SAMPLE, "--upscale", "--weights-2", "both"), "of the second stage: give both/a-256\n"),
        (("weights", "check", "both"), "holds 2: give both/a-256 or both/b-64\n"),
        (("sample", "cat", "--weights", "second"), "only second ones (second/c): give the folder"),
    ]:
        status, said = run(*command)
        assert status == 2
        assert says in said
