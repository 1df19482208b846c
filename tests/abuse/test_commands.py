"""Bad input at the command line: a correct result, or one sentence and status 2, no traceback."""

import os
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from mnist_tiny import tiny_trainer
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from tiny_checkpoint import SCHEDULER, TEXT_ENCODER, UNET, write_json, write_tiny_checkpoint

from minidiff.cli import main
from minidiff.cli.draw import slug
from minidiff.digits.train import resume
from minidiff.errors import UserError

UNET_FILE = "unet/diffusion_pytorch_model.fp16.safetensors"
T5_FILE = "text_encoder/model.fp16.safetensors"
DRAW = ("--weights", "tiny", "--device", "cpu", "--steps", "1", "--scale", "1")
SAMPLE = ("sample", "a cat", *DRAW)
PICTURE = "out/sample-a-cat-seed180.png"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> bytes:
    """What an undamaged checkpoint draws."""
    folder = tmp_path_factory.mktemp("clean")
    write_tiny_checkpoint(folder / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(list(SAMPLE)) == 0
    return (folder / PICTURE).read_bytes()


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working folder with a checkpoint, a photo and a mask, where nothing reaches a network."""
    write_tiny_checkpoint(tmp_path / "tiny")
    photo().save(tmp_path / "photo.png")
    box().save(tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    return tmp_path


@pytest.fixture
def run(here, capsys):
    """run(...) -> status and complaint. An error that gets out of main() would be a traceback."""

    def run(*arguments: str) -> tuple[int, str]:
        status = main(list(arguments))
        lines = capsys.readouterr().err.splitlines()
        complaints = [line for line in lines if line.startswith("minidiff: ")]
        assert status in (0, 2)
        assert len(complaints) == (status == 2)
        assert status == 0 or lines[-1] == complaints[0]
        assert not list(here.rglob("*.part"))
        return status, "".join(complaints)

    return run


def photo() -> Image.Image:
    image = Image.radial_gradient("L").resize((128, 128)).convert("RGB")
    ImageDraw.Draw(image).rectangle((20, 40, 60, 110), fill=(200, 60, 20))
    return image


def box(mode: str = "L", ground=0, ink=255, size: int = 128) -> Image.Image:
    image = Image.new(mode, (size, size), ground)
    image.paste(ink, (32, 32, 96, 96))
    return image


# --- weights ----------------------------------------------------------------------------------


def rewrite(path: Path, change) -> None:
    tensors = load_file(path)
    change(tensors, sorted(tensors)[0])
    save_file(tensors, path)


def replace(path: Path, make) -> None:
    path.unlink()
    make(path)


def fill(number: float):
    return lambda tensors, key: tensors[key].fill_(number)


def store(dtype: torch.dtype):
    return lambda path: rewrite(
        path, lambda tensors, _: tensors.update({k: x.to(dtype) for k, x in tensors.items()})
    )


def add_key(tensors: dict, key: str) -> None:
    tensors["one.too.many"] = tensors[key].clone()


def reshape(tensors: dict, key: str) -> None:
    tensors[key] = tensors[key].flatten()[:-1].clone()


REFUSED = {
    "empty": lambda p: p.write_bytes(b""),
    "one byte": lambda p: p.write_bytes(b"\x01"),
    "cut in its header": lambda p: p.write_bytes(p.read_bytes()[:100]),
    "cut in its data": lambda p: p.write_bytes(p.read_bytes()[:-1]),
    "bytes after the end": lambda p: p.write_bytes(p.read_bytes() + b"more"),
    "header of 2^63 bytes": lambda p: p.write_bytes(struct.pack("<Q", 2**63) + p.read_bytes()[8:]),
    "header of 90 MB": lambda p: p.write_bytes(struct.pack("<Q", 90 << 20) + b"{" * (90 << 20)),
    "header that is no JSON": lambda p: p.write_bytes(struct.pack("<Q", 9) + b"{nonsense"),
    "header that is a list": lambda p: p.write_bytes(struct.pack("<Q", 2) + b"[]"),
    "no tensors": lambda p: p.write_bytes(struct.pack("<Q", 2) + b"{}"),
    "key missing": lambda p: rewrite(p, lambda tensors, key: tensors.pop(key)),
    "key too many": lambda p: rewrite(p, add_key),
    "another shape": lambda p: rewrite(p, reshape),
    "float64": store(torch.float64),
    "int8": store(torch.int8),
    "bool": store(torch.bool),
    "NaN": lambda p: rewrite(p, fill(float("nan"))),
    "infinity": lambda p: rewrite(p, fill(float("inf"))),
    "git-lfs pointer": lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\n"),
    "a pickle": lambda p: torch.save({"weight": torch.ones(3)}, p),
    "dangling link": lambda p: replace(p, lambda p: p.symlink_to("nowhere")),
    "link to itself": lambda p: replace(p, lambda p: p.symlink_to(p.name)),
    "link to a device": lambda p: replace(p, lambda p: p.symlink_to("/dev/zero")),
    "link to another file": lambda p: replace(p, lambda p: p.symlink_to(p.parent / "config.json")),
    "pipe": lambda p: replace(p, os.mkfifo),
    "folder": lambda p: replace(p, lambda p: p.mkdir()),
    "renamed": lambda p: p.rename(p.with_name("weights.safetensors")),
    "gone": lambda p: p.unlink(),
}


@pytest.mark.parametrize("part", [UNET_FILE, T5_FILE])
@pytest.mark.parametrize("fault", REFUSED)
def test_damaged_weights_draw_nothing(run, here, part, fault):
    REFUSED[fault](here / "tiny" / part)
    status, says = run(*SAMPLE)
    assert status == 2
    assert "tiny" in says
    assert not (here / PICTURE).exists()
    run("weights", "check", "tiny")


def test_swapped_weights_draw_nothing(run, here):
    unet, t5 = here / "tiny" / UNET_FILE, here / "tiny" / T5_FILE
    contents = unet.read_bytes(), t5.read_bytes()
    t5.write_bytes(contents[0])
    unet.write_bytes(contents[1])
    assert run(*SAMPLE)[0] == run("weights", "check", "tiny")[0] == 2


@pytest.mark.parametrize("part", [UNET_FILE, T5_FILE])
def test_a_sealed_folder_shows_every_flipped_bit(run, here, part):
    assert run("weights", "seal", "tiny")[0] == 0
    assert run(*SAMPLE)[0] == 0
    content = bytearray((here / "tiny" / part).read_bytes())
    content[-1] ^= 1
    (here / "tiny" / part).write_bytes(content)
    for command in (SAMPLE, ("weights", "check", "tiny")):
        status, _ = run(*command)
        assert status == 2


def link_file(folder: Path) -> None:
    (folder / UNET_FILE).rename(folder.parent / "blob")
    (folder / UNET_FILE).symlink_to(folder.parent / "blob")


def link_folder(folder: Path) -> None:
    folder.rename(folder.parent / "elsewhere")
    folder.symlink_to("elsewhere")


def more_metadata(folder: Path) -> None:
    path = folder / UNET_FILE
    save_file(load_file(path), path, metadata={"format": "pt", "note": "x" * 10_000})


def a_stray_file(folder: Path) -> None:
    (folder / "unet/notes.txt").write_text("mine")
    (folder / "unet/diffusion_pytorch_model.fp16.bin").write_bytes(b"never opened")


@pytest.mark.parametrize("change", [link_file, link_folder, more_metadata, a_stray_file])
def test_what_is_harmless_draws_the_same_bytes(run, here, drawn, change):
    change(here / "tiny")
    assert run(*SAMPLE)[0] == 0
    assert Image.open(here / PICTURE).tobytes() == pixels_of(drawn, here)


def pixels_of(png: bytes, folder: Path) -> bytes:
    """Without the text chunks, which name the folder of the weights."""
    (folder / "other.png").write_bytes(png)
    return Image.open(folder / "other.png").tobytes()


# --- configs and indexes ----------------------------------------------------------------------

UNET_CONFIG, T5_CONFIG = "unet/config.json", "text_encoder/config.json"
SCHEDULER_CONFIG = "scheduler/scheduler_config.json"
ORIGINAL = {UNET_CONFIG: UNET, T5_CONFIG: TEXT_ENCODER, SCHEDULER_CONFIG: SCHEDULER}
NEEDED = [
    *[(UNET_CONFIG, key) for key in ("block_out_channels", "down_block_types", "up_block_types")],
    *[(T5_CONFIG, key) for key in ("vocab_size", "d_model", "num_layers", "num_heads")],
    *[(SCHEDULER_CONFIG, key) for key in ("beta_schedule", "prediction_type", "variance_type")],
]
CHANGES = [
    (UNET_CONFIG, {"block_out_channels": [8, 16, 24]}),  # three levels, two block types
    (UNET_CONFIG, {"block_out_channels": [9, 16], "norm_num_groups": 1}),
    (UNET_CONFIG, {"block_out_channels": [4096, 65536]}),
    (UNET_CONFIG, {"block_out_channels": [{}, 16]}),
    (UNET_CONFIG, {"down_block_types": [{}, []]}),
    (UNET_CONFIG, {"down_block_types": ["DownBlock2D", "DownBlock2D"]}),
    (UNET_CONFIG, {"layers_per_block": 10**9}),
    (UNET_CONFIG, {"layers_per_block": 1.5}),
    (UNET_CONFIG, {"attention_head_dim": 64}),
    (UNET_CONFIG, {"norm_num_groups": 3}),
    (UNET_CONFIG, {"norm_eps": "small"}),
    (UNET_CONFIG, {"norm_eps": float("nan")}),
    (UNET_CONFIG, {"encoder_hid_dim": 4096}),
    (UNET_CONFIG, {"in_channels": 6}),
    (UNET_CONFIG, {"out_channels": 3}),
    (UNET_CONFIG, {"act_fn": "silu"}),
    (UNET_CONFIG, {"sample_size": 10**12}),
    (UNET_CONFIG, {"sample_size": 63}),
    (UNET_CONFIG, {"time_embedding_dim": "wide"}),
    (UNET_CONFIG, {"time_embedding_dim": 33}),
    (T5_CONFIG, {"num_layers": 10**6}),
    (T5_CONFIG, {"num_layers": 3}),
    (T5_CONFIG, {"num_heads": 4}),
    (T5_CONFIG, {"vocab_size": 100}),
    (T5_CONFIG, {"d_model": 2**20}),
    (T5_CONFIG, {"d_kv": 0}),
    (T5_CONFIG, {"layer_norm_epsilon": "small"}),
    (T5_CONFIG, {"layer_norm_epsilon": float("nan")}),
    (T5_CONFIG, {"relative_attention_num_buckets": 1}),
    (T5_CONFIG, {"relative_attention_max_distance": 8}),
    (T5_CONFIG, {"feed_forward_proj": "relu"}),
    (SCHEDULER_CONFIG, {"prediction_type": "v_prediction"}),
    (SCHEDULER_CONFIG, {"num_train_timesteps": 10**9}),
    (SCHEDULER_CONFIG, {"dynamic_thresholding_ratio": float("nan")}),
    (SCHEDULER_CONFIG, {"dynamic_thresholding_ratio": 2}),
    (SCHEDULER_CONFIG, {"sample_max_value": -1}),
    (SCHEDULER_CONFIG, {"sample_max_value": "1"}),
]


@pytest.mark.parametrize(("file", "key"), NEEDED)
def test_a_config_that_lacks_a_key(run, here, file, key):
    config = dict(ORIGINAL[file])
    del config[key]
    write_json(here / "tiny" / file, config)
    status, says = run(*SAMPLE)
    assert status == 2
    assert key in says
    run("weights", "check", "tiny")


@pytest.mark.parametrize(("file", "change"), CHANGES)
def test_a_config_that_contradicts_or_is_huge(run, here, file, change):
    write_json(here / "tiny" / file, {**ORIGINAL[file], **change})
    assert run(*SAMPLE)[0] == 2
    assert not (here / PICTURE).exists()
    run("weights", "check", "tiny")


@pytest.mark.parametrize("file", ORIGINAL)
def test_a_config_with_a_key_too_many_is_read_with_a_note(here, drawn, capsys, file):
    write_json(here / "tiny" / file, {**ORIGINAL[file], "flux_capacitor": [1.21]})
    assert main(list(SAMPLE)) == 0
    assert "flux_capacitor" in capsys.readouterr().err
    assert (here / PICTURE).read_bytes() == drawn


TEXTS = {
    "empty": b"",
    "null": b"null",
    "a list": b"[]",
    "cut": b'{"a": ',
    "deep": b"[" * 100_000,
    "not UTF-8": b'{"a": "\xff"}',
    "a list after a byte order mark": b"\xef\xbb\xbf[]",
    "a zero byte": b"\x00",
    "20 MB": b" " * (20 << 20),
    "a number of 10,000 digits": b'{"sample_size": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("file", [*ORIGINAL, "manifest.json", "tokenizer/tokenizer_config.json"])
@pytest.mark.parametrize("text", TEXTS)
def test_a_json_file_that_is_none(run, here, file, text):
    (here / "tiny" / file).write_bytes(TEXTS[text])
    assert run(*SAMPLE)[0] == 2
    run("weights", "check", "tiny")


@pytest.mark.parametrize("file", [*ORIGINAL, "tokenizer/spiece.model"])
@pytest.mark.parametrize("kind", ["dangling link", "link to itself", "link to a device", "pipe",
                                  "folder", "gone"])  # fmt: skip
def test_a_small_file_that_is_none(run, here, file, kind):
    REFUSED[kind](here / "tiny" / file)
    assert run(*SAMPLE)[0] == 2
    run("weights", "check", "tiny")


INDEXES = [
    {},
    {"weight_map": None},
    {"weight_map": {}},
    {"weight_map": []},
    {"weight_map": {"a": 1}},
    {"weight_map": {"a": ""}},
    {"weight_map": {"a": "."}},
    {"weight_map": {"a": ".."}},
    {"weight_map": {"a": "../unet"}},
    {"weight_map": {"a": "absent.safetensors"}},
    {"weight_map": {"a": "../text_encoder/model.fp16.safetensors"}},
    {"weight_map": {"a": "../../blob.safetensors"}},
    {"weight_map": {"a": "/etc/passwd"}},
    {"weight_map": {"a": "config.json"}},
    {"weight_map": {"a": "x" * 5000}},
    {"weight_map": {"a": "a\x00b"}},
    {"weight_map": {str(i): f"../{i}.safetensors" for i in range(1000)}},
]


@pytest.mark.parametrize("index", INDEXES, ids=range(len(INDEXES)))
def test_an_index_that_points_elsewhere(run, here, index):
    (here / "blob.safetensors").write_bytes((here / "tiny" / UNET_FILE).read_bytes())
    write_json(here / "tiny/unet/diffusion_pytorch_model.fp16.safetensors.index.json", index)
    assert run(*SAMPLE)[0] == run("weights", "check", "tiny")[0] == 2


# --- pictures and masks -----------------------------------------------------------------------

EDIT = ("a cat", *DRAW, "--strength", "1")


def edited(name: str, out: str = "out") -> Path:
    """What EDIT makes of the picture `name`."""
    return Path(out) / f"edit-{slug(Path(name).stem)}-from-0-a-cat-seed180.png"


def turned() -> dict:
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"exif": exif}


def transparent() -> Image.Image:
    image = photo().convert("RGBA")
    image.putalpha(255)
    return image


# name -> (picture, options of its save): all show the photo
SAME = {
    "alpha.png": (transparent(), {}),
    "turned.png": (photo().rotate(90), turned()),
    "picture.bmp": (photo(), {}),
    "picture.tif": (photo(), {}),
    "packed.tif": (photo(), {"compression": "tiff_lzw"}),
    "lossless.webp": (photo(), {"lossless": True}),
    "interlaced.ppm": (photo(), {}),
    "cmyk.tif": (photo().convert("CMYK"), {}),
    "no-ending": (photo(), {"format": "PNG"}),
    "wrong-ending.jpg": (photo(), {"format": "PNG"}),
    "animated.png": (photo(), {"save_all": True, "append_images": [box("RGB", 0, "red")]}),
    "animated.webp": (
        photo(),
        {"save_all": True, "append_images": [box("RGB", 0, "red")], "lossless": True},
    ),
}
ROUGHLY = {  # fewer colours or lossy: the photo, a little off
    "palette.png": (photo().quantize(256), {}),
    "palette.gif": (photo().quantize(256), {}),
    "picture.jpg": (photo(), {"quality": 95}),
    "cmyk.jpg": (photo().convert("CMYK"), {"quality": 95}),
    "lossy.webp": (photo(), {"quality": 95}),
}


@pytest.mark.parametrize("name", [*SAME, *ROUGHLY])
def test_pictures_of_every_kind_are_edited_alike(run, here, name):
    picture, options = {**SAME, **ROUGHLY}[name]
    picture.save(here / name, **options)
    assert run("edit", "photo.png", *EDIT, "--out", "plain")[0] == 0
    assert run("edit", name, *EDIT)[0] == 0
    drawn = Image.open(here / edited(name)), Image.open(here / edited("photo.png", "plain"))
    ours, plain = (torch.tensor(list(image.getdata())).float() for image in drawn)
    assert (ours - plain).abs().mean() <= (0 if name in SAME else 4)


def deep_grey() -> Image.Image:
    ramp = torch.linspace(0, 65535, 128).round().to(torch.int32).expand(128, 128)
    return Image.fromarray(ramp.contiguous().numpy().astype("uint16"))


UNUSUAL = {
    "deep.png": deep_grey(),
    "dot.png": Image.new("RGB", (1, 1), "red"),
    "line.png": Image.new("RGB", (5000, 1), "red"),
    "bits.png": box("1", 0, 1),
    "grey-alpha.png": box("LA", (0, 0), (255, 255)),
    "lab.tif": Image.new("LAB", (40, 40)),
}


def test_a_pipe_is_no_picture(run, here):
    os.mkfifo(here / "pipe.png")
    assert run("edit", "pipe.png", *EDIT)[0] == 2


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_pictures_are_edited(run, here, name):
    UNUSUAL[name].save(here / name)
    assert run("edit", name, *EDIT)[0] == 0
    assert Image.open(here / edited(name)).size == (64, 64)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""
    whole = (Path("photo.png")).read_bytes()
    return whole[:16] + struct.pack(">II", width, height) + whole[24:]


BAD_PICTURES = {
    "huge.png": lambda: png_header(20_000, 20_000),
    "endless.png": lambda: png_header(2**31 - 1, 2**31 - 1),
    "nothing.png": lambda: png_header(0, 0),
    "cut.png": lambda: Path("photo.png").read_bytes()[:1000],
    "headless.png": lambda: Path("photo.png").read_bytes()[:20],
    "zeros.jpg": lambda: bytes(1000),
    "text.png": lambda: b"not a picture",
    "empty.png": lambda: b"",
    "weights.png": lambda: Path("tiny", UNET_FILE).read_bytes(),
    "page.svg": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "bomb.gif": lambda: b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(20),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
@pytest.mark.parametrize("verb", ["edit", "inpaint", "mask", "part-a"])
def test_what_is_no_picture_draws_nothing(run, here, name, verb):
    (here / name).write_bytes(BAD_PICTURES[name]())
    commands = {
        "edit": ("edit", name, *EDIT),
        "inpaint": ("inpaint", name, "mask.png", "a cat", *DRAW),
        "mask": ("inpaint", "photo.png", name, "a cat", *DRAW),
        "part-a": ("part-a", "--only", "yours", "--image", name, *DRAW[:4], "--out", "out"),
    }
    status, says = run(*commands[verb])
    assert status == 2
    assert name in says
    assert not list(here.glob("out/*"))


def test_a_real_picture_of_20000_by_20000(run, here):
    Image.new("1", (20_000, 20_000)).save(here / "huge.png")
    status, says = run("edit", "huge.png", *EDIT)
    assert status == 2
    assert "100 million pixels" in says


def ramp() -> Image.Image:
    return Image.linear_gradient("L").resize((128, 128))


# mask -> (options, status, what is said)
MASKS = {
    "hard": (box(), [], 0, ""),
    "bits": (box("1", 0, 1), [], 0, ""),
    "painted": (box("RGBA", (0, 0, 0, 0), (255, 255, 255, 255)), [], 0, ""),
    "inverted": (box("L", 255, 0), ["--invert"], 0, ""),
    "soft": (ramp(), [], 0, "grey in"),
    "all ones": (Image.new("L", (128, 128), 255), [], 0, "marks everything"),
    "empty": (Image.new("L", (128, 128)), [], 2, "marks nothing"),
    "empty by inversion": (Image.new("L", (128, 128), 255), ["--invert"], 2, "marks nothing"),
    "dark": (Image.new("L", (128, 128), 100), [], 2, "marks nothing"),
    "too small": (box(size=100), [], 2, "make the mask the picture's size"),
    "too large": (box(size=256), [], 2, "make the mask the picture's size"),
    "wide": (Image.new("L", (256, 128), 255), [], 2, "make the mask the picture's size"),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_every_kind(here, capsys, kind):
    mask, options, status, says = MASKS[kind]
    mask.save(here / "mask.png")
    assert main(["inpaint", "photo.png", "mask.png", "a cat", *DRAW, *options]) == status
    err = capsys.readouterr().err
    assert says in err
    told = "of the picture is made anew" in err  # what a mask was taken for, if it was taken
    assert told == (status == 0)
    assert len(list(here.glob("out/*"))) == (status == 0)


# --- numbers, names and other verbs -----------------------------------------------------------

STEPS = ["0", "-1", "1001", "1e3", "5.0", "", " ", "many", "nan", "9" * 5000, "fast", "[5]"]
NUMBERS = [
    *[("--steps", text) for text in STEPS],
    *[("--guidance", text) for text in ("nan", "inf", "-inf", "1e300", "seven", "", "7,0")],
    *[("--seeds", text) for text in ("-1", "", ",", "1-", "5-3", "0x10", "1.5", "9" * 30)],
    *[("--seeds", text) for text in (str(2**63), "0-10000", f"0-{2**63 - 1}", "nan", "1 2")],
    *[("--batch", text) for text in ("0", "-1", "1.5", "all", "nan")],
    *[("--scale", text) for text in ("0", "-1", "33", str(10**30), "big")],
    *[("--dtype", text) for text in ("fp8", "", "float32", "int8")],
    *[("--device", text) for text in ("tpu", "", "cuda:99", "meta", "cpu:x", "xpu")],
]
EDITS = [
    *[("--strength", text) for text in ("0", "-0.1", "1.01", "nan", "inf", "much", "")],
    *[("--i-start", text) for text in ("1", "-1", "33", str(10**30), "9" * 5000, "0.5", "")],
]
POSSIBLE = [
    ("--steps", "1"),
    ("--guidance", "0"),
    ("--guidance", "-1"),
    ("--guidance", "1"),
    ("--seeds", str(2**63 - 1)),
    ("--seeds", "0,0,0"),
    ("--batch", str(10**30)),
    ("--scale", "32"),
]


@pytest.mark.parametrize(("option", "value"), NUMBERS)
def test_numbers_that_are_none(run, here, option, value):
    assert run(*SAMPLE, f"{option}={value}")[0] == 2
    assert not list(here.glob("out/*"))


@pytest.mark.parametrize(("option", "value"), EDITS)
def test_starts_that_are_none(run, here, option, value):
    assert run("edit", "photo.png", "a cat", *DRAW, f"{option}={value}")[0] == 2
    assert not list(here.glob("out/*"))


@pytest.mark.parametrize(("option", "value"), POSSIBLE)
def test_numbers_at_the_edge(run, here, option, value):
    assert run(*SAMPLE, f"{option}={value}")[0] == 0
    assert len(list(here.glob("out/*.png"))) == 1


numbers = st.one_of(
    st.integers(max_value=2), st.integers(min_value=1001), st.floats(), st.text(max_size=6)
).map(str)


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    folder = tmp_path_factory.mktemp("room")
    write_tiny_checkpoint(folder / "tiny")
    photo().save(folder / "photo.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@given(st.sampled_from(["--steps", "--guidance", "--strength", "--i-start", "--batch"]), numbers)
@example("--steps", "\u0662")
def test_any_number(room, option, text):
    assert main(["edit", "photo.png", "a cat", *DRAW, f"{option}={text}"]) in (0, 2)


OTHERS = [
    [],
    ["nonsense"],
    ["sample", *DRAW],
    ["sample", "", *DRAW],
    ["sample", "a cat", "", *DRAW],
    ["sample", "\udcff", *DRAW],
    ["sample", "cat " * 1000, *DRAW],
    ["sample", "a cat", *DRAW, "--out", "photo.png"],
    ["sample", "a cat", *DRAW, "--out", "photo.png/deeper"],
    ["sample", "a cat", *DRAW, "--out", "/dev/null"],
    ["sample", "a cat", *DRAW, "--out", "x" * 5000],
    ["sample", "a cat", *DRAW, "--compile"],
    ["sample", "a cat", *DRAW, "--negative", "###"],
    ["sample", "a cat", *DRAW, "--weights", ""],
    ["sample", "a cat", *DRAW, "--embeddings", ""],
    ["sample", "a cat", *DRAW, "--weights", "nowhere"],
    ["sample", "a cat", *DRAW, "--weights", "photo.png"],
    ["sample", "a cat", *DRAW, "--weights", "tiny/unet"],
    ["sample", "a cat", *DRAW, "--embeddings", "nowhere.pth"],
    ["sample", "a cat", *DRAW, "--embeddings", "photo.png"],
    ["sample", "a cat", *DRAW, "--embeddings", f"tiny/{UNET_FILE}"],
    ["anagram", "a cat", "a dog", *DRAW, "--view", "nonsense"],
    ["anagram", "a cat", "", *DRAW],
    ["hybrid", "", "a cat", *DRAW],
    ["edit", "tiny", "a cat", *DRAW],
    ["edit", "", "a cat", *DRAW],
    ["edit", "photo.png", "a cat", *DRAW, "--strength", "1", "--i-start", "0"],
    ["inpaint", "photo.png", "nowhere.png", "a cat", *DRAW],
    ["encode", "a cat", "--weights", "tiny", "--out", "cat.pth"],
    ["encode", "", "--weights", "tiny"],
    ["encode", "__metadata__", "--weights", "tiny"],
    ["encode", "a cat", "--weights", "tiny", "--out", "photo.png/x.safetensors"],
    ["convert", "nowhere.pth", "x.safetensors"],
    ["convert", "photo.png", "x.safetensors"],
    ["convert", "tiny", "x.safetensors"],
    ["convert", f"tiny/{UNET_FILE}", "x.safetensors"],
    ["part-a", "--only", "9.9", "--weights", "tiny"],
    ["part-a", "--only", "", "--weights", "tiny"],
    ["part-a", "--compare", "--weights", "tiny"],
    ["part-a", "--mask", "mask.png", "--weights", "tiny"],
    ["part-a", "--prompt", "a cat", "--weights", "tiny"],
    ["part-a", "--image", "photo.png", "--prompt", " ", "--weights", "tiny"],
    ["part-a", "--image", "photo.png", "--prompt", "###", "--weights", "tiny"],
    ["part-a", "--image", "photo.png", "--compare", "--only", "1.1", "--weights", "tiny"],
    ["part-a", "--device", "tpu", "--weights", "tiny"],
    ["part-b", "--weights", "nowhere"],
    ["part-b", "--weights", "tiny"],
    ["part-b", "--device", "tpu"],
    ["train-mnist", "--epochs", "0"],
    ["train-mnist", "--epochs", "-1"],
    ["train-mnist", "--models", "gan"],
    ["train-mnist", "--models", ""],
    ["train-mnist", "--seeds", "-1"],
    ["train-mnist", "--device", "tpu"],
    ["train-mnist", "--mode", "fast", "--device", "cpu"],
    ["train-mnist", "--out", "photo.png"],
    ["eval-mnist", "--samples", "0"],
    ["eval-mnist", "--samples", "-10"],
    ["eval-mnist", "--samples", "131"],
    ["eval-mnist", "--device", "tpu"],
    ["eval-mnist", "--weights", "nowhere"],
    ["eval-mnist", "--out", "photo.png/x.json"],
    ["eval-demo", "--weights", "nowhere"],
    ["eval-demo", "--out", "photo.png/x.json"],
    ["demo-sheet", "--out", "photo.png/x.png"],
    ["find-illusions", "mirage"],
    ["find-illusions", "hybrid", "--pairs", "0"],
    ["train-emoji", "--steps", "0"],
    ["train-emoji", "--seconds", "nan"],
    ["train-emoji", "--steps", "1", "--batch", "0"],
    ["train-emoji", "--steps", "1", "--start-from", "tiny/unet"],
    ["data", "nonsense"],
    ["lessons", "99"],
    ["notebooks", "99"],
    ["lessons-sync", "99"],
    ["grade", "--ex", "nonsense"],
    ["grade", "--ex", ""],
    ["grade", "--source", "nowhere"],
    ["mutants", "--only", "nonsense"],
    ["mutants", "--only", ""],
    ["weights"],
    ["weights", "check", "nowhere"],
    ["weights", "check", "photo.png"],
    ["weights", "check", "."],
    ["weights", "seal", "nowhere"],
    ["weights", "seal", "photo.png"],
    ["weights", "pull", ""],
    ["weights", "pull", "IF-II-L"],
    ["weights", "pull", "../escape"],
    ["weights", "pull", "IF-I-M", "--to", "photo.png"],
    ["weights", "pull", "IF-I-M", "--to", "photo.png/x"],
]


@pytest.mark.parametrize("arguments", OTHERS, ids=lambda words: " ".join(words)[:50] or "nothing")
def test_commands_that_cannot_work(run, here, arguments):
    before = {p: p.read_bytes() for p in here.rglob("*") if p.is_file()}
    assert run(*arguments)[0] == 2
    assert {p: p.read_bytes() for p in here.rglob("*") if p.is_file()} == before


def test_names_that_are_no_unicode(run, here):
    name = os.fsdecode(b"\xff.png")
    photo().save(name)
    assert run("edit", name, *EDIT, "--gif", "--out", os.fsdecode(b"\xfe"))[0] == 0
    os.rename("tiny", os.fsdecode(b"\xfd"))
    run("sample", "a cat", *DRAW[2:], "--weights", os.fsdecode(b"\xfd"))


# --- files that would run code ----------------------------------------------------------------


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("caught",)


@pytest.mark.parametrize("hidden", [lambda x: x, lambda x: {"a cat": x}, lambda x: [[x]]])
@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_malicious_pickle_is_never_run(run, here, protocol, hidden):
    torch.save(hidden(Malicious()), here / "bad.pth", pickle_protocol=protocol)
    assert run("convert", "bad.pth", "good.safetensors")[0] == 2
    assert run(*SAMPLE, "--embeddings", "bad.pth")[0] == 2
    (here / "tiny" / UNET_FILE).unlink()
    (here / "tiny/unet/diffusion_pytorch_model.bin").write_bytes(Path("bad.pth").read_bytes())
    assert run(*SAMPLE)[0] == 2
    (here / "last.pt").write_bytes(Path("bad.pth").read_bytes())
    with pytest.raises(UserError, match="damaged"):
        resume(tiny_trainer("class"), here)
    assert not (here / "caught").exists()
    assert not (here / "good.safetensors").exists()
