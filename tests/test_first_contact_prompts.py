"""Prompts in signs and words that the tokenizer may not know, and numbers of steps."""

import pickle
import warnings

import pytest
import torch
from tiny_checkpoint import write_tiny_checkpoint

import minidiff
from minidiff.cli import main
from minidiff.deepfloyd.embeddings import read_embeddings, save_embeddings
from minidiff.deepfloyd.signs import Signs
from minidiff.deepfloyd.text import TextEncoder
from minidiff.deepfloyd.words import Words
from minidiff.errors import UserError
from minidiff.io.paths import DEMO
from minidiff.plan import make_plan

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def signs():
    return Signs.from_folder(DEMO)


@pytest.fixture(scope="module")
def demo():
    return TextEncoder(DEMO, CPU, torch.float32)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "tiny")
    return TextEncoder(folder, CPU, torch.float32)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("🍕", "pizza"),
        ("🐱", "cat face"),
        ("a 🍕 on a table", "a pizza on a table"),
        ("🍕, red", "pizza, red"),
        ("🐱🐶", "cat face dog face"),
        ("👍🏽", "thumbs up"),  # a skin tone
        ("👩🏾‍🚀", "woman astronaut"),  # a joined sequence, with a skin tone inside
        ("👩‍🐕", "woman dog"),  # joined, but no sequence that there is
        ("❤️", "red heart"),
        ("❤", "red heart"),  # without the variation selector
        ("✈︎", "airplane"),  # with the other one
        ("1️⃣", "keycap 1"),
        ("🏳️‍🌈", "rainbow flag"),
        ("🇩🇪", "flag germany"),
        ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", "flag england"),
        ("Lego© brick", "Lego© brick"),  # a letter-like sign, not an emoji
        ("©️", "copyright"),
        ("room 1", "room 1"),
        ("naïve", "naïve"),
    ],
)
def test_emoji_are_read_by_their_names(signs, prompt, words):
    assert signs(prompt) == words


