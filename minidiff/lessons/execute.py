"""Run one chapter in this process: python -m minidiff.lessons.execute FILE

All its fences share one namespace. Each is compiled with the chapter's file name and line numbers,
so a traceback points at the line of the lesson.
"""

import sys
import traceback
from pathlib import Path

from minidiff.io.surroundings import settle
from minidiff.lessons.chapters import Chapter, read_chapter


def execute(chapter: Chapter) -> dict:
    """Run the fences in order; the namespace they leave. An error carries on to the caller."""
    namespace = {"__name__": "__main__"}
    for fence in chapter.fences:
        if fence.runs:
            before = "\n" * (fence.line - 1)
            exec(compile(before + fence.code, str(chapter.path), "exec"), namespace)
    return namespace


def main(path: str) -> int:
    """The exit status: 1, and a traceback without the frames of this file, when a fence fails."""
    try:
        execute(read_chapter(Path(path)))
    except Exception as error:
        frames = error.__traceback__
        while frames and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        traceback.print_exception(type(error), error, frames)
        return 1
    return 0


if __name__ == "__main__":
    settle()
    sys.exit(main(sys.argv[1]))
