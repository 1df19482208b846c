"""What the page can open by a word, and the lines of the book that lead there.

A target is a mistake of the catalogue ("mean-x0-no-root"), a tab ("draw") or a chapter ("05"):

    make play OPEN=mean-x0-no-root                           # starts the page there
    http://127.0.0.1:7860/?tab=equation&mistake=mean-x0-no-root    # while it runs

A chapter names its targets in a comment, `<!-- play: mean-x0-no-root, draw -->`, and the line under
it is made from that by `make lessons-sync`. A code host shows the links as well as the page does.
They lead to the reader's own machine, and open nothing unless the page runs there and this browser
has its token.
"""

import difflib
import re
from urllib.parse import urlencode

from minidiff.errors import UserError
from minidiff.grade.mistakes.catalogue import CATALOGUE
from minidiff.io.files import save_atomically
from minidiff.lessons.chapters import Chapter, find_chapters

PORT = 7860  # unless it is taken, or another one is asked for
HERE = f"http://127.0.0.1:{PORT}"
TITLES = {
    "sample": "Sample",
    "equation": "Change an equation",
    "draw": "Draw and edit",
    "inpaint": "Inpaint",
    "illusions": "Illusions",
    "digits": "Digits",
    "second": "Second stage",
    "read": "Read",
}
MARKER = re.compile(r"^<!-- play: (?P<targets>[\w, -]+) -->\n(?P<line>.*)\n", re.MULTILINE)


def query_of(target: str) -> str:
    """The address of a target, what stands after `/?`. UserError for a word that names none."""
    if target in CATALOGUE:
        return urlencode({"tab": "equation", "mistake": target})
    if target in TITLES:
        return urlencode({"tab": target})
    if target.isdecimal():
        return urlencode({"tab": "read", "chapter": find_chapters([target])[0].number})
    near = difflib.get_close_matches(target, [*CATALOGUE, *TITLES], 3, 0.5)
    raise UserError(
        f"the page has no {target!r}: give a tab ({', '.join(TITLES)}), a chapter such as 05, or a"
        f" mistake of the catalogue, such as {', '.join(near or ['mean-x0-no-root'])}"
    )


def line_of(targets: list[str]) -> str:
    """A line of the book that leads to these targets."""
    links = [f"[{TITLES.get(name, name)}]({HERE}/?{query_of(name)})" for name in targets]
    whole = ", ".join(links[:-1]) + " and " + links[-1] if links[1:] else links[0]
    return (
        f"*On the page:* {whole}. The links work while `make play` runs;"
        f" `make play OPEN={targets[0]}` starts it there."
    )


def targets_of(chapter: Chapter) -> list[str]:
    """What a chapter's comments name."""
    return [name for marker in MARKER.finditer(chapter.text) for name in named(marker)]


def named(marker: re.Match) -> list[str]:
    return [name.strip() for name in marker["targets"].split(",")]


def with_line(chapter: Chapter) -> str:
    """The chapter's text with the line made anew."""

    def anew(marker: re.Match) -> str:
        return f"<!-- play: {marker['targets']} -->\n{line_of(named(marker))}\n"

    return MARKER.sub(anew, chapter.text)


def sync(numbers: list[str] | None = None) -> None:
    """Make the lines of these chapters anew, of all when none is given."""
    for chapter in find_chapters(numbers):
        if (text := with_line(chapter)) != chapter.text:
            save_atomically(chapter.path, lambda file, text=text: file.write(text.encode()))
            print(f"updated {chapter.name}")
