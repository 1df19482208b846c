"""The picture on top of the README: eight prompts, as the shipped model draws them."""

from pathlib import Path

from minidiff.figures.easel import Easel, Prompts
from minidiff.figures.grids import draw_grid, picture, save_png
from minidiff.io.paths import ROOT
from minidiff.model import load
from minidiff.studio import SEED

ASKED = (
    "a cat", "rocket", "fire", "a cat on a blue background",
    "pencil", "skull", "a fluent emoji of pizza", "red heart",
)  # fmt: skip


def main(out: str | Path = ROOT / "lessons" / "figures" / "banner.png") -> Path:
    """Draw the banner with guidance 7 and seeds 180 to 187; returns its path."""
    studio = Easel(load(), Path(out).parent, Prompts(ASKED, "", (), (), ()))
    steps = studio.record("banner", studio.job(studio.cfg(ASKED), studio.seeds(len(ASKED))))
    sheet = draw_grid(
        [[picture(x) for x in steps[-1].x]], captions=[[f"“{p}”" for p in ASKED]], scale=2,
        text_size=13,
    )  # fmt: skip
    return save_png(sheet, out, {"prompts": ASKED, "seed": SEED, "weights": studio.model.name})


if __name__ == "__main__":
    main()
