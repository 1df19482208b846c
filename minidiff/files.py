"""Writing a file so that it is complete or not there at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def save_atomically(path: str | Path, fill: Callable[[BinaryIO], object]) -> Path:
    """Let fill(file) write a temporary file beside `path`, then give it that name; return path.

    A program killed at any moment leaves the old file, or the new one, whole.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path
