"""Opening a checkpoint: every official way to lay it out, and one sentence for every fault."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoint import SCHEDULER, UNET, write_json, write_tiny_checkpoint

import minidiff
from minidiff.deepfloyd.streaming import StreamedT5
from minidiff.deepfloyd.t5 import T5Encoder
from minidiff.deepfloyd.text import TextEncoder
from minidiff.errors import UserError
from minidiff.io.paths import DEMO, weights_folder

UNET_FILE = "unet/diffusion_pytorch_model.fp16.safetensors"
T5_FILE = "text_encoder/model.fp16.safetensors"


@pytest.fixture
def tiny(tmp_path):
    return write_tiny_checkpoint(tmp_path / "tiny")


def weights_of(model) -> dict:
    _, encoder = model.encode.load()
    return {**model.unet.state_dict(), **encoder.state_dict()}


def same(a, b) -> bool:
    a, b = weights_of(a), weights_of(b)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# --- what opens -------------------------------------------------------------------------------


def test_what_a_checkpoint_offers(tiny):
    model = minidiff.load(tiny, device="cpu")
    assert (model.name, model.dtype, model.device.type) == ("tiny", torch.float32, "cpu")
    assert (model.sample_size, model.threshold_ratio, model.threshold_max) == (64, 0.95, 1.5)
    assert len(model.schedule) == 1000
    text = model.encode(["a cat", ""])
    assert text.shape == (2, 77, 32)
    out = model.unet(torch.zeros(2, 3, 64, 64), 500, text)
    assert out.shape == (2, 6, 64, 64)
    assert bool(out.isfinite().all())
    assert not any(p.requires_grad for p in model.unet.parameters())


def test_weights_are_those_of_the_file(tiny):
    stored = load_file(tiny / UNET_FILE)
    loaded = minidiff.load(tiny, device="cpu").unet.state_dict()
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(loaded[key], stored[key].float()) for key in stored)


def test_encoding_does_not_depend_on_the_batch_or_on_freeing(tiny):
    model = minidiff.load(tiny, device="cpu")
    both = model.encode(["a cat", "a dog on a hill"])
    model.encode.free()
    assert torch.allclose(model.encode(["a dog on a hill"]), both[1:], atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_shards_load_like_one_file(tiny, tmp_path, dtype):
    whole = write_tiny_checkpoint(tmp_path / "whole", dtype=dtype)
    sharded = write_tiny_checkpoint(tmp_path / "sharded", shards=3, dtype=dtype)
    assert same(minidiff.load(whole, "cpu"), minidiff.load(sharded, "cpu"))


def rename(folder, old: str, new: str) -> None:
    for path in list(folder.rglob("*")):
        if old in path.name:
            path.rename(path.with_name(path.name.replace(old, new)))
    for index in folder.rglob("*.index*.json"):
        index.write_text(index.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (".safetensors.index.json", ".safetensors.index.fp16.json"),
        (".fp16-00001-of-00002", "-00001-of-00002.fp16"),
        (".fp16", ""),
    ],
)
def test_every_placement_of_the_variant_is_found(tmp_path, old, new):
    expected = write_tiny_checkpoint(tmp_path / "whole")
    folder = write_tiny_checkpoint(tmp_path / "named", shards=2)
    rename(folder, old, new)
    assert same(minidiff.load(folder, "cpu"), minidiff.load(expected, "cpu"))


def test_complete_shards_need_no_index(tmp_path):
    folder = write_tiny_checkpoint(tmp_path / "tiny", shards=2)
    expected = weights_of(minidiff.load(folder, "cpu"))
    for index in folder.rglob("*.index.json"):
        index.unlink()
    found = weights_of(minidiff.load(folder, "cpu"))
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    next(folder.glob("unet/*-00002-of-*")).unlink()
    with pytest.raises(UserError, match="not one complete set"):
        minidiff.load(folder, "cpu")


def test_fp32_prefers_the_full_precision_files(tiny, tmp_path):
    full = write_tiny_checkpoint(tmp_path / "full", dtype=torch.float32)
    shutil.copy(full / "unet/diffusion_pytorch_model.safetensors", tiny / "unet")
    exact = minidiff.load(tiny, "cpu").unet.conv_in.weight
    rounded = minidiff.load(tiny, "cpu", torch.bfloat16).unet.conv_in.weight
    assert torch.equal(exact, minidiff.load(full, "cpu").unet.conv_in.weight)
    assert torch.equal(rounded, exact.half().bfloat16())


def test_fp16_keeps_the_feed_forward_output_wide(tiny):
    model = minidiff.load(tiny, "cpu", torch.float16)
    dtypes = {key: p.dtype for key, p in weights_of(model).items()}
    assert {key for key, kind in dtypes.items() if kind == torch.float32} == {
        f"encoder.block.{i}.layer.1.DenseReluDense.wo.weight" for i in (0, 1)
    }
    assert model.encode(["a cat"]).dtype == torch.float16


@pytest.mark.parametrize("names", [["encoder.embed_tokens.weight"], ["shared.weight"], None])
def test_the_embedding_table_has_two_names(tiny, names):
    expected = minidiff.load(tiny, "cpu").encode(["a cat"])
    tensors = load_file(tiny / T5_FILE)
    table = tensors.pop("shared.weight")
    names = names or ["shared.weight", "encoder.embed_tokens.weight"]
    save_file(tensors | {name: table.clone() for name in names}, tiny / T5_FILE)
    assert torch.equal(minidiff.load(tiny, "cpu").encode(["a cat"]), expected)


def test_which_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIDIFF_WEIGHTS", raising=False)
    assert weights_folder() == DEMO
    monkeypatch.setenv("MINIDIFF_WEIGHTS", "mine")
    assert str(weights_folder()) == "mine"
    assert str(weights_folder("other")) == "other"


def test_the_demo_opens_and_draws_numbers():
    model = minidiff.load(DEMO, "cpu")
    assert model.sample_size == 64
    assert model.encode(["a red apple"]).shape[1] == 77


# --- what does not open -----------------------------------------------------------------------


def fails(folder, match: str) -> str:
    """The one sentence, whether the header or the data is at fault."""
    with pytest.raises(UserError, match=match) as caught:
        weights_of(minidiff.load(folder, "cpu"))
    return str(caught.value)


def test_all_faults_stand_in_one_message(tiny):
    tensors = load_file(tiny / UNET_FILE)
    del tensors["conv_in.bias"], tensors["conv_out.bias"]
    tensors["conv_in.weight"] = torch.zeros(8, 4, 3, 3)
    tensors["extra.one"], tensors["extra.two"] = torch.zeros(1), torch.zeros(1)
    tensors["conv_norm_out.bias"] = torch.zeros(8, dtype=torch.int64)
    save_file(tensors, tiny / UNET_FILE)
    message = fails(tiny, "2 missing")
    for words in ("conv_in.bias", "conv_out.bias", "extra.one", "extra.two", "(8, 4, 3, 3)", "I64"):
        assert words in message
    assert "(8, 3, 3, 3)" in message


@pytest.mark.parametrize("part", [UNET_FILE, T5_FILE])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_none(tiny, part, bad):
    tensors = load_file(tiny / part)
    key = sorted(tensors)[3]
    tensors[key].view(-1)[0] = bad
    save_file(tensors, tiny / part)
    assert key in fails(tiny, "NaN or infinite")


def test_too_large_for_half_precision(tmp_path):
    folder = write_tiny_checkpoint(tmp_path / "wide", dtype=torch.float32)
    path = folder / "unet/diffusion_pytorch_model.safetensors"
    save_file(load_file(path) | {"conv_in.bias": torch.full((8,), 1e6)}, path)
    assert minidiff.load(folder, "cpu").unet.conv_in.bias[0] == 1e6
    with pytest.raises(UserError, match="needs? dtype float32"):
        minidiff.load(folder, "cpu", torch.float16).unet  # noqa: B018


@pytest.mark.parametrize("keep", [0, 4, 100, 20_000])
def test_a_cut_file(tiny, keep):
    path = tiny / UNET_FILE
    path.write_bytes(path.read_bytes()[:keep])
    fails(tiny, "not a whole safetensors file")


def test_a_pointer_a_pickle_and_nothing(tiny):
    (tiny / UNET_FILE).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    fails(tiny, "git-lfs pointer")
    (tiny / UNET_FILE).unlink()
    fails(tiny, r"has no diffusion_pytorch_model\[.fp16\].safetensors \(found none\)")
    (tiny / "unet/diffusion_pytorch_model.fp16.bin").write_bytes(b"\x80\x02")
    fails(tiny, "only pickled weights")


def test_wrong_folders(tiny, tmp_path, monkeypatch):
    fails(tmp_path / "absent", "there is no folder")
    fails(tiny / "unet", "one part of a checkpoint")
    fails(tmp_path, "holds one: give")
    (tiny / "text_encoder/config.json").unlink()
    fails(tiny, "text_encoder/config.json cannot be read")


@pytest.mark.parametrize(
    "weight_map",
    [
        {"conv_in.weight": "../unet/diffusion_pytorch_model.fp16.safetensors"},
        {"conv_in.weight": "/etc/passwd"},
        {"conv_in.weight": ""},
        {"conv_in.weight": 3},
        {"conv_in.weight": "absent.safetensors"},
        {},
        [],
    ],
)
def test_an_index_names_files_beside_it(tiny, weight_map):
    write_json(
        tiny / "unet/diffusion_pytorch_model.safetensors.index.json", {"weight_map": weight_map}
    )
    rename(tiny / "unet", ".safetensors.index.json", ".fp16.safetensors.index.json")
    fails(tiny, "index.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"a": 1} x', "\x00"])
@pytest.mark.parametrize("file", ["unet/config.json", "scheduler/scheduler_config.json"])
def test_json_that_is_none(tiny, file, text):
    (tiny / file).write_text(text)
    fails(tiny, "config.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("beta_schedule", "linear"),
        ("variance_type", "learned"),
        ("variance_type", ["fixed_small"]),
        ("prediction_type", "v_prediction"),
        ("thresholding", 1),
        ("clip_sample", "yes"),
        ("clip_sample_range", 0),
        ("timestep_spacing", "karras"),
        ("steps_offset", -1),
        ("steps_offset", 0.5),
        ("rescale_betas_zero_snr", True),
        ("dynamic_thresholding_ratio", 2),
        ("sample_max_value", "1.5"),
        ("sample_max_value", float("nan")),
        ("num_train_timesteps", 100),
    ],
)
def test_another_scheduler(tiny, key, value):
    write_json(tiny / "scheduler/scheduler_config.json", {**SCHEDULER, key: value})
    fails(tiny, key)


def test_what_the_scheduler_file_says_is_obeyed(tiny):
    """The fields that fine-tuning scripts and users change; parity has the walks."""
    changed = {"variance_type": "fixed_small", "thresholding": False, "clip_sample_range": 2.0}
    write_json(
        tiny / "scheduler/scheduler_config.json",
        {**SCHEDULER, **changed, "timestep_spacing": "trailing"},
    )
    scheduler = minidiff.load(tiny, device="cpu").scheduler
    assert scheduler.timesteps(4) == [999, 749, 499, 249] and scheduler.variance == "small"
    x0 = torch.tensor([-3.0, -1.5, 1.5, 3.0])
    assert scheduler.limit(x0).tolist() == [-2.0, -1.5, 1.5, 2.0]
    changed = {"steps_offset": 1, "clip_sample": False, "variance_type": "fixed_large"}
    write_json(
        tiny / "scheduler/scheduler_config.json", {**SCHEDULER, "thresholding": False} | changed
    )
    scheduler = minidiff.load(tiny, device="cpu").scheduler
    assert scheduler.timesteps(4) == [751, 501, 251, 1] and scheduler.variance == "large"
    assert scheduler.limit is None


def test_the_official_scheduler_file(tiny):
    scheduler = minidiff.load(tiny, device="cpu").scheduler
    assert scheduler.timesteps(4) == [750, 500, 250, 0] and scheduler.variance == "learned"
    assert scheduler.limit.keywords == {"ratio": 0.95, "max_value": 1.5}
    abar = scheduler.alphas_cumprod
    assert abar.shape == (1000,) and abar.dtype == torch.float32
    assert float(abar[990]) == pytest.approx(1.9672e-4, rel=1e-4)
    write_json(
        tiny / "scheduler/scheduler_config.json",
        {**SCHEDULER, "_class_name": "EulerDiscreteScheduler"},
    )
    with pytest.warns(UserWarning, match="is made for EulerDiscreteScheduler"):
        minidiff.load(tiny, device="cpu")


def test_a_scheduler_that_says_too_little(tiny):
    write_json(tiny / "scheduler/scheduler_config.json", {})
    fails(tiny, "lacks beta_schedule, prediction_type, thresholding, variance_type")


@pytest.mark.parametrize("size", [0, -64, 64.0, "64", 10**9, [64]])
def test_a_picture_size_that_is_none(tiny, size):
    write_json(tiny / "unet/config.json", {**UNET, "sample_size": size})
    fails(tiny, "sample_size must be")


def test_devices_that_are_not_there(tiny):
    for name in ("nonsense", "meta", "cuda:99"):
        with pytest.raises(UserError, match="device"):
            minidiff.load(tiny, name)


def test_symlinked_files_are_read_and_loops_are_not(tiny, tmp_path):
    path = tiny / UNET_FILE
    shutil.move(path, tmp_path / "blob")
    path.symlink_to(tmp_path / "blob")
    minidiff.load(tiny, "cpu")
    path.unlink()
    path.symlink_to(path)
    fails(tiny, "cannot be read")


def test_a_key_in_two_shards(tmp_path):
    folder = write_tiny_checkpoint(tmp_path / "tiny", shards=2)
    first, second = sorted(folder.glob("unet/*.safetensors"))
    key, tensor = next(iter(load_file(first).items()))
    save_file({**load_file(second), key: tensor}, second)
    assert f"{key} (again)" in fails(folder, "1 unexpected")


def test_an_index_with_a_truncated_json_number(tmp_path):
    folder = write_tiny_checkpoint(tmp_path / "tiny", shards=2)
    index = next(folder.glob("unet/*.index.json"))
    index.write_text(json.dumps(json.loads(index.read_text()))[:-1])
    fails(folder, "not valid JSON")


# --- block by block ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_streamed_encoder_gives_the_same_bits(tiny, dtype):
    prompts = ["a cat", "", "a dog on a hill"]
    whole = TextEncoder(tiny, torch.device("cpu"), dtype, stream=False)
    streamed = TextEncoder(tiny, torch.device("cpu"), dtype, stream=True)
    assert torch.equal(whole(prompts), streamed(prompts))
    _, encoder = streamed.load()
    assert isinstance(encoder, StreamedT5)
    assert all(p.is_meta for p in encoder.whole.parameters())  # nothing stays


@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_s_states_do_not_depend_on_the_others(stream):
    encode = TextEncoder(DEMO, torch.device("cpu"), torch.float32, stream=stream)
    together = encode(["a cat", "", "a dog on a hill", "a rocket", "a red apple"])
    assert torch.equal(together[2:3], encode(["a dog on a hill"]))


def test_the_encoder_streams_where_it_does_not_fit(tiny, monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    encode = TextEncoder(tiny, cpu, torch.float32)
    _, encoder = encode.load()
    assert isinstance(encoder, T5Encoder)
    for free, on_cpu, on_cuda in [(1 << 20, True, True), (3 << 29, True, False)]:
        monkeypatch.setattr("minidiff.deepfloyd.text.free_memory", lambda device, free=free: free)
        assert encode.streams(encoder) == on_cpu
        assert TextEncoder(tiny, cuda, torch.float32).streams(encoder) == on_cuda
    encode.free()
    assert isinstance(encode.load()[1], StreamedT5)


def test_a_streamed_encoder_is_checked_before_it_is_used(tiny):
    path = tiny / T5_FILE
    tensors = load_file(path)
    del tensors["encoder.final_layer_norm.weight"]
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"1 missing: encoder.final_layer_norm.weight"):
        TextEncoder(tiny, torch.device("cpu"), torch.float32, stream=True).load()
