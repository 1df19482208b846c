"""The package as it was shipped, whatever a student has changed since: one packed file.

`make grade` makes its wrong versions from these texts, and COMPARE=1 draws with their equations.
They are packed so that no editor, formatter or search finds a second copy of the package.
"""

import sys
import zipfile
import zlib
from functools import cache
from pathlib import Path
from types import ModuleType

from minidiff.errors import UserError
from minidiff.io.files import save_atomically
from minidiff.io.paths import ROOT

PACK = Path(__file__).with_name("shipped.zip")


@cache
def shipped_texts() -> dict[str, str]:
    """Every packed file by its path, such as "minidiff/equations.py". UserError if damaged."""
    try:
        with zipfile.ZipFile(PACK) as pack:  # reading checks each file's checksum
            return {name: pack.read(name).decode() for name in pack.namelist()}
    except (OSError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError) as error:
        raise UserError(
            f"{PACK} is missing or damaged, and the grader leans on it: restore it with"
            " `git checkout minidiff/io/shipped.zip`"
        ) from error


def shipped_text(file: str) -> str:
    """The shipped text of one file of the package."""
    return shipped_texts()[file]


def shipped_equations() -> ModuleType:
    """The equations as they were shipped, as a module: the untouched side of COMPARE=1."""
    return run_text(shipped_text("minidiff/equations.py"), "minidiff_shipped_equations", str(PACK))


def run_text(text: str | bytes, name: str, file: str) -> ModuleType:
    """Run a file's text as a module; dataclasses want it to be among the imported ones."""
    module = ModuleType(name)
    module.__file__ = file
    sys.modules[name] = module
    exec(compile(text, file, "exec"), vars(module))
    return module


def differing(files: list[str]) -> list[str]:
    """Which of these files are not on disk as they are packed, or are packed needlessly."""
    on_disk = {file: (ROOT / file).read_text(encoding="utf-8") for file in files}
    packed = shipped_texts() if PACK.exists() else {}
    return sorted(file for file in {*on_disk, *packed} if on_disk.get(file) != packed.get(file))


def ship(files: list[str]) -> Path | None:
    """Pack these files as they stand; the same bytes for the same texts. None: nothing to do."""
    if not differing(files):
        return None

    def fill(out) -> None:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as pack:
            for file in sorted(files):
                entry = zipfile.ZipInfo(file)  # its date is fixed: 1980
                entry.compress_type = zipfile.ZIP_DEFLATED
                pack.writestr(entry, (ROOT / file).read_text(encoding="utf-8"))

    save_atomically(PACK, fill)
    shipped_texts.cache_clear()
    return PACK
