"""Measurements of the phrase "a high quality photo": samples (course 1.5, 1.6) and edits (1.7).

A sample is a thing when some training picture is near it. How near is taken from training pictures
themselves: noised to t = 500 with noise that is not their own, and cleaned by the model under their
own captions, 95 % of them must pass. The phrase should stand for the pictures that
captions.of_phrase says; the Frechet distance compares samples with those, in the judge's points
reduced to their DIMS principal directions.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from minidiff.digits.evaluate import frechet_distance
from minidiff.emoji.captions import NEUTRAL, of_phrase, with_article
from minidiff.emoji.judge import border_colour, is_white, pair_distances, pooled
from minidiff.emoji.measure_noise import best_blur
from minidiff.emoji.workbench import SCALE, Row, Workbench, on_white, share_row, spread
from minidiff.guidance import Guidance, Plain
from minidiff.plan import Plan
from minidiff.sampling import last, noised_start
from minidiff.schedule import Pairs, course_pairs, strided_timesteps

SCALES = (1.0, 3.0, 7.0)
THING_GOALS = {1.0: ">= 0.50", 3.0: ">= 0.85", 7.0: ">= 0.85"}
REDRAWN_FROM, PASS = 500, 0.95
DIMS = 32  # principal directions of the phrase's own pictures
I_STARTS = (10, 20)


def phrase(bench: Workbench) -> list[Row]:
    """Samples of the phrase at each guidance: things, white borders, Frechet distance."""
    own = [i for i, record in enumerate(bench.gallery.records) if of_phrase(record)]
    limit = thing_limit(bench, spread(own, bench.plan.phrase))
    pictures, count = on_white(bench.gallery.images[own]), bench.plan.phrase
    features = principal_directions(pictures, lambda x: pooled(x.float().clamp(-1, 1)))
    rows = [Row("distance below which a sample is a thing", limit, min(count, len(own)))]
    for scale in SCALES:
        samples = draw_phrase(bench, count, scale)
        things = bench.gallery.distances(samples).min(1).values < limit
        far = frechet_distance(features(samples), features(pictures))
        named = f"the phrase, guidance {scale:g}"
        rows += [
            share_row(f"{named}, things", things, THING_GOALS[scale]),
            share_row(f"{named}, white border", is_white(border_colour(samples)), ">= 0.95"),
            Row(f"{named}, Frechet distance", far, count),
        ]
    some = spread(range(len(own)), count)  # its floor: as many of the pictures themselves
    floor = frechet_distance(features(pictures[some]), features(pictures))
    return [*rows, Row("the phrase's own pictures, Frechet distance", floor, len(some))]


def draw_phrase(bench: Workbench, count: int, scale: float) -> Tensor:
    """Samples of the phrase on the course's walk, seeds 0, 1, 2, ...: (count, 3, 64, 64)."""
    return bench.draw_guided(guided_phrase(bench, count, scale), list(range(count)))


def guided_phrase(bench: Workbench, count: int, scale: float) -> Callable[[slice], Guidance]:
    """What draw_guided wants: the phrase for some of `count` pictures."""

    def guide(rows: slice) -> Guidance:
        texts = ([NEUTRAL] * count)[rows]
        return Plain(bench.studio.cond(texts)) if scale == 1 else bench.studio.cfg(texts, scale)

    return guide


def thing_limit(bench: Workbench, picked: list[int]) -> float:
    """The distance that PASS of these training pictures stay below when they are redrawn."""
    x0 = on_white(bench.gallery.images[picked])
    records = [bench.gallery.records[i] for i in picked]
    texts = [f"{with_article(r.set)} emoji of {r.name}" for r in records]
    pairs = course_pairs([REDRAWN_FROM, *(s for s in strided_timesteps() if s < REDRAWN_FROM)])
    redrawn = redraw(bench, x0, pairs, 0, lambda rows: Plain(bench.studio.cond(texts[rows])))
    return bench.gallery.distances(redrawn).min(1).values.quantile(PASS).item()


def redraw(
    bench: Workbench, x0: Tensor, pairs: Pairs, start: int, guide: Callable[[slice], Guidance]
) -> Tensor:
    """SDEdit: each picture noised to where the walk starts, seeds 0, 1, 2, ..., and walked down."""
    plan, done = Plan(pairs), []
    for first in range(0, len(x0), bench.batch):
        rows = slice(first, first + bench.batch)
        seeds = list(range(len(x0)))[rows]
        job = bench.studio.job(guide(rows), seeds, plan, starts=start, original=x0[rows])
        done.append(last(bench.studio.walk(job)))
    return torch.cat(done)


def principal_directions(pictures: Tensor, points_of: Callable[[Tensor], Tensor]):
    """Points (N, P) that points_of makes of pictures, in the directions in which these vary most.

    Returns a function of pictures giving (N, DIMS); squared lengths are means over the P numbers.
    """
    points = points_of(pictures)
    mean = points.mean(0)
    axes = torch.linalg.svd(points - mean, full_matrices=False)[2][:DIMS]
    return lambda x: (points_of(x) - mean) @ axes.T / points.shape[1] ** 0.5


def edits(bench: Workbench) -> list[Row]:
    """SDEdit of held-out pictures with the phrase: is the edit like its original, is it a picture?

    Like its original: nearer to it than another held-out picture is. A picture: nearer to some
    training picture than the best blur of the noised original is.
    """
    x0 = on_white(torch.stack(spread(list(bench.unseen), bench.plan.edits)))
    pairs, schedule, rows = course_pairs(), bench.model.schedule, []
    others = pair_distances(x0.roll(1, 0), x0)
    for i_start in I_STARTS:
        edited = redraw(bench, x0, pairs, i_start, guided_phrase(bench, len(x0), SCALE))
        noise = bench.studio.noise(range(len(x0)))
        x_t = noised_start(x0, pairs, [i_start] * len(x0), schedule, noise)
        blurred = best_blur(x_t, x0, bench.abar(pairs[i_start][0], x0)).picture
        nearest, of_blur = (bench.gallery.distances(x).min(1).values for x in (edited, blurred))
        what = f"edit at i_start {i_start}"
        rows += [
            share_row(f"{what}, like its original", pair_distances(edited, x0) < others),
            share_row(f"{what}, nearer to a picture than a blur", nearest < of_blur),
        ]
    return rows
