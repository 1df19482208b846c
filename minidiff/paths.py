"""Where things lie: in the repository, wherever the command is typed."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "weights" / "emoji-64"


def weights_folder(folder: str | Path | None = None) -> Path:
    """The checkpoint to use: the one named, else $MINIDIFF_WEIGHTS, else the demo that ships."""
    return Path(folder or os.environ.get("MINIDIFF_WEIGHTS") or DEMO).expanduser()
