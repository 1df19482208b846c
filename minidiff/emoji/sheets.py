"""The demo's contact sheet, and labelled strips of pictures."""

from pathlib import Path

from PIL import Image

from minidiff.emoji.workbench import Workbench, spread
from minidiff.figures.grids import draw_grid, picture, save_png

SHEET_PROMPTS, SHEET_SEEDS, SHEET_COLUMNS = 64, 4, 4


def contact_sheet(bench: Workbench, path: str | Path) -> Path:
    """Draw 64 of the naming prompts, evenly spread, with seeds 0 to 3: a labelled strip each.

    The walk is the one that the checkpoint recommends, which whoever asks for no other gets.
    """
    asked = spread(bench.prompts["naming"], SHEET_PROMPTS)
    texts = [concept["name"] for concept in asked for _ in range(SHEET_SEEDS)]
    seeds = list(range(SHEET_SEEDS)) * len(asked)
    samples = bench.draw(texts, seeds, plan=bench.studio.plan())
    pictures = [picture(x) for x in samples]
    strips = [
        (concept["name"], pictures[n * SHEET_SEEDS : (n + 1) * SHEET_SEEDS])
        for n, concept in enumerate(asked)
    ]
    facts = {"weights": bench.model.name, "seeds": list(range(SHEET_SEEDS))}
    return save_png(draw_strips(strips, SHEET_COLUMNS), path, facts)


def draw_strips(strips: list[tuple[str, list[Image.Image]]], columns: int) -> Image.Image:
    """(label, pictures) in a grid of so many columns: the pictures in a row, the label below."""
    drawn = [draw_grid([pictures]) for _, pictures in strips]
    labels = [label for label, _ in strips]
    rows = range(0, len(strips), columns)
    return draw_grid(
        [drawn[i : i + columns] for i in rows], captions=[labels[i : i + columns] for i in rows]
    )
