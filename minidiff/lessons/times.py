"""How long the chapters take: one column of the book's contents, lessons/README.md.

A row holds two numbers of seconds, "31 / 75": on a machine that does nothing else, and on a busy
one. `python -m minidiff lessons --times idle` writes the first, `--times busy` the second.
"""

import re
from pathlib import Path

from minidiff.io.files import save_atomically
from minidiff.lessons.chapters import LESSONS

KINDS = ("idle", "busy")
ROW = re.compile(
    r"^(?P<row>\| (?P<number>\d\d) \| .*\| )(?P<idle>\S+) / (?P<busy>\S+)(?= \|)", re.MULTILINE
)
SUM = re.compile(r"(?<=All chapters together: )(?P<idle>\S+) / (?P<busy>\S+)(?= s)")


def write_times(kind: str, seconds: dict[str, float], path: Path = LESSONS / "README.md") -> None:
    """Put what these chapters took (number -> seconds) into their rows, and the new sum."""
    text = path.read_text(encoding="utf-8")

    def row(match: re.Match) -> str:
        took = {name: match[name] for name in KINDS}
        if match["number"] in seconds:
            took[kind] = f"{seconds[match['number']]:.0f}"
        return f"{match['row']}{took['idle']} / {took['busy']}"

    text = ROW.sub(row, text)
    sums = {name: total([match[name] for match in ROW.finditer(text)]) for name in KINDS}
    text = SUM.sub(f"{sums['idle']} / {sums['busy']}", text)
    save_atomically(path, lambda file: file.write(text.encode()))


def total(column: list[str]) -> str:
    """The sum, or a dash while a chapter has no number."""
    return f"{sum(map(int, column)):,}" if all(map(str.isdigit, column)) else "–"
