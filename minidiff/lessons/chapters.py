"""A chapter as text: its fences, and what is between them."""

import re
from dataclasses import dataclass
from pathlib import Path

from minidiff.errors import UserError
from minidiff.io.paths import ROOT, need_clone

LESSONS = ROOT / "lessons"
MARKER = re.compile(r"<!--\s*(source:\s*(?P<source>\S+)|(?P<shown>no-run))\s*-->")


@dataclass(frozen=True)
class Fence:
    """One ```language block of a chapter.

    line    number of its first line of code, counted from 1, in the chapter's file
    source  "minidiff/equations.py::add_noise" when the code is a copy of the package's
    shown   whether it is only shown, as `<!-- no-run -->` above it says
    """

    language: str
    line: int
    code: str
    source: str | None = None
    shown: bool = False

    @property
    def runs(self) -> bool:
        return self.language == "python" and not self.source and not self.shown


@dataclass(frozen=True)
class Chapter:
    path: Path
    text: str

    @property
    def number(self) -> str:
        return self.path.name[:2]

    @property
    def name(self) -> str:
        """The file from the repository's root, as messages name it."""
        return str(self.path.relative_to(ROOT)) if ROOT in self.path.parents else str(self.path)

    @property
    def fences(self) -> list[Fence]:
        return find_fences(self.text, self.name)

    @property
    def prose(self) -> str:
        """The text with the lines of its fences left empty, so that line numbers stay."""
        lines = self.text.split("\n")
        for fence in self.fences:
            first, last = fence.line - 2, fence.line + fence.code.count("\n")
            lines[first : last + 1] = [""] * (last + 1 - first)
        return "\n".join(lines)


def find_chapters(numbers: list[str] | None = None, folder: Path = LESSONS) -> list[Chapter]:
    """The chapters with these numbers ("5" or "05"), all when none is given, in order."""
    need_clone("the lessons")
    paths = {path.name[:2]: path for path in sorted(folder.glob("[0-9][0-9]-*.md"))}
    wanted = [number.zfill(2) for number in numbers or paths]
    if unknown := [number for number in wanted if number not in paths]:
        known = ", ".join(paths) or "none"
        raise UserError(f"there is no lesson {unknown[0]}; there are: {known}")
    return [read_chapter(paths[number]) for number in wanted]


def read_chapter(path: Path) -> Chapter:
    return Chapter(path, path.read_text(encoding="utf-8"))


def find_fences(text: str, name: str) -> list[Fence]:
    """All fences of a Markdown text, in order. UserError for one that is not closed."""
    fences, opened, marker = [], None, None
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if opened is None and line.startswith("```"):
            opened = i
        elif opened is not None and line == "```":
            code = "".join(f"{row}\n" for row in lines[opened + 1 : i])
            language = lines[opened][3:].strip()
            source, shown = (marker["source"], bool(marker["shown"])) if marker else (None, False)
            fences.append(Fence(language, opened + 2, code, source, shown))
            opened, marker = None, None
        elif opened is None and line.strip():
            marker = MARKER.fullmatch(line.strip())
    if opened is not None:
        raise UserError(f"{name}:{opened + 1}: this fence is never closed; end it with ```")
    return fences
