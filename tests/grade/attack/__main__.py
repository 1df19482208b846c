"""Grades a set of imagined students' answers and counts: caught, named, refused.

    python -m tests.grade.attack first [half]       half: even or odd entries only

Whether a hint is the right one is for a reader to say: every answer is printed with what it got.
"""

import json
import sys
import tempfile
from pathlib import Path

from minidiff.grade.exercises import all_exercises
from minidiff.grade.runner import grade, preload
from minidiff.grade.solutions import solution_text
from minidiff.grade.source import choose


def answer_text(exercise, edits) -> str:
    """The solution with these replacements, each of a text that must be there."""
    text = solution_text(exercise)
    for old, new in zip(edits[::2], edits[1::2], strict=True):
        if old not in text:
            raise ValueError(f"{exercise.name} has no {old!r}")
        text = text.replace(old, new, 1)
    return text


def main(name: str, half: str = "") -> None:
    attack = json.loads(Path(__file__).with_name(f"{name}.json").read_text())
    exercises = all_exercises()
    preload(list(exercises.values()))
    counts = {"caught": 0, "named": 0, "wrong": 0, "accepted": 0, "right": 0}
    for kind in ("wrong", "right"):
        chosen = attack[kind][half == "odd" :: 2] if half else attack[kind]
        for ex, label, *edits in chosen:
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, f"{ex}.py").write_text(answer_text(exercises[ex], edits))
                result = grade(exercises[ex], choose(folder))
            counts[kind] += 1
            passed = result.state == "passed"
            if kind == "right":
                counts["accepted"] += passed
            else:
                counts["caught"] += not passed
                counts["named"] += bool(result.hint)
            row = {"kind": kind, "exercise": ex, "label": label, "state": result.state,
                   "check": result.failed_check, "message": result.message,
                   "hint": result.hint, "mutation": result.mutation}  # fmt: skip
            print(json.dumps(row), flush=True)
    print(json.dumps(counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
