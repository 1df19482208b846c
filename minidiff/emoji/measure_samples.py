"""Measurements that need samples: names, the two curves, background colours, styles."""

import torch
from torch import Tensor

from minidiff.emoji.captions import with_article
from minidiff.emoji.data import SETS
from minidiff.emoji.judge import border_colour, is_white, nearest_colour
from minidiff.emoji.prompts import COLOURS
from minidiff.emoji.workbench import Row, Workbench, share, spread

# (steps, guidance): one curve over steps at guidance 7, one over guidance at 33 steps
CURVES = ((10, 7), (20, 7), (33, 7), (80, 7), (33, 1), (33, 3), (33, 10))


def naming(bench: Workbench) -> list[Row]:
    """Recognised names, with learned and with fixed variance, and white borders.

    The border counts where the concept's own pictures leave it free in all sets.
    """
    asked = spread(bench.prompts["naming"], bench.plan.naming) * bench.plan.seeds
    learned = draw_names(bench, asked)
    fixed = draw_names(bench, asked, plan=bench.walk(variance="small"))
    free = [i for i, concept in enumerate(asked) if concept["code"] in bench.clear]
    white = is_white(border_colour(learned[free]))
    hits = recognised(bench, learned, asked)
    hits_fixed = recognised(bench, fixed, asked)
    return [
        Row("naming, top-1", share(hits), len(hits), ">= 0.80"),
        hit_row(bench, "naming, top-5", learned, asked, 5, ">= 0.92"),
        Row("naming, top-1, fixed variance", share(hits_fixed), len(hits)),
        paired_row("naming, learned minus fixed", hits, hits_fixed),
        Row("white border, no background named", share(white), len(free), ">= 0.95"),
    ]


def curves(bench: Workbench) -> list[Row]:
    """Naming against the number of steps and against guidance, one sample a prompt."""
    if not bench.plan.curve:
        return []
    asked = spread(bench.prompts["naming"], bench.plan.curve)
    rows = []
    for steps, scale in CURVES:
        samples = draw_names(bench, asked, steps=steps, scale=scale)
        what = f"naming, top-1, {steps} steps, guidance {scale}"
        rows.append(hit_row(bench, what, samples, asked, 1))
    return rows


def draw_names(bench: Workbench, asked: list[dict], **how) -> Tensor:
    """Each concept by its plain name, one sample each, every sample from its own seed."""
    return bench.draw([concept["name"] for concept in asked], **how)


def hit_row(
    bench: Workbench, what: str, samples: Tensor, asked: list[dict], top: int, goal=""
) -> Row:
    """How many samples on white are recognised as what was asked."""
    hits = recognised(bench, samples, asked, top)
    return Row(what, share(hits), len(hits), goal)


def recognised(bench: Workbench, samples: Tensor, asked: list[dict], top: int = 1) -> Tensor:
    """(B,) bool: which samples on white are recognised as what was asked."""
    families = [concept["family"] for concept in asked]
    return bench.gallery.hits(bench.gallery.distances(samples), families, top)


def paired_row(what: str, ours: Tensor, theirs: Tensor) -> Row:
    """The difference of two scores over the same prompts and seeds, and whether it is chance.

    Two good samplers disagree about a few pictures, either way; the goal allows two standard
    errors of the mean of those disagreements.
    """
    gains = ours.float() - theirs.float()
    error = (gains.std() / len(gains) ** 0.5).item()
    return Row(what, gains.mean().item(), len(gains), f">= {-2 * error:.4f} (2 standard errors)")


def backgrounds(bench: Workbench) -> list[Row]:
    """The border's colour for pairs of concept and colour that were never trained together."""
    pairs = spread(bench.prompts["pairs"], bench.plan.pairs)
    samples = bench.draw([f"{p['name']} on {with_article(p['colour'])} background" for p in pairs])
    found = nearest_colour(border_colour(samples))
    right = torch.tensor([name == pair["colour"] for name, pair in zip(found, pairs)])
    hits = []
    for colour in dict.fromkeys(pair["colour"] for pair in pairs):
        rows = [i for i, pair in enumerate(pairs) if pair["colour"] == colour]
        distances = bench.gallery.distances(samples[rows], COLOURS[colour])
        hits.append(bench.gallery.hits(distances, [pairs[i]["family"] for i in rows], 1))
    return [
        Row("background of the asked colour", share(right), len(pairs), ">= 0.95"),
        Row("naming, top-1, on that background", share(torch.cat(hits)), len(pairs)),
    ]


def styles(bench: Workbench) -> list[Row]:
    """Whether the nearest picture is of the set that was asked for."""
    asked = spread(bench.prompts["naming"], bench.plan.styles)
    wanted = [(concept, style) for concept in asked for style in SETS]
    samples = bench.draw([f"{with_article(style)} emoji of {c['name']}" for c, style in wanted])
    found = bench.gallery.sets(bench.gallery.distances(samples))
    right = torch.tensor([name == style for name, (_, style) in zip(found, wanted)])
    rows = [Row("style as asked", share(right), len(right), ">= 0.85")]
    for n, style in enumerate(SETS):
        rows.append(Row(f"style as asked, {style}", share(right[n :: len(SETS)]), len(asked)))
    return rows
