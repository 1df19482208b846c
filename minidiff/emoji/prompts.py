"""What the demo is judged on: drawn once from a seed, committed before any training, not edited.

`weights/emoji-64/eval/prompts.json` holds four things. `held_out`: concepts whose pictures no set
may train on. `naming`: names to draw. `pairs`: (concept, background colour) never trained
together. `colours`: the named backgrounds. draw_prompts makes the same file again from the packed
emoji, so that anyone can check that nothing was picked by hand except what NAMED_HELD_OUT and
PART_A say.
"""

import json
import random
from collections import defaultdict
from pathlib import Path

import torch

from minidiff.emoji.data import SETS, Record
from minidiff.errors import UserError
from minidiff.io.files import save_atomically
from minidiff.io.paths import DEMO

PROMPTS = DEMO / "eval" / "prompts.json"
SEED = 180
NUM_HELD_OUT, NUM_NAMING, NUM_PAIRS = 50, 300, 200

# The named backgrounds, 0..255. Far enough apart that the nearest one is never in doubt.
COLOURS = {
    "red": (225, 45, 45),
    "orange": (250, 145, 30),
    "yellow": (255, 225, 60),
    "green": (50, 160, 70),
    "blue": (40, 90, 210),
    "light blue": (150, 210, 250),
    "purple": (125, 60, 175),
    "pink": (255, 160, 200),
    "brown": (120, 75, 40),
    "black": (0, 0, 0),
    "gray": (128, 128, 128),
    "white": (255, 255, 255),
}

# Held out by name: towers, for Part A's figures need a stand-in for the Campanile that the model
# has never seen.
NAMED_HELD_OUT = ("tokyo tower", "statue of liberty", "mosque", "japanese castle")

# Never held out: what the prompts of Part A ask for.
# fmt: off
PART_A = {
    "rocket", "skull", "pencil", "fire", "camping", "old man", "old woman", "dog", "dog face",
    "cat", "cat face", "man", "woman", "top hat", "cowboy hat face", "mountain",
    "snow-capped mountain", "mount fuji", "houses", "house", "water wave", "droplet", "fountain",
    "sunrise", "sunset", "deciduous tree", "evergreen tree", "hot beverage",
    "beach with umbrella", "face with tears of joy", "red heart",
}
# fmt: on

BORDER = 2  # pixels; the ring in which a background is looked for


def draw_prompts(images: torch.Tensor, records: list[Record], seed: int = SEED) -> dict:
    """Draw the evaluation prompts; (N, 64, 64, 4) uint8 images, their records -> prompts.json.

    Every draw is stratified: each group gets its share of the families that may be drawn.
    """
    rng = random.Random(seed)
    concepts, clear = concepts_in_all_sets(records), clear_borders(images, records)
    named = [c for c in concepts if c.name in NAMED_HELD_OUT]
    size = family_sizes(records)
    rest = [
        c
        for c in concepts
        if size[c.family] == 1
        and c.code in clear
        and c.group != "symbols"
        and c.name not in PART_A | set(NAMED_HELD_OUT)
    ]
    held_out = named + draw_stratified(rest, NUM_HELD_OUT - len(named), rng)
    gone = {c.code for c in held_out}
    bases = first_of_family([c for c in concepts if c.code not in gone])
    naming = draw_stratified(bases, NUM_NAMING, rng)
    paired = draw_stratified([c for c in bases if c.code in clear], NUM_PAIRS, rng)
    colours = [name for name in COLOURS if name != "white"]
    pairs = [(c, colours[n % len(colours)]) for n, c in enumerate(paired)]
    return describe(seed, held_out, naming, pairs)


def describe(
    seed: int, held_out: list[Record], naming: list[Record], pairs: list[tuple[Record, str]]
) -> dict:
    """The draw as the content of prompts.json, with what was done by hand said in words."""

    def concept(c: Record) -> dict:
        return {"code": c.code, "name": c.name, "family": c.family, "group": c.group}

    return {
        "about": "Drawn by minidiff.emoji.prompts.draw_prompts; committed before any training, "
        "not edited since. Held out of training in all four sets: the named towers (a "
        "stand-in for the Campanile) and a draw, stratified by group, of concepts that "
        "are a family of their own, are no symbols, are not asked for by Part A's "
        "prompts, and leave the border free in all sets. Naming: a draw, stratified by "
        "group, of the first concept of each family that is in all sets. Pairs: a draw "
        "of the same with a free border, colours in turn; white is no pair's colour, "
        "for it is the default.",
        "seed": seed,
        "named_held_out": list(NAMED_HELD_OUT),
        "colours": {name: list(rgb) for name, rgb in COLOURS.items()},
        "held_out": [concept(c) for c in held_out],
        "naming": [concept(c) for c in naming],
        "pairs": [{**concept(c), "colour": colour} for c, colour in pairs],
    }


def concepts_in_all_sets(records: list[Record]) -> list[Record]:
    """One record (Noto's) for each concept that all four sets draw, in Unicode's order."""
    sets = defaultdict(set)
    for record in records:
        sets[record.code].add(record.set)
    return [r for r in records if r.set == "noto" and len(sets[r.code]) == len(SETS)]


def family_sizes(records: list[Record]) -> dict[str, int]:
    """Family -> how many concepts share it."""
    codes = defaultdict(set)
    for record in records:
        codes[record.family].add(record.code)
    return {family: len(members) for family, members in codes.items()}


def first_of_family(concepts: list[Record]) -> list[Record]:
    """The first concept of each family, in the order given."""
    return list({c.family: c for c in reversed(concepts)}.values())[::-1]


def clear_borders(images: torch.Tensor, records: list[Record]) -> set[str]:
    """Codes whose pictures leave at least 95 % of the border ring transparent in every set."""
    alpha = images[..., 3].float() / 255
    ring = torch.ones(alpha.shape[1:], dtype=torch.bool)
    ring[BORDER:-BORDER, BORDER:-BORDER] = False
    covered = {r.code for r, share in zip(records, alpha[:, ring].mean(1)) if share > 0.05}
    return {record.code for record in records} - covered


def draw_stratified(concepts: list[Record], number: int, rng: random.Random) -> list[Record]:
    """Draw `number` concepts, each group in proportion to its size (largest remainders)."""
    groups = defaultdict(list)
    for concept in concepts:
        groups[concept.group].append(concept)
    share = {g: number * len(members) / len(concepts) for g, members in groups.items()}
    quota = {g: int(share[g]) for g in groups}
    by_remainder = sorted(groups, key=lambda g: quota[g] - share[g])
    for group in by_remainder[: number - sum(quota.values())]:
        quota[group] += 1
    return [c for g in groups for c in rng.sample(groups[g], quota[g])]


def write_prompts(images: torch.Tensor, records: list[Record], path: Path = PROMPTS) -> Path:
    """Write the draw as JSON, once: a file that exists is an agreement and is left alone."""
    if path.exists():
        raise UserError(
            f"{path} exists; the evaluation prompts are fixed before training and "
            "never drawn again."
        )
    drawn = json.dumps(draw_prompts(images, records), indent=1) + "\n"
    return save_atomically(path, lambda file: file.write(drawn.encode()))


def read_prompts(path: Path = PROMPTS) -> dict:
    """prompts.json as written by write_prompts."""
    if not path.is_file():
        raise UserError(f"{path} is missing; it is part of the repository: restore it from git.")
    return json.loads(path.read_text(encoding="utf-8"))
