"""Chapters as notebooks: the same code runs, and links lead to the same places."""

import re

import pytest

from minidiff.lessons.chapters import LESSONS, find_chapters, find_fences
from minidiff.lessons.notebooks import FIRST_CELL, NOTEBOOKS, to_convert

CHAPTERS = find_chapters()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.number)
def test_a_notebook_runs_the_fences_that_the_chapter_runs(chapter):
    converted = find_fences(to_convert(chapter), chapter.name)
    own = [fence.code for fence in chapter.fences if fence.runs]
    assert [fence.code for fence in converted] == [FIRST_CELL + "\n", *own]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.number)
def test_links_lead_where_the_chapters_lead(chapter):
    before, after = local_links(chapter.text), local_links(to_convert(chapter))
    assert before
    assert [(NOTEBOOKS / link).resolve() for link in after] == [
        (LESSONS / link).resolve() for link in before
    ]


def local_links(text: str) -> list[str]:
    found = re.findall(r"\]\(([^)#]+)", text)
    return [n for n in found if re.search("[./]", n) and not re.match("[a-z]+:", n)]
