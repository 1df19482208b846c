"""make notebooks: the chapters as .ipynb, for those who would rather run them cell by cell."""

import re
from pathlib import Path

from minidiff.errors import UserError
from minidiff.io.files import save_atomically
from minidiff.io.paths import ROOT
from minidiff.lessons.chapters import Chapter, find_chapters

NOTEBOOKS = ROOT / "out" / "notebooks"
# Chapters are written to be run from the folder that minidiff lies in: this repository, two folders
# above out/notebooks, or, where a notebook was taken elsewhere, the place of an installed copy.
FIRST_CELL = """\
import os
import sys
from pathlib import Path

if Path("../../minidiff/__init__.py").is_file():
    sys.path.insert(0, str(Path("../..").resolve()))
import minidiff  # outside the repository it must be installed: pip install PATH_OF_A_CLONE

os.chdir(Path(minidiff.__file__).parents[1])"""


def main(numbers: list[str] | None = None, out: str | Path = NOTEBOOKS) -> list[Path]:
    """Write the chapters with these numbers, all when none is given; returns the notebooks."""
    try:
        import jupytext
    except ImportError as error:
        raise UserError(
            "notebooks need jupytext: run `make notebooks`, which installs it"
        ) from error
    written = []
    for chapter in find_chapters(numbers):
        notebook = jupytext.reads(to_convert(chapter), fmt="md")
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        text = jupytext.writes(notebook, fmt="ipynb")
        path = Path(out) / chapter.path.with_suffix(".ipynb").name
        written.append(save_atomically(path, lambda file, text=text: file.write(text.encode())))
    return written


def to_convert(chapter: Chapter) -> str:
    """The chapter's Markdown with links that hold from out/notebooks, and only its own code to run.

    jupytext makes a cell of every ```python fence; a ~~~ fence stays text.
    """
    lines = chapter.text.split("\n")
    for fence in chapter.fences:
        if not fence.runs:
            lines[fence.line - 2] = f"~~~{fence.language}"
            lines[fence.line - 1 + fence.code.count("\n")] = "~~~"
    code = {fence.line - 1 + n for fence in chapter.fences for n in range(fence.code.count("\n"))}
    text = "\n".join(line if n in code else moved(line) for n, line in enumerate(lines))
    return f"```python\n{FIRST_CELL}\n```\n\n{text}"


def moved(line: str) -> str:
    """A line of prose with its links as they lead from out/notebooks."""
    return re.sub(r"\]\((?![a-z]+:|#|/)", "](../../lessons/", line)
