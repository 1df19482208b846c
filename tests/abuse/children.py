"""Running programs, killing them at random moments, and looking at what they leave."""

import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from PIL import Image
from safetensors import safe_open

KILLS = int(os.environ.get("ABUSE_KILLS", "5"))  # with each signal; `make abuse` says 20
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
HIT: Counter[str] = Counter()  # signals that met a program at work, and those that came too late
ENDINGS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}


def finish(*children) -> list[int]:
    """Wait for the programs; their exit statuses."""
    for child in children:
        child.join()
    return [child.exitcode for child in children]


def seconds_of(child) -> float:
    """How long a program runs that nobody disturbs."""
    begun = time.perf_counter()
    assert finish(child) == [0]
    return time.perf_counter() - begun


def kill_sometime(child, kill: int, within: float) -> None:
    """Send one of the signals after a random part of `within` seconds, unless it is done."""
    sent = SIGNALS[kill % len(SIGNALS)]
    child.join(random.Random(kill).uniform(0, within))
    late = not child.is_alive()
    if not late:
        with suppress(ProcessLookupError):  # it ended just now
            os.kill(child.pid, sent)
    status = finish(child)[0]
    HIT["late" if late or status == 0 else sent.name] += 1
    # between two calls of main() nothing heeds a SIGTERM: its own number ends the program
    assert status in (0, ENDINGS[sent], -signal.SIGTERM)


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
