"""Killing programs at random moments, and looking at what they leave."""

import json
import os
import random
import signal
from pathlib import Path

from PIL import Image
from safetensors import safe_open

KILLS = int(os.environ.get("ABUSE_KILLS", "5"))  # of each kind of program; `make abuse` says 20
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


def kill_sometime(child, kill: int, within: float) -> None:
    """Send one of the signals after a random part of `within` seconds, unless it is done."""
    child.join(random.Random(kill).uniform(0, within))
    if child.is_alive():
        os.kill(child.pid, SIGNALS[kill % len(SIGNALS)])
    child.join()


def finish(*children) -> None:
    for child in children:
        child.join()
        assert child.exitcode == 0


def assert_whole(folder: Path) -> None:
    """Every file below the folder opens to its end; only what calls itself a part may not."""
    for path in folder.rglob("*"):
        if path.suffix in (".png", ".gif"):
            with Image.open(path) as image:
                for frame in range(getattr(image, "n_frames", 1)):
                    image.seek(frame)
                    image.load()
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")
        elif path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                assert file.keys()


def contents(folder: Path, *suffixes: str) -> dict[str, bytes]:
    """Relative name -> bytes of the files with one of the suffixes (of all, without any)."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and (not suffixes or path.suffix in suffixes)
    }
