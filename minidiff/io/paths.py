"""Where things lie: in the repository, wherever the command is typed.

An installed copy (`pip install .`) has no repository around it: the demo and the digits lie inside
the package, and what commands write goes where they are typed.
"""

import os
from pathlib import Path

from minidiff.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent
IS_CLONE = (ROOT / "pyproject.toml").is_file() and (ROOT / "lessons").is_dir()
HOME = ROOT if IS_CLONE else Path()  # below it lie out/, runs/, data/ and pulled weights
BESIDE, INSIDE = ROOT / "weights", PACKAGE / "shipped_weights"
WEIGHTS = BESIDE if (BESIDE / "emoji-64").is_dir() else INSIDE
DEMO = WEIGHTS / "emoji-64"


def expanded(path: str | Path) -> Path:
    """The path with ~ as the home folder, as shells write it; what is no user's stays as it is."""
    return Path(os.path.expanduser(path))


def weights_folder(folder: str | Path | None = None) -> Path:
    """The checkpoint to use: the one named, else $MINIDIFF_WEIGHTS, else the demo that ships."""
    if folder is None:
        folder = os.environ.get("MINIDIFF_WEIGHTS") or DEMO
    return expanded(folder)


def embeddings_file(path: str | Path | None = None) -> Path | None:
    """Text states in place of a text encoder: the file named, else $MINIDIFF_EMBEDDINGS, if set."""
    if path is None:
        path = os.environ.get("MINIDIFF_EMBEDDINGS") or None
    return None if path is None else expanded(path)


def need_clone(what: str) -> None:
    """UserError in an installed copy for what only the repository has: lessons, exercises."""
    if not IS_CLONE:
        raise UserError(
            f"{what} are part of the repository and not of an installed package: clone it, and run"
            " this in the clone"
        )
