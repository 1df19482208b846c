"""What every section of Part A needs: the model, encoded prompts, seeds, progress, and saving."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from PIL import Image
from torch import Tensor
from tqdm import tqdm

from minidiff.deepfloyd.unet import Cond
from minidiff.equations import dynamic_threshold
from minidiff.figures.grids import draw_grid, picture, save_gif, save_png
from minidiff.figures.page import Figure
from minidiff.guidance import CFG, Guidance
from minidiff.model import Model
from minidiff.noise import SeededNoise
from minidiff.sampling import Step, denoise
from minidiff.schedule import Pairs, course_pairs

SEED = 180
SCALE = 7.0  # guidance


@dataclass(frozen=True)
class Prompts:
    """What the figures ask for. The demo draws emoji, so it has prompts of its own."""

    sampling: tuple[str, ...]
    neutral: str
    edits: tuple[tuple[str, str], ...]  # (picture, prompt)
    anagrams: tuple[tuple[str, str, int], ...]  # (upright, upside down, seed)
    hybrids: tuple[tuple[str, str, int], ...]  # (from afar, close up, seed)
    anagram_guidance: float = SCALE


class Studio:
    """A model at work for one report."""

    def __init__(self, model: Model, folder: Path, prompts: Prompts):
        self.model, self.folder, self.prompts = model, folder, prompts
        self.encoded: dict[str, Cond] = {}

    # --- prompts and noise -------------------------------------------------------------------

    def cond(self, prompts: Sequence[str]) -> Cond:
        """One row per prompt. Each is prepared once and by itself: rounding would otherwise make
        a section's picture depend on the sections drawn before it."""
        new = [p for p in dict.fromkeys(prompts) if p not in self.encoded]
        for prompt, states in zip(new, self.model.encode(new) if new else []):
            prepared = self.model.unet.prepare(states[None])
            self.encoded[prompt] = prepared.map(lambda x: x.detach())
        return Cond.cat([self.encoded[p] for p in prompts])

    def cfg(self, prompts: Sequence[str], scale: float = SCALE) -> CFG:
        return CFG(self.cond(prompts), self.cond([""] * len(prompts)), scale)

    def noise(self, count: int, seed: int = SEED) -> SeededNoise:
        """Seeds seed, seed + 1, ... for `count` pictures."""
        return self.seeded(range(seed, seed + count))

    def seeded(self, seeds: Iterable[int]) -> SeededNoise:
        side = self.model.sample_size
        return SeededNoise(list(seeds), (3, side, side), self.model.device)

    # --- walks -------------------------------------------------------------------------------

    @cached_property
    def pairs(self) -> Pairs:
        return course_pairs()

    @property
    def threshold(self):
        """The official pipeline's dynamic thresholding, with this checkpoint's numbers."""
        return partial(
            dynamic_threshold,
            ratio=self.model.threshold_ratio,
            max_value=self.model.threshold_max,
        )

    def walk(
        self,
        name: str,
        x: Tensor,
        guidance: Guidance,
        noise: SeededNoise,
        *,
        pairs: Pairs | None = None,
        **options,
    ) -> list[Step]:
        """Run the loop with a progress bar and keep every step; options as in sampling.denoise."""
        pairs = pairs or self.pairs
        steps = denoise(
            self.model.fast_unet, self.model.schedule, x, pairs, guidance, noise, **options
        )
        return list(tqdm(steps, name, len(pairs), leave=False, disable=not sys.stderr.isatty()))

    # --- files -------------------------------------------------------------------------------

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
