"""The functions that the page lets one change: where they stand, their text, and saving it.

A file is looked at as a text, never imported: what a student has typed may not even parse. Nothing
is written but by `save`.
"""

import ast
from dataclasses import dataclass
from functools import cache

from minidiff.errors import UserError
from minidiff.grade.mistakes.catalogue import CATALOGUE, Mutation
from minidiff.io.files import save_atomically
from minidiff.io.paths import ROOT
from minidiff.io.shipped import shipped_text, shipped_texts

FIRST = ("minidiff/equations.py", "minidiff/guidance.py", "minidiff/schedule.py")


@dataclass(frozen=True)
class Place:
    """A function or class at the top level of a file of the package."""

    file: str  # "minidiff/equations.py"
    name: str

    def __str__(self) -> str:
        return f"{self.file.removeprefix('minidiff/')}: {self.name}"


@dataclass(frozen=True)
class Span:
    """Lines first..last of a file, counted from 0, the last one not included."""

    first: int
    last: int


def spans(text: str) -> dict[str, Span]:
    """Where each function and class stands, decorators included. SyntaxError for a broken text."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found[node.name] = Span(first - 1, node.end_lineno)
    return found


def piece(text: str, name: str) -> str:
    """The text of one function or class."""
    return cut(text, spans(text)[name])


def cut(text: str, span: Span) -> str:
    return "\n".join(text.splitlines()[span.first : span.last]) + "\n"


@cache
def all_places() -> dict[str, Place]:
    """Every function and class of the shipped files, by `str(place)`; the equations come first."""
    files = sorted(
        shipped_texts(), key=lambda f: (f not in FIRST, FIRST.index(f) if f in FIRST else f)
    )
    places = [Place(file, name) for file in files for name in shipped_spans(file)]
    return {str(place): place for place in places}


def find_place(key: str) -> Place:
    if key not in all_places():
        raise UserError(f"no function is called {key!r} in the package")
    return all_places()[key]


# --- texts ----------------------------------------------------------------------------------------


def file_on_disk(file: str) -> str:
    """A file as it stands in the reader's copy."""
    try:
        return (ROOT / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({error}): `git checkout {file}`") from error


def on_disk(place: Place) -> str:
    """The function as it stands in the reader's copy; the shipped one where there is none."""
    try:
        return piece(file_on_disk(place.file), place.name)
    except (SyntaxError, KeyError):
        return shipped(place)


def shipped(place: Place) -> str:
    return piece(shipped_text(place.file), place.name)


def with_piece(place: Place, code: str) -> tuple[str, int]:
    """The reader's file with `code` in the function's place, and its first line, from 0.

    Where the reader's file does not parse, or has no such function, the shipped file is taken.
    UserError unless the code is Python and still defines the function.
    """
    check(place, code)
    try:
        text = file_on_disk(place.file)
        span = spans(text)[place.name]
    except (SyntaxError, KeyError):
        text = shipped_text(place.file)
        span = spans(text)[place.name]
    lines = text.splitlines()
    lines[span.first : span.last] = code.rstrip().splitlines()
    return "\n".join(lines) + "\n", span.first


def check(place: Place, code: str) -> None:
    """UserError, with its line, for what Python cannot read."""
    try:
        found = spans(code)
        compile(code, place.file, "exec")
    except SyntaxError as error:
        raise UserError(f"Python cannot read line {error.lineno}: {error.msg}") from error
    except ValueError as error:  # a zero byte
        raise UserError(f"Python cannot read this: {error}") from error
    if place.name not in found:
        raise UserError(f"there is no `{place.name}` here any more: keep its name")


def save(place: Place, code: str) -> str:
    """Write the function into the reader's copy; a sentence that says so."""
    text, _ = with_piece(place, code)
    path = ROOT / place.file
    if file_on_disk(place.file) == text:
        return f"{place.file} has it already"
    save_atomically(path, lambda file: file.write(text.encode()))
    return f"saved into {place.file}; `make grade` and the next start of this page use it"


# --- the catalogue --------------------------------------------------------------------------------


@cache
def place_of(name: str) -> Place:
    """The function that a catalogued mistake is in."""
    mistake = find_mistake(name)
    sound = shipped_text(mistake.file)
    broken = mistake.apply(sound).splitlines()
    pairs = enumerate(zip(sound.splitlines(), broken))
    first = next((i for i, (a, b) in pairs if a != b), -1)  # the first line that differs
    for candidate, span in shipped_spans(mistake.file).items():
        if span.first <= first < span.last:
            return Place(mistake.file, candidate)
    raise UserError(f"the mistake {name} is in no function: {mistake.file}")


@cache
def shipped_spans(file: str) -> dict[str, Span]:
    return spans(shipped_text(file))


def with_mistake(name: str) -> str:
    """The function of `place_of(name)` with the mistake in it."""
    mistake = find_mistake(name)
    return piece(mistake.apply(shipped_text(mistake.file)), place_of(name).name)


def find_mistake(name: str) -> Mutation:
    if name not in CATALOGUE:
        raise UserError(f"the catalogue has no mistake {name!r}")
    return CATALOGUE[name]
