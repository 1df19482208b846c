"""Illusions found by trying many pairs of names: both readings are judged like any sample.

An anagram is judged as it is for its first name, and through its view for its second: upside down,
turned half or a quarter round, with its inner disc turned, or as the photographic negative. A
hybrid is judged for its first name after the course's low-pass filter, and for its second on what
that filter takes away; the gallery's pictures go through the same filter.
"""

import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from minidiff.emoji.captions import with_article
from minidiff.emoji.data import SETS, Record
from minidiff.emoji.judge import Look, as_it_is, grain, mean_squared, pooled
from minidiff.emoji.prompts import COLOURS, concepts_in_all_sets, first_of_family
from minidiff.emoji.sheets import draw_strips
from minidiff.emoji.workbench import Row, Workbench, on_plain, share_row
from minidiff.errors import UserError
from minidiff.figures.grids import enlarge, picture, save_png
from minidiff.guidance import Anagram, Guidance, Hybrid, course_low_pass
from minidiff.io.files import save_atomically
from minidiff.views import FlipUpDown, InnerCircle, Negate, Rotate, View

# Groups of things; people and signs make no illusions worth looking at.
GROUPS = {"smileys-emotion", "animals-nature", "food-drink", "travel-places", "objects"}
CLOCKS = ("o'clock", "-thirty")  # the 24 clock faces are one picture to the eye
ANAGRAM_SCALE, HYBRID_SCALE = 4.0, 3.0  # guidance
LIKELY = 0.1  # share of all pairs from which the tried ones are drawn


def high_pass(x: Tensor) -> Tensor:
    """What the course's low-pass filter takes away."""
    return x - course_low_pass(x)


@dataclass(frozen=True)
class Illusion:
    """One sample that should be read in two ways, and how plain each reading is.

    rank: how many other families have a picture that is nearer; 0 means recognised. clarity: the
    nearest other family's distance over that of the asked one; above 1 means recognised.
    """

    first: str
    second: str
    seed: int
    ranks: tuple[int, int]
    clarity: tuple[float, float]

    @property
    def score(self) -> float:
        """The worse of the two readings."""
        return min(self.clarity)


@dataclass(frozen=True)
class Kind:
    """How a kind of illusion is guided, and how its two readings are seen.

    turns: what is done to the sample for each reading. looks: what is then done to the sample and
    to the pictures it is compared with. ground: the named background of the second reading.
    """

    guide: Callable[[Workbench, list[str], list[str]], Guidance]
    turns: tuple[Look, Look]
    looks: tuple[Look, Look] = (as_it_is, as_it_is)
    ground: str = "white"

    def second_text(self, name: str) -> str:
        """What the second reading is asked for."""
        white = self.ground == "white"
        return name if white else f"{name} on {with_article(self.ground)} background"


def anagram_kind(view: View, ground: str = "white") -> Kind:
    """Anagrams of one view. At guidance 7 two readings leave grain on the white."""

    def guide(bench: Workbench, first: list[str], second: list[str]) -> Guidance:
        conds = (bench.studio.cond(first), bench.studio.cond(second))
        return Anagram(conds, bench.nothing(len(first)), (View(), view), ANAGRAM_SCALE)

    return Kind(guide, (as_it_is, view.view), ground=ground)


def guide_hybrid(bench: Workbench, first: list[str], second: list[str]) -> Guidance:
    conds = (bench.studio.cond(first), bench.studio.cond(second))
    return Hybrid(*conds, bench.nothing(len(first)), HYBRID_SCALE)


# A negative turns a white ground black, and the demo knows black grounds.
KINDS = {
    "anagram": anagram_kind(FlipUpDown()),
    "half-turn": anagram_kind(Rotate(180)),
    "rotation": anagram_kind(Rotate(90)),
    "circle": anagram_kind(InnerCircle()),
    "negative": anagram_kind(Negate(), "black"),
    "hybrid": Kind(guide_hybrid, (as_it_is, as_it_is), (course_low_pass, high_pass)),
}


