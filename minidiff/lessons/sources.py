"""Code that a chapter shows from the package: is it still what the package says?

A fence under `<!-- source: minidiff/equations.py::add_noise -->` is a copy of that function. The
part after :: may be a function, a Class, or a Class.method.
"""

import ast
from textwrap import dedent

from minidiff.errors import UserError
from minidiff.io.files import save_atomically
from minidiff.io.paths import ROOT
from minidiff.lessons.chapters import Chapter, Fence, find_chapters


def source_of(reference: str) -> str:
    """The code that "file.py::name" names, decorators included, moved to the left margin."""
    file, _, names = reference.partition("::")
    path = ROOT / file
    if not names or not path.is_file():
        raise UserError(f"{reference!r} names no code of this repository; write file.py::name")
    text = path.read_text(encoding="utf-8")
    node = ast.parse(text)
    for name in names.split("."):
        node = next((n for n in node.body if getattr(n, "name", None) == name), None)
        if node is None:
            raise UserError(f"{file} has no {names}: the chapter that shows it must change")
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    lines = text.splitlines(keepends=True)[first - 1 : node.end_lineno]
    return dedent("".join(lines))


def stale(chapter: Chapter) -> list[str]:
    """One sentence per fence that is no longer what the package says."""
    faults = []
    for fence in copies(chapter):
        try:
            same = fence.code == source_of(fence.source)
            why = f"is not what {fence.source} says now; `make lessons-sync` updates it"
        except UserError as error:
            same, why = False, f"({error})"
        if not same:
            faults.append(f"{chapter.name}:{fence.line}: this code {why}")
    return faults


def sync(numbers: list[str] | None = None) -> None:
    """Rewrite the copies in the chapters from the package."""
    for chapter in find_chapters(numbers):
        lines = chapter.text.split("\n")
        for fence in reversed(copies(chapter)):
            first = fence.line - 1
            new = source_of(fence.source).rstrip("\n").split("\n")
            lines[first : first + fence.code.count("\n")] = new
        text = "\n".join(lines)
        if text != chapter.text:
            save_atomically(chapter.path, lambda file, text=text: file.write(text.encode()))
            print(f"updated {chapter.name}")


def copies(chapter: Chapter) -> list[Fence]:
    return [fence for fence in chapter.fences if fence.source]
