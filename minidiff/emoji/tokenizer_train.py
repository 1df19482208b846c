"""The demo's own SentencePiece model, in T5's layout so that T5's tokenizer classes open it.

T5's ids: 0 `<pad>`, 1 `</s>`, 2 `<unk>`, no start token; nmt_nfkc normalisation, no byte fallback.
2,048 pieces instead of 32,000, followed by T5's 100 extra ids (2048 is `<extra_id_99>`, 2147
`<extra_id_0>`). The embedding has EMBEDDING_ROWS rows, the next multiple of 128.
"""

import io
import json
import random
import string
from pathlib import Path

import sentencepiece

from minidiff.emoji.captions import caption_table
from minidiff.emoji.data import Record
from minidiff.io.files import save_atomically
from minidiff.io.paths import DEMO

TOKENIZER = DEMO / "tokenizer"
NUM_PIECES, NUM_EXTRA, EMBEDDING_ROWS = 2048, 100, 2176
CAPTIONS_EACH = 4  # captions per picture in the corpus
REPEATS = 60  # how often each of COURSE_PROMPTS and ENGLISH is said, to earn pieces of their own

# The prompts of the course's report (course spec, A.0 to A.1.9).
COURSE_PROMPTS = (
    "an oil painting of a snowy mountain village",
    "a photo of the amalfi coast",
    "a photo of a man",
    "a photo of a hipster barista",
    "a photo of a dog",
    "an oil painting of people around a campfire",
    "an oil painting of an old man",
    "a lithograph of waterfalls",
    "a lithograph of a skull",
    "a man wearing a hat",
    "a high quality photo",
    "a high quality picture",
    "a rocket ship",
    "a pencil",
)
# Words that prompts are full of and emoji names are not.
ENGLISH = (
    "the a an of in on at by to from with without and or for over under near next to behind "
    "inside above below between around through into is are was it its his her their this that "
    "these those one two three four five six many some big small large tiny tall short long old "
    "young new happy sad angry funny cute beautiful bright dark light red orange yellow green "
    "blue purple pink brown black gray grey white golden silver colorful simple realistic "
    "detailed painting drawing sketch picture photo image portrait watercolor cartoon style "
    "background scene view landscape forest river lake ocean sea sky field street city town "
    "village building tower wearing holding sitting standing running walking flying eating "
    "looking playing sleeping riding playing day night morning evening winter summer spring "
    "autumn rain snow wind people friends family kid animal flower tree grass food water"
)


def corpus(records: list[Record], prompts: dict, seed: int) -> list[str]:
    """The training sentences: captions without the held-out concepts, the course's prompts,
    common words, and the tags."""
    captions = caption_table(records, prompts, CAPTIONS_EACH, seed)
    lines = [caption.text for row in captions for caption in row]
    lines += [tag for record, row in zip(records, captions) if row for tag in record.tags]
    lines += [*COURSE_PROMPTS, *ENGLISH.split()] * REPEATS
    random.Random(seed).shuffle(lines)
    return lines


def train_pieces(lines: list[str], pieces: int = NUM_PIECES) -> bytes:
    """A SentencePiece unigram model with T5's ids, as the bytes of spiece.model."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="unigram",
        vocab_size=pieces,
        character_coverage=1.0,
        normalization_rule_name="nmt_nfkc",
        required_chars=string.ascii_letters + string.digits + string.punctuation,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        pad_piece="<pad>",
        eos_piece="</s>",
        unk_piece="<unk>",
        byte_fallback=False,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def write_tokenizer(model: bytes, folder: Path = TOKENIZER) -> None:
    """Write spiece.model and the two JSON files that an official tokenizer folder has."""
    special = {
        "additional_special_tokens": [f"<extra_id_{n}>" for n in range(NUM_EXTRA)],
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
    }
    config = {
        **special,
        "extra_ids": NUM_EXTRA,
        "model_max_length": 512,
        "sp_model_kwargs": {},
        "tokenizer_class": "T5Tokenizer",
    }
    files = {
        "spiece.model": model,
        "special_tokens_map.json": (json.dumps(special, indent=2) + "\n").encode(),
        "tokenizer_config.json": (json.dumps(config, indent=2) + "\n").encode(),
    }
    for name, content in files.items():
        save_atomically(folder / name, lambda file, content=content: file.write(content))


def write_words(told: dict[str, list[str]], folder: Path = TOKENIZER) -> None:
    """Write words.json, see captions.told: users are told of words that are not in it."""
    content = json.dumps(told, indent=0) + "\n"
    save_atomically(folder / "words.json", lambda file: file.write(content.encode()))