def draw_pairs(bench: Workbench, kind: str, count: int, seed: int) -> list[tuple[Record, Record]]:
    """`count` ordered pairs of training concepts from a seed, among the likeliest LIKELY of all.

    Likely are pairs whose pictures, turned as the two readings will be, are near each other in
    one of the sets: an elephant and a needle do not fit into one outline.
    """
    concepts = first_of_family(concepts_in_all_sets(bench.gallery.records))
    concepts = [c for c in concepts if c.group in GROUPS and not c.name.endswith(CLOCKS)]
    cost = pair_costs(bench, concepts, KINDS[kind])
    faces = torch.tensor([concept.group == "smileys-emotion" for concept in concepts])
    cost[(faces[:, None] & faces).to(cost.device)] = float("inf")  # a face in a face is no surprise
    cost.fill_diagonal_(float("inf"))
    likely = cost.flatten().argsort()[: max(count, int(LIKELY * cost.numel()))].tolist()
    picked = random.Random(seed).sample(likely, min(count, len(likely)))
    return [(concepts[i // len(concepts)], concepts[i % len(concepts)]) for i in picked]


def pair_costs(bench: Workbench, concepts: list[Record], how: Kind) -> Tensor:
    """(C, C) distance of concept i, seen as the second reading is, to concept j; the best set's."""
    where = {(r.code, r.set): i for i, r in enumerate(bench.gallery.records)}
    costs = []
    for art in SETS:
        images = bench.gallery.images[[where[c.code, art] for c in concepts]]
        first, second = (on_plain(images, COLOURS[name]) for name in ("white", how.ground))
        costs.append(mean_squared(pooled(how.turns[1](first)), pooled(second)))
    return torch.stack(costs).min(0).values


def score_pairs(
    bench: Workbench, kind: str, pairs: list[tuple[Record, Record]], seeds: list[int]
) -> tuple[list[Illusion], Tensor]:
    """Every pair with every seed, judged; and the samples (B, 3, 64, 64) in the same order."""
    how = KINDS[kind]
    tries = [(a, b, seed) for a, b in pairs for seed in seeds]
    concepts = [a for a, _, _ in tries], [b for _, b, _ in tries]

    def guide(rows: slice) -> Guidance:
        first, second = ([c.name for c in side[rows]] for side in concepts)
        return how.guide(bench, first, [how.second_text(name) for name in second])

    samples = bench.draw_guided(guide, [seed for _, _, seed in tries])
    readings = [
        judge_reading(bench, turn(samples), look, ground, [c.family for c in side])
        for turn, look, ground, side in zip(how.turns, how.looks, ("white", how.ground), concepts)
    ]
    found = [
        Illusion(a.name, b.name, seed, (one[0], two[0]), (one[1], two[1]))
        for (a, b, seed), one, two in zip(tries, *readings)
    ]
    return found, samples


def judge_reading(
    bench: Workbench, samples: Tensor, look: Look, ground: str, families: list[str]
) -> list[tuple[int, float]]:
    """(rank, clarity) of each sample as a picture of its family on that named background."""
    judged = []
    for rows in torch.arange(len(samples)).split(256):
        asked = [families[i] for i in rows]
        distances = bench.gallery.distances(samples[rows], COLOURS[ground], look)
        ranks, clarity = (f(distances, asked) for f in (bench.gallery.ranks, bench.gallery.clarity))
        judged += zip(ranks.tolist(), clarity.tolist())
    return judged


def illusions(bench: Workbench) -> list[Row]:
    """Pairs that nobody chose, one sample each: how often both readings are recognised."""
    rows = []
    for kind in KINDS:
        found, samples = score_pairs(
            bench, kind, draw_pairs(bench, kind, bench.plan.illusions, 0), [0]
        )
        both = torch.tensor([illusion.ranks == (0, 0) for illusion in found])
        scores = torch.tensor([illusion.score for illusion in found])
        rows += [
            share_row(f"{kind}, both readings recognised", both),
            Row(
                f"{kind}, clarity of the worse reading, median", scores.median().item(), len(found)
            ),
            Row(f"{kind}, grain", grain(samples).mean().item(), len(found)),
        ]
    return rows


def find_illusions(
    bench: Workbench,
    kind: str,
    folder: str | Path,
    pairs: int = 400,
    seeds: int = 2,
    finalists: int = 40,
    final_seeds: int = 16,
    keep: int = 12,
    seed: int = 180,
) -> list[Illusion]:
    """Try many pairs with a few seeds, the best of them with many; keep and show the clearest.

    Writes KIND.json (how many were tried, the kept ones with seeds, ranks and clarity) and
    KIND.png below `folder`. One sample per pair is kept.
    """
    check_kind(kind)
    drawn = draw_pairs(bench, kind, pairs, seed)
    found, samples = score_pairs(bench, kind, drawn, list(range(seeds)))
    by_name = {(a.name, b.name): (a, b) for a, b in drawn}
    again = [by_name[found[i].first, found[i].second] for i in best_of_each_pair(found)]
    finals = list(range(seeds, seeds + final_seeds))
    more, more_samples = score_pairs(bench, kind, again[:finalists], finals)
    found, samples = found + more, torch.cat([samples, more_samples])
    kept = best_of_each_pair(found)[:keep]
    write_found(kind, [found[i] for i in kept], samples[kept], (len(drawn), len(found)), folder)
    return [found[i] for i in kept]


def check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise UserError(f"an illusion is one of {', '.join(KINDS)}, not {kind!r}")


def best_of_each_pair(found: list[Illusion]) -> list[int]:
    """Indices of each pair's clearest sample, the clearest pair first."""
    best: dict[tuple[str, str], int] = {}
    for i in sorted(range(len(found)), key=lambda i: -found[i].score):
        best.setdefault((found[i].first, found[i].second), i)
    return list(best.values())


def write_found(
    kind: str, kept: list[Illusion], samples: Tensor, tried: tuple[int, int], folder: str | Path
) -> None:
    """KIND.json and KIND.png: each kept sample as it is and as its second reading is seen."""
    folder = Path(folder)
    report = {
        "kind": kind,
        "pairs_tried": tried[0],
        "samples_tried": tried[1],
        "kept": [asdict(illusion) for illusion in kept],
    }
    text = json.dumps(report, indent=1) + "\n"
    save_atomically(folder / f"{kind}.json", lambda file: file.write(text.encode()))
    readings = [r for r in zip(KINDS[kind].turns, KINDS[kind].looks) if r != (as_it_is, as_it_is)]
    strips = []
    for illusion, x in zip(kept, samples):
        seen = [x] + [look(turn(x[None]))[0] for turn, look in readings]
        label = f"{illusion.first} / {illusion.second}, seed {illusion.seed}"
        strips.append((label, [enlarge(picture(one), 2) for one in seen]))
    save_png(draw_strips(strips, 2), folder / f"{kind}.png")
