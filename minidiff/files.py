"""Writing a file so that it is complete or not there at all."""

import glob
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def save_atomically(path: str | Path, fill: Callable[[BinaryIO], object]) -> Path:
    """Let fill(file) write a temporary file beside `path`, then give it that name; return path.

    A program killed at any moment leaves the old file, or the new one, whole; what is left of its
    temporary file goes when the same file is written the next time.
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
        remove_orphans(path)
    return path


def remove_orphans(path: Path) -> None:
    """Delete the temporary files that killed programs have left of `path`."""
    for part in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        pid = part.suffixes[-2].removeprefix(".")
        if pid.isdecimal() and not may_be_alive(int(pid)):
            part.unlink(missing_ok=True)


def may_be_alive(pid: int) -> bool:
    """Whether a process of that number may still be writing; True where nobody can tell."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)  # sends nothing, only asks
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
