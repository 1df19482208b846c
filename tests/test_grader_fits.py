"""The grader copies and changes the package's own text: what it looks for must be there.

tests/grade tries the grader itself; this runs with everything else, so that whoever changes an
equation or a network learns at once what to carry over.
"""

import pytest

from minidiff.grade.exercises import all_exercises
from minidiff.grade.mistakes.catalogue import CATALOGUE
from minidiff.grade.solutions import (
    EXERCISES_FOLDER,
    files_to_ship,
    is_untouched,
    stub_text,
    write_stubs,
)
from minidiff.io.paths import ROOT
from minidiff.io.shipped import differing


def test_the_packed_package_is_the_package():
    """If not: `python -m minidiff lessons-sync --ship`."""
    assert differing(files_to_ship()) == []


def test_every_exercise_has_a_stub():
    missing = [n for n in all_exercises() if not (EXERCISES_FOLDER / f"{n}.py").is_file()]
    assert missing == []


@pytest.mark.parametrize("name", all_exercises())
def test_a_stub_in_which_nobody_has_written_is_what_sync_would_write(name):
    """If not: `python -m minidiff lessons-sync`; a stub whose code has changed is deleted first."""
    text = (EXERCISES_FOLDER / f"{name}.py").read_text()
    stub = stub_text(all_exercises()[name])
    if text.count("raise YourTurnError(") >= stub.count("raise YourTurnError("):
        assert text == stub


def test_sync_writes_old_stubs_anew_and_leaves_work_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("minidiff.grade.solutions.EXERCISES_FOLDER", tmp_path)
    assert len(write_stubs()) == len(all_exercises()) and write_stubs() == []
    old, begun, broken = (tmp_path / f"{n}.py" for n in ("schedule", "resblock", "views"))
    fresh = old.read_text()
    old.write_text(fresh.replace("Check it:", "An older sentence.\n\nCheck it:"))
    begun.write_text(begun.read_text().replace("Check it:", "Test it:") + "\nHALF = 0.5\n")
    broken.write_text("def view(")
    before = begun.read_text()
    assert write_stubs() == [old] and old.read_text() == fresh
    assert begun.read_text() == before and broken.read_text() == "def view("


@pytest.mark.parametrize("line", ["    # my plan", "    x = 1", "    return x_t"])
def test_a_line_of_the_student_s_is_work(line):
    stub = stub_text(all_exercises()["posterior_mean"])
    head, tail = stub.rsplit("    raise YourTurnError(", 1)
    assert not is_untouched(f"{head}{line}\n    raise YourTurnError({tail}", stub)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_mistake_has_one_place(name):
    mutation = CATALOGUE[name]
    text = (ROOT / mutation.file).read_text()
    wrong = mutation.apply(text)
    assert wrong != text
    compile(wrong, mutation.file, "exec")
