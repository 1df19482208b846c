"""Emoji names, pictures, captions, prompts and tokenizer; none of it needs the packed emoji."""

import io
import json
import random
import subprocess
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from PIL import Image

from minidiff.deepfloyd.captions import clean_caption
from minidiff.emoji import captions, data, names, prompts, tokenizer_train
from minidiff.errors import UserError
from minidiff.io import fetch


def make_record(**changes) -> data.Record:
    fields = {
        "code": "1f408",
        "name": "cat",
        "family": "cat",
        "tags": ("pet", "whiskers"),
        "group": "animals-nature",
        "set": "noto",
    }
    return data.Record(**{**fields, **changes})


# --- fetch ---------------------------------------------------------------------------------------


def write_tarball(path: Path, member: str, link: str | None = None) -> None:
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo(member)
        if link is not None:
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
            return
        info.size = 5
        archive.addfile(info, io.BytesIO(b"hello"))


def test_unpack_keeps_what_is_inside(tmp_path):
    write_tarball(tmp_path / "good.tgz", "package/a/b.txt")
    fetch.unpack_tarball(tmp_path / "good.tgz", tmp_path / "out")
    assert (tmp_path / "out" / "package" / "a" / "b.txt").read_bytes() == b"hello"


@pytest.mark.parametrize(
    ("member", "link"), [("../escaped.txt", None), ("package/link", "../../outside")]
)
def test_unpack_refuses_to_leave_its_folder(tmp_path, member, link):
    write_tarball(tmp_path / "bad.tgz", member, link)
    with pytest.raises(UserError, match=r"bad\.tgz cannot be unpacked"):
        fetch.unpack_tarball(tmp_path / "bad.tgz", tmp_path / "in" / "out")
    assert not (tmp_path / "in" / "escaped.txt").exists()


def test_unpack_says_when_the_tarball_is_cut_short(tmp_path):
    write_tarball(tmp_path / "cut.tgz", "package/a.txt")
    (tmp_path / "cut.tgz").write_bytes((tmp_path / "cut.tgz").read_bytes()[:40])
    with pytest.raises(UserError, match="cannot be unpacked"):
        fetch.unpack_tarball(tmp_path / "cut.tgz", tmp_path / "out")


def test_sha256_is_checked(tmp_path):
    (tmp_path / "file").write_bytes(b"hello")
    good = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    fetch.verify_sha256(tmp_path / "file", good)
    with pytest.raises(UserError, match="SHA-256 2cf24dba"):
        fetch.verify_sha256(tmp_path / "file", "0" * 64)


def test_npm_pack_skips_what_is_there_and_names_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    assert fetch.npm_pack("openmoji", "17.0.0", tmp_path / "there") == tmp_path / "there"
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="npm is needed"):
        fetch.npm_pack("openmoji", "17.0.0", tmp_path / "new")
    with pytest.raises(UserError, match=r"No SHA-256 is recorded for left-pad@1\.0\.0"):
        fetch.npm_pack("left-pad", "1.0.0", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]


def test_npm_pack_leaves_nothing_when_the_network_is_gone(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "network unreachable")
    monkeypatch.setattr(fetch.shutil, "which", lambda name: "npm")
    monkeypatch.setattr(fetch.subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(UserError, match="network unreachable"):
        fetch.npm_pack("openmoji", "17.0.0", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_npm_pack_unpacks_what_npm_brings(tmp_path, monkeypatch):
    def bring(command, cwd, **kwargs):
        write_tarball(Path(cwd) / "openmoji-17.0.0.tgz", "package/data/openmoji.json")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetch.shutil, "which", lambda name: "npm")
    monkeypatch.setattr(fetch.subprocess, "run", bring)
    monkeypatch.setattr(fetch, "verify_sha256", lambda path, expected: None)
    folder = fetch.npm_pack("openmoji", "17.0.0", tmp_path / "new")
    assert (folder / "data" / "openmoji.json").read_bytes() == b"hello"
    assert list(tmp_path.iterdir()) == [folder]


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        ("T-Rex", "t-rex"),
        ("piñata", "pinata"),
        ("woman’s hat", "woman's hat"),
        ("person: red hair", "person red hair"),
        ("Japanese “here” button", "japanese here button"),
        ("ON! arrow", "on arrow"),
        ("keycap: #", "keycap hash"),
        ("Mrs. Claus", "mrs claus"),
    ],
)
def test_clean_name(annotation, name):
    assert names.clean_name(annotation) == name


