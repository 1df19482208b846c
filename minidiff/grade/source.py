"""Where the code under test comes from: a folder of exercise files, or a package.

    exercises      lessons/exercises: what a student writes (the default)
    solutions      the package as it was shipped
    minidiff       the package itself, after an edit of its source
    another path   a folder of exercise files, as an autograder has it, or one that holds a minidiff

These functions import code that may do anything: call them inside the sandbox.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from minidiff.errors import UserError
from minidiff.grade.exercises import Exercise
from minidiff.grade.expect import Wrong
from minidiff.grade.solutions import solution_text
from minidiff.io.paths import ROOT
from minidiff.io.shipped import run_text

LESSONS = ROOT / "lessons"
GRADER = ("minidiff.grade", "minidiff.errors")


class Code:
    """The functions and classes under test, by name."""

    def __init__(self, found: dict[str, object]):
        self._found = found

    def __getattr__(self, name: str):
        if name not in self._found:
            raise Wrong(f"there is no `{name}` in the file: keep the name the exercise gives it")
        return self._found[name]


@dataclass(frozen=True)
class Source:
    """name: as the user called it. load(exercise) gives the code, inside the sandbox."""

    name: str
    load: Callable[[Exercise], Code]


def choose(name: str) -> Source:
    """The source of that name. UserError if there is none."""
    if name == "minidiff":
        return Source(name, lambda exercise: from_package(exercise, ROOT))
    if name == "solutions":
        return Source(name, lambda exercise: from_text(exercise, solution_text(exercise)))
    folder = LESSONS / "exercises" if name == "exercises" else Path(name)
    if not folder.is_dir():
        raise UserError(
            f"there is no folder {name!r} to grade: SOURCE is exercises, solutions, minidiff, or a"
            " folder of exercise files"
        )
    if (folder / "minidiff" / "equations.py").is_file():
        return Source(name, lambda exercise: from_package(exercise, folder))
    return Source(name, lambda exercise: from_file(exercise, folder / f"{exercise.name}.py"))


def from_file(exercise: Exercise, path: Path) -> Code:
    """The code of an exercise file."""
    if not path.is_file():
        raise Wrong(f"there is no file {path.name}; `make lessons-sync` writes the missing ones")
    return Code(vars(run_text(path.read_text(), f"exercise_{exercise.name}", str(path))))


def from_text(exercise: Exercise, text: str) -> Code:
    """The code of a file that is only in memory."""
    return Code(vars(run_text(text, f"version_of_{exercise.name}", "<version>")))


def from_package(exercise: Exercise, root: Path) -> Code:
    """The parts of an exercise from root/minidiff, imported anew; the grader itself stays."""
    import_from(root)
    found: dict[str, object] = {}
    for part in exercise.parts:
        module = importlib.import_module(part.module)
        if hasattr(module, part.name):
            found[part.name] = getattr(module, part.name)
    return Code(found)


def import_from(root: Path) -> None:
    """From here on, what is imported of the package comes from root/minidiff, but the grader."""
    for name in list(sys.modules):
        if name.split(".")[0] == "minidiff" and not name.startswith(GRADER):
            del sys.modules[name]
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True  # an edit within the same second must not meet an old .pyc
    importlib.invalidate_caches()
