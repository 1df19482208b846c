"""The tokenizer gives T5Tokenizer's ids, says what it cuts, and refuses broken files and text."""

import json
import shutil
import warnings

import pytest
import torch
from reference_files import read_texts
from tiny_checkpoint import write_tiny_checkpoint

from minidiff.deepfloyd.text import TextEncoder
from minidiff.deepfloyd.tokenizer import Tokenizer, clusters
from minidiff.errors import UserError
from minidiff.io.paths import DEMO

PAIRS = read_texts()["ids"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_folder(DEMO)


@pytest.fixture
def folder(tmp_path):
    """A checkpoint's tokenizer that a test may damage."""
    shutil.copytree(DEMO / "tokenizer", tmp_path / "tokenizer")
    return tmp_path


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids without padding."""
    (row,), (mask,) = tokenizer([text])
    return row[mask.bool()].tolist()


# --- parity with the committed reference outputs ----------------------------------------------


def test_ids_are_the_reference_s(tokenizer):
    assert len(PAIRS) >= 600
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = [text for text, expected in PAIRS if ids(tokenizer, text) != expected]
    assert wrong == []


def test_shapes_padding_and_mask(tokenizer):
    rows, mask = tokenizer(["", "a photo of a dog"])
    assert rows.shape == mask.shape == (2, 77)
    assert rows.dtype == mask.dtype == torch.int64
    assert rows[0].tolist() == [1] + [0] * 76
    assert mask[0].tolist() == [1] + [0] * 76
    length = int(mask[1].sum())
    assert rows[1, length - 1] == 1
    assert rows[1, length:].sum() == 0
    assert mask[1].tolist() == [1] * length + [0] * (77 - length)


def test_no_prompts_give_no_rows(tokenizer):
    rows, mask = tokenizer([])
    assert rows.shape == mask.shape == (0, 77)


# --- pieces -----------------------------------------------------------------------------------


def test_pieces_spell_the_prompt(tokenizer):
    pieces = tokenizer.tokens("a photo of a dog")
    assert "".join(text for text, _ in pieces) == "▁a▁photo▁of▁a▁dog"
    assert [tokenizer.ids[text] for text, _ in pieces] == [i for _, i in pieces]


def test_words_are_cut_into_the_most_probable_pieces(tokenizer):
    """Against trying every way to cut a word."""

    def best(word: str) -> float:
        if not word:
            return 0.0
        ways = [
            tokenizer.scores[tokenizer.ids[word[:end]]] + best(word[end:])
            for end in range(1, len(word) + 1)
            if word[:end] in tokenizer.ids
        ]
        return max(ways, default=float("-inf"))

    for word in ("▁photograph", "▁mountains", "▁xylophone", "▁a", "▁unhappy"):
        found = sum(tokenizer.scores[i] for _, i in tokenizer.cut(word))
        assert found == pytest.approx(best(word))


def test_runs_of_unknown_characters_are_one_token(tokenizer):
    assert tokenizer.tokens("漢字漢字")[1:] == [("漢字漢字", 2)]


def test_literal_special_tokens_are_themselves(tokenizer):
    size = len(tokenizer)
    assert tokenizer.tokens("</s><pad><unk>") == [("</s>", 1), ("<pad>", 0), ("<unk>", 2)]
    assert ids(tokenizer, "<extra_id_0>") == [size - 1, 1]
    assert ids(tokenizer, "<extra_id_99>") == [size - 100, 1]
    assert len(ids(tokenizer, "<extra_id_100>")) > 2  # there is no such token: letters


def test_white_space_does_not_matter(tokenizer):
    expected = ids(tokenizer, "a dog")
    for text in ("  a   dog ", "a\tdog\n", "a\u00a0dog", "a\u3000dog", "\u200ba dog", "a\u0085dog"):
        assert ids(tokenizer, text) == expected


def test_compatibility_characters_are_plain_ones(tokenizer):
    assert ids(tokenizer, "ﬁsh ２ ½") == ids(tokenizer, "fish 2 1⁄2")


def test_marks_stay_with_their_characters():
    assert list(clusters("e\u0301a\u0323\u0302b")) == ["e\u0301", "a\u0323\u0302", "b"]
    assert list(clusters("\u0301a")) == ["\u0301", "a"]
    assert list(clusters("\n\u0301")) == ["\n", "\u0301"]
    assert list(clusters("")) == []


def test_t5tokenizer_drops_marks_from_compatibility_characters(tokenizer):
    """sentencepiece by itself would make Á of it; transformers, which is followed, makes A."""
    assert tokenizer.normalise("Ａ\u0301") == "A"
    assert tokenizer.normalise("A\u0301") == "Á"


# --- what is cut ------------------------------------------------------------------------------


def test_names_what_was_cut(tokenizer):
    prompt = " ".join(["dog"] * 76 + ["purple", "elephants"])
    per_dog = len(tokenizer.tokens("dog"))
    assert per_dog == 1, "the test needs a word of one piece"
    with pytest.warns(UserWarning, match="longer than 76 tokens; cut off: purple elephants$"):
        rows, mask = tokenizer([prompt])
    assert mask.sum() == 77
    assert rows[0, -1] == 1  # the end token stays


def test_says_when_a_word_was_cut_in_its_middle(tokenizer):
    with pytest.warns(UserWarning, match=r"cut off: \.\.\.\S"):
        tokenizer(["dog " * 75 + "xqxqxqxqxq"])


def test_shows_only_the_beginning_of_a_long_cut(tokenizer):
    with pytest.warns(UserWarning) as caught:
        tokenizer(["dog " * 1000])
    assert len(str(caught[0].message)) < 300
    assert str(caught[0].message).endswith("...")


def test_a_prompt_that_just_fits_is_not_warned_of(tokenizer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, mask = tokenizer([" ".join(["dog"] * 76)])
    assert mask.sum() == 77


# --- what it refuses --------------------------------------------------------------------------


@pytest.mark.parametrize("prompts", ["a dog", [None], [1], ["a", b"b"]])
def test_refuses_what_is_no_list_of_texts(tokenizer, prompts):
    with pytest.raises(UserError, match="list of texts"):
        tokenizer(prompts)


def test_refuses_half_characters(tokenizer):
    with pytest.raises(UserError, match="position 2"):
        tokenizer(["a \ud800 b"])


def test_refuses_a_folder_without_model(tmp_path):
    with pytest.raises(UserError, match=r"spiece\.model is not there"):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a model", b"version https://git-lfs.github.com"])
def test_refuses_a_damaged_model(folder, content):
    (folder / "tokenizer" / "spiece.model").write_bytes(content)
    with pytest.raises(UserError, match=r"spiece\.model"):
        Tokenizer.from_folder(folder)


def test_refuses_a_truncated_model(folder):
    path = folder / "tokenizer" / "spiece.model"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"spiece\.model"):
        Tokenizer.from_folder(folder)


@pytest.mark.parametrize("config", ["", "[]", "{", '{"extra_ids": -1}', '{"extra_ids": "100"}'])
def test_refuses_a_broken_config(folder, config):
    (folder / "tokenizer" / "tokenizer_config.json").write_text(config)
    with pytest.raises(UserError, match="tokenizer_config"):
        Tokenizer.from_folder(folder)


def test_extra_ids_follow_the_config(folder):
    path = folder / "tokenizer" / "tokenizer_config.json"
    with_all = Tokenizer.from_folder(folder)
    path.write_text(json.dumps({"extra_ids": 10}))
    with_ten = Tokenizer.from_folder(folder)
    path.unlink()
    assert len(with_all) - len(with_ten) == 90
    assert len(Tokenizer.from_folder(folder)) == len(with_all)  # 100 is T5's number


def test_ids_must_have_embeddings(tmp_path):
    """The 100 extra ids too: a literal <extra_id_0> would otherwise end in an index error."""
    write_tiny_checkpoint(tmp_path)
    path = tmp_path / "text_encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": 2048}))
    with pytest.raises(UserError, match="2148 ids, but the text encoder only 2048"):
        TextEncoder(tmp_path, torch.device("cpu"), torch.float32).load()
