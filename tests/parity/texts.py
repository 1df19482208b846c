"""Tokenizer against T5Tokenizer and sentencepiece, caption cleaning against IFPipeline's."""

import io
import random
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import sentencepiece
from diffusers import IFPipeline
from transformers import T5Tokenizer

from minidiff.deepfloyd.captions import clean_caption
from minidiff.deepfloyd.tokenizer import Tokenizer
from minidiff.io.paths import DEMO
from tests.parity.table import Check
from tests.strings import (
    CAPTIONS,
    COMPATIBILITY,
    EMOJI,
    MARKS,
    PROMPTS,
    SCRIPTS,
    TOKENIZER,
    drawn_captions,
    drawn_strings,
)

LANGUAGES = PROMPTS + COMPATIBILITY + MARKS + SCRIPTS + EMOJI


def checks() -> Iterator[Check]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the prompt is longer")
        strings = TOKENIZER + drawn_strings(1500, seed=3)
        yield tokenizers("tokenizer, the demo's 2,048 pieces", 2147, DEMO, strings)
        with tempfile.TemporaryDirectory() as folder:
            train_tokenizer(Path(folder))
            yield tokenizers("tokenizer, pieces of 25 scripts", 2147, Path(folder), strings)
        yield plain_sentencepiece()
        yield captions()


def tokenizers(what: str, stated: int, folder: Path, strings: list[str]) -> Check:
    """ids and mask, padded and truncated as IFPipeline asks for them."""
    check = Check(what, stated)
    ids, mask = Tokenizer.from_folder(folder)(strings)
    reference = T5Tokenizer.from_pretrained(folder / "tokenizer")(
        strings, padding="max_length", max_length=77, truncation=True, add_special_tokens=True
    )
    for row, text in enumerate(strings):
        ours = (ids[row].tolist(), mask[row].tolist())
        theirs = (reference.input_ids[row], reference.attention_mask[row])
        check.equal(ours, theirs, ascii(text))
    return check


def train_tokenizer(folder: Path) -> None:
    """A model that has pieces of many scripts, so that their characters are not all unknown."""
    lines = [word for text in LANGUAGES for word in (text, *text.split())] * 20
    random.Random(0).shuffle(lines)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=1500,
        hard_vocab_limit=False, character_coverage=1.0, normalization_rule_name="nmt_nfkc",
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, num_threads=1, minloglevel=2,
    )  # fmt: skip
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "spiece.model").write_bytes(model.getvalue())


def plain_sentencepiece() -> Check:
    """On text without special tokens, U+0085 and marks on compatibility characters, sentencepiece
    itself gives the same pieces: what T5Tokenizer did before transformers 5, and the original."""
    check = Check("tokenizer against sentencepiece itself, usual text", stated=150)
    ours = Tokenizer.from_folder(DEMO)
    theirs = sentencepiece.SentencePieceProcessor(str(DEMO / "tokenizer" / "spiece.model"))
    for text in PROMPTS + SCRIPTS + EMOJI + drawn_captions(76, seed=4):
        check.equal([i for _, i in ours.tokens(text)], theirs.encode(text), ascii(text))
    return check


def captions() -> Check:
    """Once and twice cleaned."""
    check = Check("caption cleaning, once and twice", stated=2 * 1482)
    for text in CAPTIONS + drawn_captions(1000, seed=5):
        once, expected = clean_caption(text), IFPipeline._clean_caption(IFPipeline, text)
        check.equal(once, expected, ascii(text))
        twice = IFPipeline._clean_caption(IFPipeline, expected)
        check.equal(clean_caption(once), twice, ascii(text))
    return check
