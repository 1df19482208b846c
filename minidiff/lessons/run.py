"""python -m minidiff lessons: run each chapter in a fresh process, then check its text."""

import os
import subprocess
import sys
import time

from minidiff.errors import UserError
from minidiff.io.paths import ROOT
from minidiff.lessons.chapters import Chapter, find_chapters
from minidiff.lessons.lint import lint
from minidiff.lessons.questions import ASK
from minidiff.lessons.sources import stale
from minidiff.lessons.times import write_times


def main(
    numbers: list[str] | None = None,
    check: bool = False,
    ask: bool = False,
    times: str | None = None,
) -> None:
    """Run the chapters with these numbers, all when none is given, then check their text.

    check  only look: links, pictures, maths, and code that is a copy of the package's
    ask    let the reader answer the chapters' "Predict" questions before the number is shown
    times  "idle" or "busy": write what each chapter took into the book's contents
    UserError, after everything has been tried, when a chapter is wrong or fails.
    """
    if check and times:
        raise UserError("--check runs nothing, so there are no times; leave one of the two out")
    chapters = find_chapters(numbers)
    took = {} if check else {chapter.number: run(chapter, ask) for chapter in chapters}
    failed = [number for number, seconds in took.items() if seconds is None]
    if times:
        write_times(times, {number: s for number, s in took.items() if s is not None})
    faults = [fault for chapter in chapters for fault in [*stale(chapter), *lint(chapter)]]
    for fault in faults:
        print(fault)
    if failed:
        raise UserError(f"lessons that failed: {', '.join(failed)}; the tracebacks stand above")
    if faults:
        raise UserError(f"{len(faults)} faults in the lessons' text; they are listed above")


def run(chapter: Chapter, ask: bool = False) -> float | None:
    """Run it on the CPU, two threads, the weights that ship: seconds, None where it failed."""
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
    for name in ("MINIDIFF_WEIGHTS", "MINIDIFF_EMBEDDINGS", ASK):
        environment.pop(name, None)
    if ask:
        environment[ASK] = "1"
    print(f"--- {chapter.name}", flush=True)
    begun = time.perf_counter()
    command = [sys.executable, "-m", "minidiff.lessons.execute", str(chapter.path)]
    done = subprocess.run(command, cwd=ROOT, env=environment)
    seconds, right = time.perf_counter() - begun, done.returncode == 0
    print(f"--- {chapter.number} {'ok' if right else 'FAILED'}, {seconds:.0f} s", flush=True)
    return seconds if right else None
