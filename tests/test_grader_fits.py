"""The grader copies and changes the package's own text: what it looks for must be there.

tests/grade tries the grader itself; this runs with everything else, so that whoever changes an
equation or a network learns at once what to carry over.
"""

import pytest

from minidiff.grade.exercises import all_exercises
from minidiff.grade.mistakes.catalogue import CATALOGUE
from minidiff.grade.solutions import EXERCISES_FOLDER, files_to_ship
from minidiff.io.paths import ROOT
from minidiff.io.shipped import differing


def test_the_packed_package_is_the_package():
    """If not: `python -m minidiff lessons-sync --ship`; delete the stubs that should be new."""
    assert differing(files_to_ship()) == []


def test_every_exercise_has_a_stub():
    missing = [n for n in all_exercises() if not (EXERCISES_FOLDER / f"{n}.py").is_file()]
    assert missing == []


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_mistake_has_one_place(name):
    mutation = CATALOGUE[name]
    text = (ROOT / mutation.file).read_text()
    wrong = mutation.apply(text)
    assert wrong != text
    compile(wrong, mutation.file, "exec")
