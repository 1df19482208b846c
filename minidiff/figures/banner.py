"""The picture on top of the README: eight prompts, as the shipped model draws them."""

from pathlib import Path

from PIL import Image

from minidiff.figures.grids import draw_grid, save_png
from minidiff.io.paths import ROOT
from minidiff.stage2.upscaler import Upscaler
from minidiff.studio import SEED, Studio, open_studio

ASKED = (
    "a cat", "rocket", "fire", "a cat on a blue background",
    "pencil", "skull", "a fluent emoji of pizza", "red heart",
)  # fmt: skip


def main(out: str | Path = ROOT / "lessons" / "figures" / "banner.png") -> Path:
    """Draw the banner, both stages as recommended, seeds 180 to 187; returns its path."""
    studio = open_studio()
    upscaler = Upscaler(studio)
    large = [draw_large(studio, upscaler, p, SEED + i) for i, p in enumerate(ASKED)]
    told = [f"“{p}”" for p in ASKED]
    sheet = draw_grid([large[:4], large[4:]], captions=[told[:4], told[4:]], text_size=13)
    return save_png(sheet, out, {"prompts": ASKED, "seed": SEED, "weights": studio.model.name})


def draw_large(studio: Studio, upscaler: Upscaler, prompt: str, seed: int) -> Image.Image:
    """One picture at 256 pixels, shown at three quarters of that."""
    small = studio.draw(prompt, seed).tensor
    return upscaler.upscale(small, prompt, seed)[0].resize((192, 192), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
