"""The texts an emoji picture is trained with, and the background each text asks for.

One picture, many captions: its plain name, so that naming works; half of them with the set it
comes from, so that a style can be asked for; two fifths of them with a named background. The words
"photo", "oil painting" and "lithograph" change nothing in the picture. They are there so that a
prompt of the course, "a lithograph of a skull", reaches the noun.
"""

import random
from collections import defaultdict
from typing import NamedTuple

import torch

from minidiff.deepfloyd.words import words_in
from minidiff.emoji.data import Record
from minidiff.emoji.prompts import COLOURS

NEUTRAL = "a high quality photo"  # the course's prompt for "no prompt in particular"
# What the phrase stands for where it stands for something: shaded animals, plants, food on white.
# A phrase that names all pictures names the same as the empty prompt, and guidance then has no
# direction; one that names 800 of them makes lumps of some in a network of this size.
PHRASE_SET = "fluent"
PHRASE_GROUPS = ("animals-nature", "food-drink")
WHITE = COLOURS["white"]
COLOUR_SHARE = 0.4

# Share of the captions -> what they look like. KIND is drawn from KINDS, TAGS are one to three.
FORMS = (
    (0.26, "{name}"),
    (0.08, "{a_name}"),
    (0.38, "{a_style} emoji of {name}"),
    (0.12, "{a_style} emoji of {a_name}"),
    (0.07, "{a_kind} of {a_name}"),
    (0.05, "{name}, {tags}"),
    (0.04, NEUTRAL),
)
KINDS = ("picture", "photo", "drawing", "emoji", "oil painting", "lithograph")


class Caption(NamedTuple):
    """A prompt and the background to composite the picture on, 0..255."""

    text: str
    rgb: tuple[int, int, int]


def of_phrase(record: Record) -> bool:
    """Whether a picture is one of those that the phrase "a high quality photo" should stand for."""
    return record.set == PHRASE_SET and record.group in PHRASE_GROUPS


def with_article(name: str) -> str:
    """The name with "a" or "an"; without one where the last word looks like a plural."""
    if name.endswith("s") and not name.endswith(("ss", "us", "is")):
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def draw_caption(
    record: Record, barred: frozenset[str], rng: random.Random, phrase_share: float = 0.0
) -> Caption:
    """One caption of FORMS; barred: the colours this concept is never shown on in training.

    phrase_share: how many captions of the phrase's own pictures are the phrase. It is then no
    caption of any other picture; at 0 it is one of every picture's.
    """
    if phrase_share and of_phrase(record) and rng.random() < phrase_share:
        return Caption(NEUTRAL, WHITE)
    shares, forms = zip(*(row for row in FORMS if not phrase_share or row[1] != NEUTRAL))
    form = rng.choices(forms, shares)[0]
    if form == NEUTRAL:
        return Caption(NEUTRAL, WHITE)
    tags = rng.sample(record.tags, min(len(record.tags), rng.randint(1, 3)))
    text = form.format(
        name=record.name,
        a_name=with_article(record.name),
        a_style=with_article(record.set),
        a_kind=with_article(rng.choice(KINDS)),
        tags=", ".join(tags),
    ).strip(", ")
    if rng.random() >= COLOUR_SHARE:
        return Caption(text, WHITE)
    colour = rng.choice([name for name in COLOURS if name not in barred])
    return Caption(f"{text} on {with_article(colour)} background", COLOURS[colour])


def caption_table(
    records: list[Record], prompts: dict, variants: int, seed: int, phrase_share: float = 0.0
) -> list[list[Caption]]:
    """For each record `variants` captions, so that training tokenizes once.

    prompts: prompts.json. A held-out concept gets an empty list: skip its pictures. A held-out
    (concept, colour) pair never comes up; its concept appears on other backgrounds.
    """
    held_out = {concept["code"] for concept in prompts["held_out"]}
    barred = {pair["code"]: frozenset([pair["colour"]]) for pair in prompts["pairs"]}
    rng = random.Random(seed)
    table = []
    for record in records:
        count = 0 if record.code in held_out else variants
        never = barred.get(record.code, frozenset())
        table.append([draw_caption(record, never, rng, phrase_share) for _ in range(count)])
    return table


def told(records: list[Record], prompts: dict) -> dict[str, list[str]]:
    """What tokenizer/words.json says of a training: its pictures' names, its captions' words."""
    kept = [records[i] for i in trainable(records, prompts)]
    said = {text for record in kept for text in (record.name, record.set, *record.tags)}
    said |= {form.format_map(defaultdict(str)) for _, form in FORMS}
    said |= {*KINDS, *COLOURS, "a an on background"}
    words = {word for text in said for word in words_in(text.lower())}
    return {"names": sorted({record.name for record in kept}), "words": sorted(words)}


def trainable(records: list[Record], prompts: dict) -> torch.Tensor:
    """int64 indices of the pictures that may be trained on: all but the held-out concepts'."""
    held_out = {concept["code"] for concept in prompts["held_out"]}
    return torch.tensor([n for n, record in enumerate(records) if record.code not in held_out])
