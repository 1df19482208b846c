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
from minidiff.grade.mistakes.catalogue import CATALOGUE
from minidiff.grade.mutants import copy_package
from minidiff.grade.scenes import SCENES
from minidiff.io.paths import ROOT, weights_folder

PICTURE = "scene.png"


def draw(name: str | None, scene: str | None = None, timeout: float = 600) -> Image.Image:
    """The scene's picture with the catalogue's mistake `name` in the package; None for none.

    scene: one of scenes.SCENES; default: the one that the catalogue gives the mistake. Where the
    mistake ends in an error, the picture tells its last line. UserError for a name or scene that
    does not exist, a mistake that no picture shows, and a picture that takes longer than timeout
    (seconds).
    """
    scene = choose_scene(name, scene)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        copy_package(root)
        (root / "weights").symlink_to(ROOT / "weights")
        if name is not None:
            path = root / CATALOGUE[name].file
            text = CATALOGUE[name].apply(path.read_text(encoding="utf-8"))
            path.write_text(text, encoding="utf-8")
        error = draw_in(root, scene, timeout)
        if not error:
            with Image.open(root / PICTURE) as image:
                return image.convert("RGB")
    if name is None:
        raise UserError(f"the scene {scene!r} could not be drawn: {error}")
    return draw_grid([[Image.new("RGB", (192, 64), "black")]], captions=[[error]])


def choose_scene(name: str | None, scene: str | None) -> str:
    """The scene to draw. UserError if there is none for it."""
    if name is not None and name not in CATALOGUE:
        raise UserError(f"the catalogue has no {name!r}; it has: {', '.join(CATALOGUE)}")
    scene = scene or (CATALOGUE[name].scene if name else "sample")
    if not scene:
        raise UserError(f"no picture shows {name}: {CATALOGUE[name].picture}")
    if scene not in SCENES:
        raise UserError(f"no scene is called {scene!r}; they are: {', '.join(SCENES)}")
    return scene


def draw_in(root: Path, scene: str, timeout: float) -> str:
    """Draw a scene with the package in this folder, into PICTURE; the last line of an error."""
    settings = {"PYTHONPATH": str(root), "MINIDIFF_WEIGHTS": str(weights_folder().absolute())}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "minidiff.grade.scenes", scene, PICTURE],
            cwd=root,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"the scene {scene!r} took longer than {timeout:.0f} seconds: give it a longer timeout"
        ) from None
    if (root / PICTURE).exists():
        return ""
    lines = done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"]
    return lines[-1].removeprefix("minidiff.errors.UserError: ")[:200]
