"""`make mutants`: every wrong version of the catalogue must be caught by its check, and named.

Each one is applied to a copy of the package in a folder of its own, and the copy is graded. Caught
means that the exercise fails at the check the catalogue names; named means that the hint given is
that wrong version's own.
"""

import shutil
import tempfile
from pathlib import Path

from minidiff.errors import UserError
from minidiff.grade.exercises import all_exercises
from minidiff.grade.mistakes.catalogue import CATALOGUE, Mutation
from minidiff.grade.runner import Result, grade, preload
from minidiff.grade.source import choose
from minidiff.io.paths import ROOT, need_clone


def main(only: str | None = None) -> None:
    """Try some entries of the catalogue or all. SystemExit(1) unless each is caught and named."""
    need_clone("the exercises and their grader")
    failures = []
    chosen = choose_mutations(only)
    preload([all_exercises()[mutation.exercise] for mutation in chosen])
    with tempfile.TemporaryDirectory() as folder:
        copy_package(Path(folder))
        for mutation in chosen:
            result = try_one(mutation, Path(folder))
            fault = fault_of(mutation, result)
            failures += [mutation.name] if fault else []
            print(f"  {'MISSED' if fault else 'caught'}  {mutation.name:40}{line(result, fault)}")
    print(f"\n{len(chosen) - len(failures)} of {len(chosen)} wrong versions caught and named")
    if failures:
        raise SystemExit(1)


def choose_mutations(names: str | None) -> list[Mutation]:
    wanted = [name.strip() for name in names.split(",")] if names is not None else list(CATALOGUE)
    for name in wanted:
        if name not in CATALOGUE:
            raise UserError(f"the catalogue has no {name!r}; it has: {', '.join(CATALOGUE)}")
    return [CATALOGUE[name] for name in wanted]


def copy_package(folder: Path) -> None:
    """A copy of the package's source in folder/minidiff."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "minidiff", folder / "minidiff", ignore=ignore)


def try_one(mutation: Mutation, folder: Path) -> Result:
    """Grade the copy with this mistake in it, and mend it again."""
    path = folder / mutation.file
    sound = path.read_text(encoding="utf-8")
    path.write_text(mutation.apply(sound), encoding="utf-8")
    try:
        return grade(all_exercises()[mutation.exercise], choose(str(folder)))
    finally:
        path.write_text(sound, encoding="utf-8")


def fault_of(mutation: Mutation, result: Result) -> str:
    """Why a wrong version does not count as caught and named, "" if it does."""
    if result.state == "passed":
        return "every check passed"
    if result.failed_check != mutation.caught_by:
        return f"caught by `{result.failed_check}`, not by `{mutation.caught_by}`"
    if result.mutation != mutation.name:
        return f"taken for {result.mutation or 'something unknown'}"
    return ""


def line(result: Result, fault: str) -> str:
    return fault or f"{result.name}: {result.failed_check}"
