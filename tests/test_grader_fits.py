"""The grader copies and changes the package's own text: what it looks for must be there.

tests/grade tries the grader itself; this runs with everything else, so that whoever changes an
equation or a network learns at once what to carry over.
"""

import pytest

from minidiff.grade.catalogue import CATALOGUE
from minidiff.grade.solutions import sync
from minidiff.paths import ROOT


def test_solutions_are_what_the_package_says():
    """If not: `make lessons-sync`; delete the stubs that should be new as well."""
    assert sync(check=True) == []


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_mistake_has_one_place(name):
    mutation = CATALOGUE[name]
    text = (ROOT / mutation.file).read_text()
    wrong = mutation.apply(text)
    assert wrong != text
    compile(wrong, mutation.file, "exec")
