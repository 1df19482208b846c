"""Files damaged in every way: what is read is right, or refused in one sentence. Never else."""

import io
import json
import shutil
import struct
import tempfile
import warnings
from pathlib import Path

import pytest
import torch
from children import contents
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_checkpoint import SCHEDULER, TEXT_ENCODER, UNET, write_json, write_tiny_checkpoint

import minidiff
from minidiff.cli.options import seeds
from minidiff.deepfloyd.embeddings import read_embeddings, save_embeddings
from minidiff.deepfloyd.text import clean
from minidiff.deepfloyd.tokenizer import Tokenizer
from minidiff.errors import UserError
from minidiff.io.paths import DEMO
from minidiff.io.pictures import read_mask, read_picture

UNET_FILE = "unet/diffusion_pytorch_model.fp16.safetensors"
T5_FILE = "text_encoder/model.fp16.safetensors"

ROOMS = tempfile.TemporaryDirectory()
CLEAN = contents(write_tiny_checkpoint(Path(ROOMS.name) / "clean"))
FOLDER = Path(ROOMS.name) / "tiny"


def restore() -> Path:
    """The tiny checkpoint as it was before anybody damaged it."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, content in CLEAN.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_bytes(content)
    return FOLDER


def opens(folder: Path) -> bool:
    """Whether it opens; if so, with all its weights, finite. Any error but UserError gets out."""
    try:
        model = minidiff.load(folder, "cpu")
        text = model.encode(["a cat"])
        tensors = [*model.unet.parameters(), text]
        x = torch.zeros(1, 3, *[min(model.sample_size, 64)] * 2)
        out = model.unet(x, 10, text)
    except UserError as error:
        assert str(error)
        return False
    assert text.shape == (1, 77, 32)
    assert out.shape == (1, 6, *x.shape[2:])
    assert all(bool(tensor.isfinite().all()) for tensor in tensors)
    assert not any(tensor.is_meta for tensor in tensors)
    return True


# --- safetensors ------------------------------------------------------------------------------

parts = st.sampled_from([UNET_FILE, T5_FILE])


@given(parts, st.floats(0, 1, exclude_max=True))
def test_cut_short(part, share):
    path = restore() / part
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert not opens(FOLDER)


@given(parts, st.integers(0, 2**31), st.integers(0, 7), st.booleans())
def test_a_flipped_bit(part, place, bit, in_header):
    path = restore() / part
    content = bytearray(path.read_bytes())
    end = struct.unpack("<Q", content[:8])[0] if in_header else len(content)
    content[place % end] ^= 1 << bit
    path.write_bytes(content)
    opens(FOLDER)


@given(parts, st.integers(0, 2**31))
def test_a_flipped_bit_is_found_by_the_manifest(part, place):
    from minidiff.weights.manifest import seal

    seal(restore())
    content = bytearray(CLEAN[part])
    content[place % len(content)] ^= 1
    (FOLDER / part).write_bytes(content)
    assert not opens(FOLDER)


@given(st.binary(max_size=200), parts)
def test_bytes_of_any_kind(content, part):
    (restore() / part).write_bytes(content)
    assert not opens(FOLDER)


def write_raw(path: Path, header: bytes, data: bytes) -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def split(content: bytes) -> tuple[dict, bytes]:
    size = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + size]), content[8 + size :]


entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F16", "F32", "F64", "I8", "BOOL", "F8_E4M3", "nonsense", ""]),
        "shape": st.lists(st.integers(-1, 2**62), max_size=4),
        "data_offsets": st.lists(st.integers(-1, 2**63), min_size=0, max_size=3),
    }
)


@given(parts, st.integers(0, 500), st.one_of(entries, st.none(), st.integers(), st.text()))
def test_an_absurd_header(part, which, entry):
    header, data = split(CLEAN[part])
    key = sorted(key for key in header if key != "__metadata__")[which % (len(header) - 1)]
    if header[key] == entry:
        return
    write_raw(restore() / part, json.dumps({**header, key: entry}).encode(), data)
    assert not opens(FOLDER)


@pytest.mark.parametrize("part", [UNET_FILE, T5_FILE])
@pytest.mark.parametrize("size", [0, 1, 2**32, 2**63, 2**64 - 1])
def test_an_absurd_header_size(part, size):
    (restore() / part).write_bytes(struct.pack("<Q", size) + CLEAN[part][8:])
    assert not opens(FOLDER)


@given(parts, st.integers(0, 500))
def test_a_key_twice_in_one_header(part, which):
    header, data = split(CLEAN[part])
    key = sorted(key for key in header if key != "__metadata__")[which % (len(header) - 1)]
    again = json.dumps({key: header[key]})[1:-1]
    text = json.dumps(header)[:-1] + f", {again}}}"
    write_raw(restore() / part, text.encode(), data)
    opens(FOLDER)  # the same entry twice may be read; if so, as what it is


@given(parts, st.randoms(use_true_random=False))
def test_keys_swapped_and_renamed(part, random):
    header, data = split(CLEAN[part])
    keys = [key for key in header if key != "__metadata__"]
    one, other = random.sample(keys, 2)
    same_shape = header[one]["shape"] == header[other]["shape"]
    header[one], header[other] = header[other], header[one]
    write_raw(restore() / part, json.dumps(header).encode(), data)
    assert opens(FOLDER) == same_shape  # without a manifest nothing can tell them apart
    header[one + "x"] = header.pop(one)
    write_raw(FOLDER / part, json.dumps(header).encode(), data)
    assert not opens(FOLDER)


def test_the_parts_swapped():
    restore()
    (FOLDER / UNET_FILE).write_bytes(CLEAN[T5_FILE])
    (FOLDER / T5_FILE).write_bytes(CLEAN[UNET_FILE])
    assert not opens(FOLDER)


# --- configs and indexes ----------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
CONFIGS = {
    "unet/config.json": UNET,
    "text_encoder/config.json": TEXT_ENCODER,
    "scheduler/scheduler_config.json": SCHEDULER,
}


@given(st.sampled_from(sorted(CONFIGS)), st.integers(0, 100), values)
@example("unet/config.json", 4, [65536] * 3)
@example("unet/config.json", 5, 65536)
@example("unet/config.json", 5, [1, 65536])
def test_a_config_with_another_value(file, which, value):
    config = CONFIGS[file]
    key = sorted(config)[which % len(config)]
    write_json(restore() / file, {**config, key: value})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opens(FOLDER)


@pytest.mark.parametrize("key", ["block_out_channels", "layers_per_block", "attention_head_dim"])
@pytest.mark.parametrize("value", [65536, [65536] * 2, [65536] * 1000, 10**30, -1, 0, True, "8"])
def test_a_unet_config_that_is_huge_or_absurd(key, value):
    write_json(restore() / "unet/config.json", {**UNET, key: value})
    assert not opens(FOLDER)


@pytest.mark.parametrize("key", ["num_layers", "d_model", "vocab_size", "num_heads", "d_ff"])
@pytest.mark.parametrize("value", [2**20, 10**30, -1, 0, 1.5, True, None, [1]])
def test_a_t5_config_that_is_huge_or_absurd(key, value):
    write_json(restore() / "text_encoder/config.json", {**TEXT_ENCODER, key: value})
    assert not opens(FOLDER)


@given(st.sampled_from(sorted(CONFIGS)), st.data())
def test_a_config_with_a_key_missing_or_too_many(file, data):
    config = dict(CONFIGS[file])
    del config[data.draw(st.sampled_from(sorted(config)))]
    config |= data.draw(st.dictionaries(st.text(max_size=6), values, max_size=2))
    write_json(restore() / file, config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opens(FOLDER)


@given(st.sampled_from(sorted(CONFIGS)), st.binary(max_size=40))
def test_a_config_of_any_bytes(file, content):
    (restore() / file).write_bytes(content)
    assert not opens(FOLDER)


@given(values)
def test_an_index_of_any_kind(value):
    index = restore() / "unet/diffusion_pytorch_model.fp16.safetensors.index.json"
    write_json(index, {"weight_map": value})
    assert not opens(FOLDER)


@given(st.text(max_size=30))
@example("../text_encoder/model.fp16.safetensors")
@example("/etc/passwd")
@example("a\x00b")
@example("x" * 5000)
def test_an_index_that_names_anything(name):
    assume(name != UNET_FILE.split("/")[1])
    index = restore() / "unet/diffusion_pytorch_model.fp16.safetensors.index.json"
    write_json(index, {"weight_map": {"conv_in.weight": name}})
    assert not opens(FOLDER)


@given(st.binary(max_size=60))
def test_a_tokenizer_of_any_bytes(content):
    (restore() / "tokenizer/spiece.model").write_bytes(content)
    assert not opens(FOLDER)


@given(st.floats(0, 1, exclude_max=True))
def test_a_tokenizer_cut_short(share):
    path = restore() / "tokenizer/spiece.model"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    opens(FOLDER)


@given(values)
@example({"x" * 5000: {"size": 1, "sha256": ""}})
@example({"a\x00b": {"size": 1, "sha256": ""}})
@example({"../../" * 20 + "dev/zero": {"size": 0, "sha256": ""}})
def test_a_manifest_of_any_kind(value):
    write_json(restore() / "manifest.json", {"files": value})
    opens(FOLDER)


# --- embeddings, pictures, words, numbers -----------------------------------------------------


@given(st.integers(0, 2**31), st.integers(0, 7), st.booleans(), st.booleans())
def test_embeddings_with_a_flipped_bit(place, bit, pickled, cut):
    path = Path(ROOMS.name) / ("e.pth" if pickled else "e.safetensors")
    states = {"a": torch.ones(77, 4), "": torch.zeros(77, 4)}
    if pickled:
        torch.save(states, path)
    else:
        save_embeddings(states, path)
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content[: place % len(content)] if cut else content)
    try:
        found = read_embeddings(path)
    except UserError:
        return
    assert all(x.shape[0] == 77 and bool(x.isfinite().all()) for x in found.values())


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((40, 30)).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


PICTURES = {kind: encoded(kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM")}


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(PICTURES)),
    st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), max_size=4),
    st.floats(0, 1),
    st.booleans(),
)
def test_damaged_pictures(kind, changes, share, cut):
    content = bytearray(PICTURES[kind])
    for place, value in changes:
        content[place % len(content)] = value
    path = Path(ROOMS.name) / "picture"
    path.write_bytes(content[: int(share * len(content))] if cut else content)
    for read, low, shape in ((read_picture, -1, (1, 3, 64, 64)), (read_mask, 0, (1, 1, 64, 64))):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                x = read(path)
        except UserError as error:
            assert str(error)
            continue
        assert x.shape == shape
        assert low <= x.min()
        assert x.max() <= 1


TOKENIZER = Tokenizer.from_folder(DEMO)


@settings(max_examples=150)
@given(st.text(max_size=300))
@example("\ud800")
@example("<![foo]>")
@example("</s>" * 100)
@example("a" * 100_000)
def test_prompts_of_any_kind(prompt):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ids, mask = TOKENIZER([clean(prompt)])
    except UserError:
        return
    assert ids.shape == mask.shape == (1, 77)
    assert 0 <= ids.min()
    assert ids.max() < len(TOKENIZER)
    assert mask.sum() >= 1


@given(st.text(alphabet="0123456789-, x", max_size=24))
def test_seeds_of_any_kind(text):
    try:
        found = seeds(text)
    except UserError:
        return
    assert found
    assert len(set(found)) == len(found)
    assert all(0 <= seed < 2**63 for seed in found)