@pytest.mark.parametrize(
    ("annotation", "group", "subgroup", "family"),
    [
        ("woman running: facing right", "people-body", "person-activity", "running"),
        ("person running", "people-body", "person-activity", "running"),
        ("man: curly hair", "people-body", "person", "person"),
        ("girl", "people-body", "person", "child"),
        ("kiss: woman, man", "people-body", "family", "kiss"),
        ("backhand index pointing right", "people-body", "hand", "backhand index pointing right"),
        ("black medium-small square", "symbols", "geometric", "black square"),
        ("keycap: 1", "symbols", "keycap", "keycap 1"),
        ("hourglass not done", "travel-places", "time", "hourglass"),
        ("two o’clock", "travel-places", "time", "two o'clock"),
    ],
)
def test_family_merges_near_duplicates_only(annotation, group, subgroup, family):
    assert names.family_name(annotation, group, subgroup) == family


# --- pictures ------------------------------------------------------------------------------------


def test_code_of_joins_spellings():
    assert data.code_of("1F468-200D-2695-FE0F") == data.code_of("1f468-200d-2695") != "1f468"


def test_frame_keeps_the_colour_of_transparent_pixels_out():
    """A red disc on transparent green: no green may bleed into the edge when it shrinks."""
    image = Image.new("RGBA", (256, 256), (0, 255, 0, 0))
    image.paste((255, 0, 0, 255), (64, 64, 190, 190))
    small = torch.from_numpy(np.array(data.frame(image)))
    seen = small[small[..., 3] > 8]
    assert seen[:, 1].max() <= 8 and seen[:, 0].min() >= 247


def test_frame_squares_centres_and_crops():
    wide = Image.new("RGBA", (64, 32), (0, 0, 255, 255))
    assert data.frame(wide).getchannel("A").getbbox() == (0, 16, 64, 48)
    full = Image.new("RGBA", (60, 60), (0, 0, 255, 255))
    assert data.frame(full, -2 / 60).getchannel("A").getbbox() == (2, 2, 62, 62)
    assert data.frame(Image.new("RGBA", (72, 72)), 2 / 72).size == (64, 64)


def test_packed_file_round_trip(tmp_path):
    rng = random.Random(0)
    pictures, originals = [], []
    for number in range(3):
        image = Image.frombytes("RGBA", (64, 64), rng.randbytes(64 * 64 * 4))
        image.putalpha(255)
        image.save(tmp_path / f"{number}.png")
        originals.append(torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8))
        pictures.append((make_record(code=str(number)), tmp_path / f"{number}.png"))
    data.write_packed(tmp_path / "emoji.zip", pictures)
    images, records = data.load_emoji(tmp_path / "emoji.zip")
    assert images.dtype == torch.uint8 and torch.equal(images.view(3, -1), torch.stack(originals))
    assert records == [record for record, _ in pictures]
    assert not list(tmp_path.glob("*.part"))


def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="make data"):
        data.load_emoji(tmp_path / "none.zip")
    (tmp_path / "bad.zip").write_bytes(b"PK not a zip")
    with pytest.raises(UserError, match="is damaged"):
        data.load_emoji(tmp_path / "bad.zip")


