"""Where the code under test comes from: a folder of exercise files, or a package.

    exercises      lessons/exercises: what a student writes (the default)
    solutions      the package as it was shipped
    minidiff       the package itself, after an edit of its source
    another path   a folder of exercise files, as an autograder has it, or one that holds a minidiff

These functions import code that may do anything: call them inside the sandbox.
"""

import importlib
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

from minidiff.errors import UserError
from minidiff.grade.exercises import Exercise
from minidiff.grade.expect import Wrong
from minidiff.grade.solutions import solution_text
from minidiff.io.paths import ROOT
from minidiff.io.shipped import run_text, shipped_texts

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


class Written(Code):
    """The code of a student's file, where what is asked must be written, not imported."""

    def __getattr__(self, name: str):
        found = super().__getattr__(name)
        home = getattr(found, "__module__", None) or ""
        if home.partition(".")[0] == "minidiff":
            raise Wrong(f"`{name}` is imported from {home}: write it in this file")
        return found


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
    sys.path.insert(0, str(path.parent))  # a helper file beside it can be imported
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    # as bytes: Python itself reads a byte order mark and a declared coding
    return Written(vars(run_text(path.read_bytes(), f"exercise_{exercise.name}", str(path))))


def of_text(text: str) -> Source:
    """A source that is the text of one exercise's file, kept in memory."""

    def load(exercise: Exercise) -> Code:
        return Written(vars(run_text(text, f"exercise_{exercise.name}", f"{exercise.name}.py")))

    return Source("text", load)


def from_text(exercise: Exercise, text: str, file: str = "<version>") -> Code:
    """The code of a file that is only in memory, on top of the package as it was shipped."""
    with shipped_package():
        return Code(vars(run_text(text, f"version_of_{exercise.name}", file)))


def shipped_code(exercise: Exercise) -> Code:
    """What the package gives for an exercise, whatever has been changed in it since."""
    return from_text(exercise, solution_text(exercise))


SHIPPED: dict[str, ModuleType] = {}  # modules made from shipped texts, by name


@contextmanager
def shipped_package():
    """Within the block, `import minidiff.x` gives x as it was shipped, where it was."""
    texts = {file.removesuffix(".py").replace("/", "."): t for file, t in shipped_texts().items()}
    finder = ShippedFinder(texts)
    outside = {name: sys.modules.pop(name) for name in texts if name in sys.modules}
    sys.modules.update(SHIPPED)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        SHIPPED.update({name: sys.modules.pop(name) for name in texts if name in sys.modules})
        sys.modules.update(outside)
        for name, module in outside.items():  # imports also set the name in the folder's module
            parent, _, last = name.rpartition(".")
            if hasattr(sys.modules.get(parent), last):
                setattr(sys.modules[parent], last, module)


class ShippedFinder(MetaPathFinder, Loader):
    """Finds modules of the package among its shipped texts."""

    def __init__(self, texts: dict[str, str]):
        self.texts = texts

    def find_spec(self, fullname, path=None, target=None):
        return spec_from_loader(fullname, self) if fullname in self.texts else None

    def exec_module(self, module):
        code = compile(self.texts[module.__name__], f"<shipped {module.__name__}>", "exec")
        exec(code, vars(module))


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
