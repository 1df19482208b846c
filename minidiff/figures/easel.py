"""What every section of Part A needs: a studio, the report's prompts, progress, and saving."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from minidiff.figures.grids import draw_grid, picture, save_gif, save_png
from minidiff.figures.page import Figure
from minidiff.guidance import CFG
from minidiff.model import Model
from minidiff.sampling import Step
from minidiff.studio import SEED, Job, Studio

SCALE = 7.0  # the course's guidance


@dataclass(frozen=True)
class Prompts:
    """What the figures ask for. The demo draws emoji, so it has prompts of its own."""

    sampling: tuple[str, ...]
    neutral: str  # no prompt in particular: what the UNet is asked in 1.3 and 1.4
    pictures: tuple[tuple[str, str], ...]  # (picture, prompt) of 1.7
    drawings: tuple[tuple[str, str], ...]  # likewise of 1.7.1
    holes: tuple[tuple[str, str], ...]  # (file, prompt); NAME.png has its mask in NAME-mask.png
    edits: tuple[tuple[str, str], ...]  # likewise of 1.7.3
    anagrams: tuple[tuple[str, str, str, int], ...]  # (as it is, through the view, view, seed)
    half_turns: tuple[tuple[str, str, int], ...]  # the same, all turned half round: fa26
    hybrids: tuple[tuple[str, str, int], ...]  # (from afar, close up, seed)
    anagram_guidance: float = SCALE
    hybrid_guidance: float = SCALE


class Easel(Studio):
    """A studio that draws one report into one folder."""

    def __init__(self, model: Model, folder: Path, prompts: Prompts):
        super().__init__(model)
        self.folder, self.prompts = folder, prompts

    def cfg(self, prompts: Sequence[str], scale: float = SCALE, negative: str = "") -> CFG:
        return super().cfg(prompts, scale, negative)

    def seeds(self, count: int) -> list[int]:
        """180, 181, ... for `count` pictures."""
        return list(range(SEED, SEED + count))

    def record(self, name: str, job: Job) -> list[Step]:
        """Walk a job in one batch with a progress bar, and keep every step."""
        quiet = not sys.stderr.isatty()
        return list(tqdm(self.walk(job), name, job.steps, leave=False, disable=quiet))

    def save(self, name: str, sheet: Image.Image, caption: str, alt: str, **text) -> Figure:
        """Write a PNG with its settings as text chunks; returns it as a figure of the page."""
        text = {"weights": self.model.name, "seed": SEED, **text}
        save_png(sheet, self.folder / name, text)
        return Figure(name, caption, alt)

    def save_walk(
        self, name: str, steps: list[Step], caption: str, alt: str, per_row: int = 5
    ) -> Figure:
        """The walk as a GIF: all pictures of the batch as they are after every step."""
        frames = [steps[0].x_t, *(step.x for step in steps)]
        sheets = [sheet_of([picture(p) for p in x], per_row) for x in frames]
        save_gif(sheets, self.folder / name, {"weights": self.model.name, "seed": SEED})
        return Figure(name, caption, alt)


def sheet_of(pictures: list[Image.Image], per_row: int) -> Image.Image:
    rows = [pictures[i : i + per_row] for i in range(0, len(pictures), per_row)]
    return draw_grid(rows, scale=2 if len(pictures) <= 6 else 1)
