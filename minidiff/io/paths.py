"""Where things lie: in the repository, wherever the command is typed."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "weights" / "emoji-64"


def weights_folder(folder: str | Path | None = None) -> Path:
    """The checkpoint to use: the one named, else $MINIDIFF_WEIGHTS, else the demo that ships."""
    if folder is None:
        folder = os.environ.get("MINIDIFF_WEIGHTS") or DEMO
    return Path(folder).expanduser()


def embeddings_file(path: str | Path | None = None) -> Path | None:
    """Text states in place of a text encoder: the file named, else $MINIDIFF_EMBEDDINGS, if set."""
    if path is None:
        path = os.environ.get("MINIDIFF_EMBEDDINGS") or None
    return None if path is None else Path(path).expanduser()