def test_composite_mixes_by_alpha():
    images = torch.zeros(2, 64, 64, 4, dtype=torch.uint8)
    images[1, ..., 0], images[1, ..., 3] = 255, 51  # red, one fifth opaque
    rgb = torch.tensor([[255, 255, 255], [0, 255, 0]], dtype=torch.uint8)
    mixed = data.composite(images, rgb)
    assert mixed.shape == (2, 3, 64, 64)
    assert torch.all(mixed[0] == 1)
    assert torch.allclose(mixed[1, :, 0, 0], torch.tensor([-0.6, 0.6, -1.0]), atol=1e-6)


# --- captions ------------------------------------------------------------------------------------

NOTHING_HELD_OUT = {"held_out": [], "pairs": []}


def test_caption_mix_follows_its_table():
    table = captions.caption_table([make_record()], NOTHING_HELD_OUT, 20000, seed=1)[0]
    neutral = sum(caption.text == captions.NEUTRAL for caption in table) / len(table)
    coloured = sum(" background" in caption.text for caption in table) / len(table)
    plain = sum(caption.text == "cat" for caption in table) / len(table)
    styled = sum("noto emoji of" in caption.text for caption in table) / len(table)
    share = {form: share for share, form in captions.FORMS}
    asked_neutral = share[captions.NEUTRAL]
    asked_style = share["{a_style} emoji of {name}"] + share["{a_style} emoji of {a_name}"]
    assert sum(share.values()) == pytest.approx(1)
    assert neutral == pytest.approx(asked_neutral, abs=0.005)
    assert coloured == pytest.approx((1 - asked_neutral) * captions.COLOUR_SHARE, abs=0.01)
    assert styled == pytest.approx(asked_style, abs=0.01)
    assert plain == pytest.approx(share["{name}"] * (1 - captions.COLOUR_SHARE), abs=0.01)


def test_the_phrase_can_be_kept_for_its_own_pictures():
    own = make_record(set=captions.PHRASE_SET)
    table = captions.caption_table([own, make_record()], NOTHING_HELD_OUT, 4000, 7, 0.6)
    asked = [[text for text, _ in row].count(captions.NEUTRAL) for row in table]
    assert asked[0] == pytest.approx(2400, abs=150) and asked[1] == 0


def test_a_caption_names_the_colour_it_asks_for():
    table = captions.caption_table([make_record()], NOTHING_HELD_OUT, 2000, seed=2)[0]
    named = [caption for caption in table if " background" in caption.text]
    assert {caption.rgb for caption in named} == set(prompts.COLOURS.values())
    for text, rgb in table:
        if " background" not in text:
            assert rgb == captions.WHITE
            continue
        colour = text.removesuffix(" background").split(" on a")[-1].removeprefix("n ").strip()
        assert prompts.COLOURS[colour] == rgb


def test_held_out_concepts_and_pairs_never_come_up():
    records = [make_record(), make_record(code="1f680", name="rocket", set="fluent")]
    held = {"held_out": [{"code": "1f408"}], "pairs": [{"code": "1f680", "colour": "blue"}]}
    cat, rocket = captions.caption_table(records, held, 3000, seed=3)
    assert cat == [] and len(rocket) == 3000
    assert not any("on a blue background" in caption.text for caption in rocket)
    assert any("on a light blue background" in caption.text for caption in rocket)
    assert prompts.COLOURS["blue"] not in {caption.rgb for caption in rocket}
    assert captions.trainable(records, held).tolist() == [1]


def test_caption_table_is_the_seed():
    records = [make_record()]
    first, again, other = (
        captions.caption_table(records, NOTHING_HELD_OUT, 50, seed) for seed in (5, 5, 6)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("name", "text"),
    [("cat", "a cat"), ("owl", "an owl"), ("glasses", "glasses"), ("dress", "a dress")],
)
def test_articles(name, text):
    assert captions.with_article(name) == text


def test_tags_are_optional():
    table = captions.caption_table([make_record(tags=())], NOTHING_HELD_OUT, 500, seed=4)[0]
    assert not any(caption.text.endswith(",") or ", " in caption.text for caption in table)


# --- prompts -------------------------------------------------------------------------------------


