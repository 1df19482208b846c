"""The demo's contact sheet and labelled grids of samples, as PNG."""

from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from minidiff.emoji.workbench import Workbench, spread
from minidiff.files import save_atomically

SHEET_PROMPTS, SHEET_SEEDS, SHEET_COLUMNS = 64, 4, 4
LABEL = 18  # pixels under a row of pictures for its text
GAP = 6


def contact_sheet(bench: Workbench, path: str | Path) -> Path:
    """Draw 64 of the naming prompts with four seeds each; one labelled strip per prompt."""
    asked = spread(bench.prompts["naming"], SHEET_PROMPTS)
    texts = [concept["name"] for concept in asked for _ in range(SHEET_SEEDS)]
    samples = bench.draw(texts, list(range(SHEET_SEEDS)) * len(asked))
    strips = samples.reshape(len(asked), SHEET_SEEDS, *samples.shape[1:])
    labelled = [(concept["name"], list(strip)) for concept, strip in zip(asked, strips)]
    return save_strips(labelled, SHEET_COLUMNS, Path(path))


def save_strips(strips: list[tuple[str, list[Tensor]]], columns: int, path: Path) -> Path:
    """A PNG of strips, each some (3, H, W) pictures in [-1, 1] in a row with a text under it."""
    pictures = [[to_image(x) for x in strip] for _, strip in strips]
    width = max(sum(image.width + 2 for image in row) for row in pictures) + GAP
    height = max(image.height for row in pictures for image in row) + LABEL
    rows = -(-len(strips) // columns)
    sheet = Image.new("RGB", (columns * width + GAP, rows * height + GAP), "#dddddd")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for n, ((label, _), row) in enumerate(zip(strips, pictures)):
        left, top = GAP + n % columns * width, GAP + n // columns * height
        pen.text((left, top + height - LABEL), fit(label, font, width - GAP), "black", font)
        for image in row:
            sheet.paste(image, (left, top))
            left += image.width + 2
    return save_atomically(path, lambda file: sheet.save(file, "PNG"))


def to_image(x: Tensor) -> Image.Image:
    """(3, H, W) in [-1, 1] -> an RGB picture."""
    levels = ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())


def fit(text: str, font, width: int) -> str:
    """The text, cut with an ellipsis where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
