"""Writing a file so that it is complete or not there at all."""

import glob
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from minidiff.errors import UserError
from minidiff.io.paths import expanded


def save_atomically(path: str | Path, fill: Callable[[BinaryIO], object]) -> Path:
    """Let fill(file) write a temporary file beside `path`, then give it that name; return path.

    A program killed at any moment leaves the old file, or the new one, whole; what is left of its
    temporary file goes when the same file is written the next time.
    """
    path = expanded(path)
    check_not_special(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
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


def check_writable(path: str | Path) -> None:
    """OSError or UserError now, and not after the work, if `path` cannot be written."""
    path = expanded(path)
    check_not_special(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part_of(path).touch()
    part_of(path).unlink()


def check_not_special(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is there and is not a file: choose another name")


def part_of(path: Path) -> Path:
    """The temporary file of this process for `path`."""
    return path.with_name(f"{path.name}.{os.getpid()}.part")


def remove_orphans(path: Path) -> None:
    """Delete the temporary files that killed programs have left of `path`."""
    for part in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        pid = part.suffixes[-2].removeprefix(".")
        if pid.isdecimal() and not may_be_alive(int(pid)):
            part.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Whether this process alone holds the file `path`, which is made; given back at the end."""
    with open(path, "wb") as file:
        try:
            if os.name == "posix":
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            yield False
            return
        yield True


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


def check_is_file(path: Path) -> None:
    """OSError if there is nothing, UserError for pipes and devices, which would never end."""
    if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
        raise UserError(f"{path} is a pipe or a device, not a file")
