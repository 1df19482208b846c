"""One section drawn twice: with the equations as they shipped, and as they are now.

`make part-a ONLY=1.4 COMPARE=1` after an edit of minidiff/equations.py.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import isfunction
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

import minidiff.equations
from minidiff.figures.grids import draw_grid, save_png
from minidiff.figures.page import Figure, Section, write_page
from minidiff.figures.report import Topic


@contextmanager
def using(equations: ModuleType) -> Iterator[None]:
    """Inside, the whole package calls these equations instead of those in minidiff.equations."""
    current = {  # a function that a student has added has no other version
        name: f
        for name, f in vars(minidiff.equations).items()
        if isfunction(f) and hasattr(equations, name)
    }
    places = [
        (module, name)
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("minidiff.")
        for name, f in current.items()
        if getattr(module, name, None) is f
    ]
    try:
        for module, name in places:
            setattr(module, name, getattr(equations, name))
        yield
    finally:
        for module, name in places:
            setattr(module, name, current[name])


def compare(folder: Path, shipped: Topic, edited: Topic, equations: ModuleType) -> Path:
    """Draw both topics, which write to folders of their own; returns a page that shows them.

    shipped, edited   the same section for a studio in folder/shipped and one in folder/edited
    """
    with using(equations):
        before = shipped.draw()
    after = edited.draw()
    figures = [pair(folder, a, b) for a, b in zip(before, after) if Path(a.path).suffix == ".png"]
    look = "Above, the equations as they shipped; below, as they are in minidiff/equations.py now."
    section = Section(edited.title, look, edited.equation, edited.code, figures)
    return write_page(folder, f"{edited.title}, before and after", "", [section])


def pair(folder: Path, before: Figure, after: Figure) -> Figure:
    """Both sheets in one picture, with how far they differ."""
    sheets = [
        Image.open(folder / side / figure.path).convert("RGB")
        for side, figure in (("shipped", before), ("edited", after))
    ]
    texts = ["as shipped", f"as edited: {difference(*sheets)}"]
    sheet = draw_grid([[sheets[0]], [sheets[1]]], captions=[[text] for text in texts])
    save_png(sheet, folder / after.path)
    return Figure(after.path, texts[1], f"{before.alt} Once as shipped, once as edited.")


def difference(a: Image.Image, b: Image.Image) -> str:
    if a.size != b.size:
        return "the sheets differ in size"
    gap = np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float))
    if not gap.any():
        return "no pixel differs"
    return f"pixels differ by {gap.mean():.1f} of 255 on average, {gap.max():.0f} at most"