def test_the_demo_draws_the_emoji_that_is_typed(demo):
    with pytest.warns(UserWarning, match="🍕 as 'pizza'"):
        seen = demo(["🍕"])
    assert torch.equal(seen, demo(["pizza"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not torch.equal(demo(["🐱"]), demo(["🐶"]))


def test_official_weights_get_no_names(official):
    assert official.signs.names == {}
    with pytest.warns(UserWarning, match="does not know '🍕'"):
        official(["a 🍕"])


@pytest.mark.parametrize("prompt", ["кошка", "собака", "𐍈𐍉", "кошка!"])
def test_refused_where_nothing_is_left(demo, official, prompt):
    for encoder in (demo, official):
        with pytest.raises(UserError, match="knows nothing of the prompt"):
            encoder([prompt])
        with pytest.raises(UserError, match="knows nothing of the prompt"):
            encoder.check([prompt])


def test_unknown_parts_are_noted(demo):
    with pytest.warns(UserWarning, match="does not know 'ï' of 'naïve'"):
        demo(["naïve"])
    with pytest.warns(UserWarning, match="does not know 'кошка'"):
        demo(["a cat or кошка"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        demo(["a cat", ""])


def test_a_damaged_table_of_names(official, tmp_path):
    for content in ('{"zz": "pizza"}', "[1]", "{"):
        (tmp_path / "tokenizer").mkdir(exist_ok=True)
        (tmp_path / "tokenizer/emoji_names.json").write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match="emoji_names.json"):
            Signs.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("prompt", "strange"),
    [
        ("a corgi on a table", "'corgi', 'table'"),
        ("Motorbike!", "'motorbike'"),
        ("a cat, the campanile", "'campanile'"),
    ],
)
def test_words_that_the_demo_was_never_told_are_noted(demo, prompt, strange):
    with pytest.warns(UserWarning, match=f"was never told {strange}: it draws something"):
        demo([prompt])


@pytest.mark.parametrize(
    "prompt",
    ["", "a cat", "A red apple on a light blue background", "a high quality photo",
     "an oil painting of an old man's face", "a cat under its umbrella",
     "a noto emoji of sunflower, plant, yellow"],
)  # fmt: skip
def test_words_of_the_captions_are_not_noted(demo, prompt):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        demo([prompt])


def test_official_weights_know_every_word(official):
    assert official.words.names == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        official(["a corgi at the campanile"])


@pytest.mark.parametrize("content", ["{}", "[1]", '{"words": [1], "names": []}', '{"words": "a"}'])
def test_a_damaged_list_of_words(tmp_path, content):
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer/words.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="words.json"):
        Words.from_folder(tmp_path)


def test_names_are_those_of_pictures(capsys):
    assert main(["names", "fish"]) == 0
    found = capsys.readouterr().out.splitlines()
    assert "tropical fish" in found
    assert all("fish" in name for name in found)
    assert main(["names", "pole", "fishing"]) == 0
    assert capsys.readouterr().out == "fishing pole\n"
    assert main(["names"]) == 0
    everything = capsys.readouterr().out.splitlines()
    assert set(found) < set(everything)
    assert not {"flag france", "tokyo tower"} & set(everything)  # no picture, and held out


@pytest.mark.filterwarnings("ignore")
def test_names_read_emoji_as_prompts_do(capsys):
    assert main(["names", "🐱"]) == 0
    assert "cat face" in capsys.readouterr().out.splitlines()


def test_names_that_are_not_there(official, tmp_path, capsys):
    for arguments, says in (
        (["motorcylce"], "near are motorcycle"),
        (["qqqqqqqq"], "has 'qqqqqqqq' in it; `python -m minidiff names` lists them all"),
        (["fish", "chips"], "has 'fish' and 'chips' together; nothing has 'chips'; there are some"),
        (["fish", "pizza"], "together; there are some with 'fish' (fish, "),
        (["--weights", str(official.folder)], "lists no names: it reads any English"),
        (["--weights", str(tmp_path / "nowhere")], "there is no folder"),
    ):
        assert main(["names", *arguments]) == 2
        assert says in capsys.readouterr().err


def test_steps_that_begin_in_the_middle_say_so(official):
    model = minidiff.load(official.folder, "cpu")
    with pytest.warns(UserWarning, match="600 leading steps begin at t = 599"):
        make_plan(model, steps=600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_plan(model, steps=50)
        make_plan(model, steps=1000)


# --- embeddings ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def states():
    return {"a cat": torch.randn(1, 77, 32), "a dog": torch.randn(1, 77, 32)}


@pytest.mark.parametrize("name", ["e.pkl", "e.PTH", "e.bin", "e.download", "e.safetensors", "e"])
@pytest.mark.parametrize("legacy", [False, True])
def test_the_first_bytes_say_what_a_file_is(states, tmp_path, name, legacy):
    torch.save(states, tmp_path / name, _use_new_zipfile_serialization=not legacy)
    assert set(read_embeddings(tmp_path / name)) == set(states)
    save_embeddings({k: x[0] for k, x in states.items()}, tmp_path / name)
    assert set(read_embeddings(tmp_path / name)) == set(states)


def test_what_is_no_tensor_is_named(states, tmp_path):
    from collections import defaultdict

    torch.save({k: x.numpy() for k, x in states.items()}, tmp_path / "numpy.pth")
    with pytest.raises(UserError, match=r"holds numpy.*as_tensor"):
        read_embeddings(tmp_path / "numpy.pth")
    torch.save(defaultdict(list, states), tmp_path / "default.pth")
    with pytest.raises(UserError, match=r"holds collections\.defaultdict"):
        read_embeddings(tmp_path / "default.pth")


def test_the_empty_prompt_is_needed_only_by_guidance(official, states, tmp_path):
    path = save_embeddings({k: x[0] for k, x in states.items()}, tmp_path / "e.safetensors")
    studio = minidiff.open(official.folder, "cpu", embeddings=path)
    with pytest.raises(UserError, match="the empty prompt, which guidance compares with"):
        studio.draw("a cat", steps=10)
    assert len(studio.draw("a cat", steps="fast27", guidance=1)) == 1


@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_pickle_is_told_what_to_save_instead(tmp_path, capsys, protocol):
    path = tmp_path / "plain.pth"
    path.write_bytes(pickle.dumps({"a cat": [1.0]}, protocol=protocol))
    assert main(["convert", str(path), str(tmp_path / "x.safetensors")]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "torch.save has made" in said and "save plain tensors" in said


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(50), "is a picture: what `python -m minidiff"),
        ("photo.pth", b"\xff\xd8\xff\xe0" + bytes(50), "is a picture: what `python -m minidiff"),
        ("notes.txt", b"a cat and a dog", "is no file of text states: what `python -m minidiff"),
        ("empty.pth", b"", "is an empty file: what"),
        ("cut.pth", b"PK\x03\x04" + bytes(50), "fetch or save it again"),
        ("lfs.pth", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("cut.safetensors", b"\x08\0\0\0\0\0\0\0{", "not a whole safetensors file"),
    ],
)
def test_what_holds_no_states_is_told_what_is_wanted(tmp_path, capsys, name, content, says):
    (tmp_path / name).write_bytes(content)
    assert main(["convert", str(tmp_path / name), str(tmp_path / "x.safetensors")]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert len(said.splitlines()) == 1
