"""Draws a report section by section, keeps what is already drawn, and writes the page.

A section that is finished leaves a small JSON file beside its pictures. It is drawn again when
anything it came from has changed: the code, the weights, the user's picture. So an interrupted run
goes on where it stopped, and a run after an edit draws anew.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from minidiff.errors import UserError
from minidiff.figures.page import Figure, Section, Table, write_page
from minidiff.io.files import save_atomically
from minidiff.io.paths import ROOT

if find_spec("resource"):  # not on Windows
    import resource


@dataclass(frozen=True)
class Topic:
    """One section before it is drawn; draw() writes its files and says what they are."""

    id: str
    title: str
    look: str
    draw: Callable[[], list[Figure]]
    equation: str = ""
    code: str = ""
    stamp: str = ""  # what this section alone depends on, see `fingerprint`


@dataclass(frozen=True)
class Done:
    """What a drawn section leaves on disk: its figures, and what drawing them took."""

    stamp: str
    seconds: float
    peak_mib: int
    figures: list[Figure]


def draw_report(
    folder: Path,
    title: str,
    intro: str,
    topics: Sequence[Topic],
    *,
    stamp: str,
    only: str | None = None,
    tables: Sequence[Section] = (),
) -> Path:
    """Draw the topics (or the one called `only`) below folder; returns the index.html.

    stamp   what the pictures of all sections depend on, see `fingerprint`
    tables  further sections for the end of the page
    """
    chosen = choose(topics, only)
    sections, times = [], []
    for topic in chosen:
        done = read_done(folder, topic, stamp + topic.stamp)
        kept = done is not None
        done = done or draw_topic(folder, topic, stamp + topic.stamp)
        times.append((topic.id, f"{done.seconds:.1f}", done.peak_mib, "kept" if kept else "drawn"))
        sections.append(Section(topic.title, topic.look, topic.equation, topic.code, done.figures))
    table = Table(("section", "seconds", "peak MiB", "this run"), times)
    print_table(table)
    sections += [*tables, Section("Time and memory", "What each section took.", tables=[table])]
    # A page with one section has its own name: it must not replace the whole report.
    folder_page = folder if only is None else folder / f"only-{only}"
    return write_page(folder_page, title, intro, absolute(sections, folder))


def choose(topics: Sequence[Topic], only: str | None) -> list[Topic]:
    ids = [topic.id for topic in topics]
    if only is not None and only not in ids:
        own = " (it needs --image, yours-mask also --mask)" if only.startswith("yours") else ""
        raise UserError(f"there is no section {only!r}{own}; the sections are {', '.join(ids)}")
    return [topic for topic in topics if only in (None, topic.id)]


def absolute(sections: list[Section], folder: Path) -> list[Section]:
    """Figures' paths are kept relative to the report; a page in a sub-folder needs them whole."""
    return [
        Section(
            s.title,
            s.look,
            s.equation,
            s.code,
            [Figure(folder.absolute() / f.path, f.caption, f.alt) for f in s.figures],
            s.tables,
        )
        for s in sections
    ]


def draw_topic(folder: Path, topic: Topic, stamp: str) -> Done:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    figures = topic.draw()
    done = Done(stamp, time.perf_counter() - begun, peak_mib(), figures)
    content = json.dumps(asdict(done), indent=1).encode()
    save_atomically(folder / f"{topic.id}.json", lambda file: file.write(content))
    return done


def read_done(folder: Path, topic: Topic, stamp: str) -> Done | None:
    """The section as an earlier run left it, or None when it has to be drawn (again)."""
    try:
        raw = json.loads((folder / f"{topic.id}.json").read_text(encoding="utf-8"))
        done = Done(**{**raw, "figures": [Figure(**figure) for figure in raw["figures"]]})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = all((folder / figure.path).is_file() for figure in done.figures)
    return done if whole and done.stamp == stamp else None


def peak_mib() -> int:
    """Peak memory: of the GPU since the section began, else of the process since its start; 0 where
    nobody counts it (Windows)."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() >> 20
    if not find_spec("resource"):
        return 0
    kib = 1 << 10 if sys.platform == "darwin" else 1  # macOS counts in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // kib >> 10


def fingerprint(files: Sequence[Path], *settings: object) -> str:
    """Changes when the package's code, one of the files, or a setting does.

    Code and small files count by content; large ones (weights) by name, size and time of change.
    """
    digest = hashlib.sha256(repr(settings).encode())
    for path in [*sorted((ROOT / "minidiff").rglob("*.py")), *files]:
        stat = path.stat()
        large = stat.st_size > 4 << 20
        content = f"{stat.st_size} {stat.st_mtime_ns}".encode() if large else path.read_bytes()
        digest.update(path.name.encode() + b"\0" + content)
    return digest.hexdigest()[:16]


def print_table(table: Table) -> None:
    for row in (table.header, *table.rows):
        print(f"  {row[0]:<10}{row[1]:>9}{row[2]:>10}  {row[3]}")
