"""The book as a whole: its contents, its order, its exercises, and the check of its questions."""

import re

import pytest

from minidiff.errors import UserError
from minidiff.grade.exercises import all_exercises
from minidiff.lessons import run
from minidiff.lessons.chapters import LESSONS, Chapter, find_chapters
from minidiff.lessons.lint import question_faults
from minidiff.lessons.questions import ASK, predict, questions
from minidiff.lessons.times import write_times

CONTENTS = (LESSONS / "README.md").read_text(encoding="utf-8")
ORDER = re.findall(r"^\| \d\d \| \[[^\]]+\]\((\d\d-[^)]+\.md)\)", CONTENTS, re.MULTILINE)
ROWS = dict(re.findall(r"^\| `(\w+)` \|.*\]\((\d\d-[^)]+\.md)\)", CONTENTS, re.MULTILINE))


def test_the_contents_list_every_chapter_once():
    assert sorted(ORDER) == [chapter.path.name for chapter in find_chapters()]


@pytest.mark.parametrize("place", range(len(ORDER)), ids=ORDER)
def test_each_chapter_leads_to_its_neighbours(place):
    last = (LESSONS / ORDER[place]).read_text(encoding="utf-8").rstrip().split("\n")[-1]
    links = dict(re.findall(r"\[(\w+)\]\(([^)]+)\)", last))
    expected = {"contents": "README.md"}
    if place > 0:
        expected["previous"] = ORDER[place - 1]
    if place + 1 < len(ORDER):
        expected["next"] = ORDER[place + 1]
    assert links == expected


@pytest.mark.parametrize("name", all_exercises())
def test_each_exercise_is_in_the_table_and_named_in_its_chapter(name):
    assert name in ROWS, f"lessons/README.md has no row for the exercise {name}"
    assert f"make grade EX={name}`" in (LESSONS / ROWS[name]).read_text(encoding="utf-8")


def test_the_table_has_each_exercise_once_and_none_that_is_none():
    assert sorted(re.findall(r"^\| `(\w+)` \|", CONTENTS, re.MULTILINE)) == sorted(all_exercises())


def test_times_are_written_into_the_contents(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(re.sub(r"\S+ / \S+ \|", "– / – |", CONTENTS), encoding="utf-8")
    write_times("idle", {"05": 30.6}, path)
    row = next(row for row in path.read_text("utf-8").split("\n") if row.startswith("| 05 |"))
    assert " | 31 / – | <img " in row and "together: – / – s" in path.read_text("utf-8")

    everywhere = {name[:2]: 40.0 for name in ORDER}
    write_times("busy", everywhere, path)
    write_times("idle", everywhere | {"05": 20.0}, path)
    text = path.read_text("utf-8")
    assert f"together: {40 * len(ORDER) - 20:,} / {40 * len(ORDER):,} s" in text
    assert "| 20 / 40 |" in text and text.count("| 40 / 40 |") == len(ORDER) - 1


def test_a_look_without_a_run_has_no_times_to_write():
    with pytest.raises(UserError, match="--check runs nothing"):
        run.main(["03"], check=True, times="idle")


# --- questions that a run checks by number -------------------------------------------------------

TEXT = """# 05. A chapter

**Predict 05.1.** How many?

```python
predict("05.1", 1000)
```

<details><summary>Answer</summary>

**1,000.** Because.

</details>
"""


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    path = tmp_path / "05-a-chapter.md"
    path.write_text(TEXT)
    monkeypatch.setattr(
        "minidiff.lessons.questions.find_chapters", lambda numbers: [Chapter(path, TEXT)]
    )
    return Chapter(path, TEXT)


def test_the_books_number_is_read_from_its_text():
    assert questions(TEXT) == {"05.1": ("How many?", 1000.0)}


def test_a_run_that_measures_another_number_fails(chapter):
    predict("05.1", 1040)
    with pytest.raises(AssertionError, match="answer is 1000, this run measured 1100"):
        predict("05.1", 1100)
    with pytest.raises(AssertionError):
        predict("05.1", float("nan"))


@pytest.mark.parametrize(
    "typed, said",
    [(["900"], "well predicted"), (["two", "7"], "not near: you said 7, it is 1000")],
)
def test_the_reader_is_asked_first(chapter, monkeypatch, capsys, typed, said):
    monkeypatch.setenv(ASK, "1")
    answers = iter(typed)
    monkeypatch.setattr("builtins.input", lambda prompt: next(answers))
    predict("05.1", 1000)
    assert said in capsys.readouterr().out


def test_a_question_nobody_checks_is_a_fault(chapter):
    assert not list(question_faults(chapter))
    unchecked = TEXT.replace('predict("05.1", 1000)', "pass")
    unanswered = TEXT.replace("**1,000.**", "A thousand.")
    elsewhere = TEXT.replace("**Predict 05.1.**", "**Predict 06.1.**")
    for text in (unchecked, unanswered, elsewhere):
        assert list(question_faults(Chapter(chapter.path, text)))
