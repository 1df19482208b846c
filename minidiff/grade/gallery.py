"""The picture a mistake makes: `draw("mean-x0-no-root")` applies it to a copy and draws with that.

The copy is a folder of its own with the package's source and a link to the weights, drawn with by
another process: nothing of the mistake reaches the caller.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from minidiff.errors import UserError
from minidiff.figures.grids import draw_grid
from minidiff.grade.catalogue import CATALOGUE
from minidiff.grade.mutants import copy_package
from minidiff.paths import ROOT, weights_folder


def draw(name: str | None, scene: str | None = None, timeout: float = 600) -> Image.Image:
    """The scene's picture with the catalogue's mistake `name` in the package; None for none.

    scene: one of scenes.SCENES; default: the one that the catalogue gives the mistake. Where the
    mistake ends in an error, the picture tells its last line. UserError for a name that is not in
    the catalogue, or a mistake that no picture shows.
    """
    if name is not None and name not in CATALOGUE:
        raise UserError(f"the catalogue has no {name!r}; it has: {', '.join(CATALOGUE)}")
    scene = scene or (CATALOGUE[name].scene if name else "sample")
    if not scene:
        raise UserError(f"no picture shows {name}: {CATALOGUE[name].picture}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        copy_package(root)
        (root / "weights").symlink_to(ROOT / "weights")
        if name is not None:
            path = root / CATALOGUE[name].file
            path.write_text(CATALOGUE[name].apply(path.read_text()))
        return draw_in(root, scene, timeout)


def draw_in(root: Path, scene: str, timeout: float) -> Image.Image:
    """Draw a scene with the package in this folder."""
    target = root / "scene.png"
    settings = {"PYTHONPATH": str(root), "MINIDIFF_WEIGHTS": str(weights_folder().absolute())}
    done = subprocess.run(
        [sys.executable, "-m", "minidiff.grade.scenes", scene, str(target)],
        cwd=root,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if not target.exists():
        error = (done.stderr.strip().splitlines() or ["no error"])[-1][:200]
        return draw_grid([[Image.new("RGB", (192, 64), "black")]], captions=[[error]])
    with Image.open(target) as image:
        return image.convert("RGB")