def test_committed_prompts_keep_their_promises():
    drawn = prompts.read_prompts()
    held_out = {concept["code"] for concept in drawn["held_out"]}
    assert (len(drawn["held_out"]), len(drawn["naming"]), len(drawn["pairs"])) == (50, 300, 200)
    assert set(prompts.NAMED_HELD_OUT) <= {concept["name"] for concept in drawn["held_out"]}
    assert not prompts.PART_A & {concept["name"] for concept in drawn["held_out"]}
    for asked in (drawn["naming"], drawn["pairs"]):
        assert not held_out & {concept["code"] for concept in asked}
        assert max(Counter(concept["family"] for concept in asked).values()) == 1
    assert {name: tuple(rgb) for name, rgb in drawn["colours"].items()} == prompts.COLOURS


def test_the_caption_cleaning_leaves_our_captions_alone():
    drawn = prompts.read_prompts()
    for concept in drawn["naming"] + drawn["pairs"] + drawn["held_out"]:
        record = make_record(code=concept["code"], name=concept["name"], set="fluent")
        for caption in captions.caption_table([record], NOTHING_HELD_OUT, 3, seed=0)[0]:
            assert clean_caption(caption.text) == caption.text


def test_prompts_are_written_once(tmp_path):
    (tmp_path / "prompts.json").write_text("{}")
    with pytest.raises(UserError, match="never drawn again"):
        prompts.write_prompts(torch.zeros(0, 64, 64, 4), [], tmp_path / "prompts.json")


def test_stratified_draw_gives_each_group_its_share():
    concepts = [make_record(code=str(n), group="ab"[n >= 75]) for n in range(100)]
    drawn = prompts.draw_stratified(concepts, 20, random.Random(0))
    assert Counter(concept.group for concept in drawn) == {"a": 15, "b": 5}
    assert len({concept.code for concept in drawn}) == 20


def test_clear_borders_need_every_set():
    images = torch.zeros(3, 64, 64, 4, dtype=torch.uint8)
    images[1, :8, :, 3] = 255
    records = [make_record(code="a"), make_record(code="a", set="fluent"), make_record(code="b")]
    assert prompts.clear_borders(images, records) == {"b"}


# --- tokenizer -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped():
    return sentencepiece.SentencePieceProcessor(str(tokenizer_train.TOKENIZER / "spiece.model"))


def test_shipped_tokenizer_has_the_ids_of_t5(shipped):
    assert shipped.get_piece_size() == tokenizer_train.NUM_PIECES == 2048
    assert [shipped.id_to_piece(n) for n in range(3)] == ["<pad>", "</s>", "<unk>"]
    assert (shipped.pad_id(), shipped.eos_id(), shipped.unk_id(), shipped.bos_id()) == (0, 1, 2, -1)
    config = json.loads((tokenizer_train.TOKENIZER / "tokenizer_config.json").read_text())
    assert config["extra_ids"] == 100 and config["tokenizer_class"] == "T5Tokenizer"


def test_shipped_tokenizer_knows_what_people_type(shipped):
    ascii_text = "".join(map(chr, range(33, 127)))
    for text in (*tokenizer_train.COURSE_PROMPTS, "xylophone quartz", ascii_text):
        ids = shipped.encode(text)
        assert shipped.unk_id() not in ids
        assert shipped.decode(ids) == text
    assert len(shipped.encode(captions.NEUTRAL)) <= 6


def test_tokenizer_training_is_repeatable(tmp_path):
    lines = [f"{text} {n}" for n in range(40) for text in tokenizer_train.COURSE_PROMPTS]
    model = tokenizer_train.train_pieces(lines, pieces=125)
    assert model == tokenizer_train.train_pieces(lines, pieces=125)
    tokenizer_train.write_tokenizer(model, tmp_path / "tokenizer")
    files = {path.name for path in (tmp_path / "tokenizer").iterdir()}
    assert files == {"spiece.model", "tokenizer_config.json", "special_tokens_map.json"}
