"""Lessons: the chapters in lessons/ are run, checked against the package, linted and exported.

A chapter's own code needs two things from here: the way its pictures get into the book, and the
check of its predict-then-run questions.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from minidiff.errors import UserError
from minidiff.figures.grids import save_gif
from minidiff.io.files import save_atomically
from minidiff.io.paths import IS_CLONE, ROOT
from minidiff.lessons.questions import predict as predict

BOOK = ROOT / "lessons" / "figures"
FIGURES = BOOK if IS_CLONE else Path(tempfile.gettempdir()) / "minidiff-figures"
SAME = 2  # levels of 255 that another processor's rounding may change


def save_figure(image: Image.Image, name: str) -> Image.Image:
    """Write lessons/figures/`name`, a PNG of 256 colours; return the picture.

    A file that shows the same picture already is left alone, so that a run changes no file unless
    it changes a picture.
    """
    path = place(name, ".png")
    small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    if not (path.is_file() and shows(path, small)):
        save_atomically(path, lambda file: small.save(file, "PNG", optimize=True))
    return image


def save_plot(plot, name: str) -> Image.Image:
    """The same for a matplotlib Figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(plot)
    canvas.draw()
    return save_figure(Image.fromarray(np.asarray(canvas.buffer_rgba())), name)


def save_animation(frames: Sequence[Image.Image], name: str, **options) -> Path:
    """Write lessons/figures/`name`, a GIF; the options are those of figures.grids.save_gif."""
    return save_gif(frames, place(name, ".gif"), **options)


def place(name: str, ending: str) -> Path:
    if Path(name).name != name or not name.endswith(ending) or not name[:2].isdigit():
        raise UserError(f"a figure is called NN-what-it-shows{ending}, not {name!r}")
    return FIGURES / name


def shows(path: Path, image: Image.Image) -> bool:
    """Whether the file holds this picture, up to rounding."""
    with Image.open(path) as old:
        if old.size != image.size:
            return False
        difference = ImageChops.difference(old.convert("RGB"), image.convert("RGB"))
    return max(high for _, high in difference.getextrema()) <= SAME
