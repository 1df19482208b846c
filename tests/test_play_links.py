"""The book's links to the page: there in every chapter, made from its comment, opening what they
name."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from minidiff.errors import UserError
from minidiff.grade.mistakes.catalogue import CATALOGUE
from minidiff.lessons.chapters import Chapter, find_chapters
from minidiff.lessons.notebooks import to_convert
from minidiff.play import book, targets

LINK = re.compile(r"\]\((http://127\.0\.0\.1:\d+/\?[^)]*)\)")
CHAPTERS = [chapter for chapter in find_chapters() if chapter.number != "00"]  # 00 breaks nothing


def each(chapters):
    return pytest.mark.parametrize("chapter", chapters, ids=lambda chapter: chapter.number)


@each(CHAPTERS)
def test_every_chapter_leads_to_the_page(chapter):
    assert targets.targets_of(chapter), f"{chapter.name} has no <!-- play: ... -->"
    assert targets.with_line(chapter) == chapter.text, "`make lessons-sync` updates it"


@each([chapter for chapter in CHAPTERS if "\n## Break it" in chapter.text])
def test_the_links_stand_under_break_it(chapter):
    section = chapter.text.split("\n## Break it", 1)[1].split("\n## ", 1)[0]
    links = LINK.findall(section)
    assert len(links) == len(targets.targets_of(chapter))
    for link, target in zip(links, targets.targets_of(chapter)):
        query = parse_qs(urlsplit(link).query)
        assert query["tab"][0] in targets.TITLES
        assert (query.get("mistake") == [target]) == (target in CATALOGUE)


@each(CHAPTERS)
def test_on_the_page_itself_they_stay_on_it_whatever_its_port(chapter):
    _, text = book.page_of(chapter.number)
    assert targets.HERE not in text
    for target in targets.targets_of(chapter):
        assert f"](/?{targets.query_of(target)})" in text


@each(CHAPTERS)
def test_a_notebook_keeps_them(chapter):
    assert LINK.findall(to_convert(chapter)) == LINK.findall(chapter.text)


def chapter_of(text: str, tmp_path) -> Chapter:
    return Chapter(tmp_path / "05-a.md", text)


def test_a_stale_line_is_made_anew_and_nothing_else(tmp_path):
    text = "# 05. A\n\n<!-- play: cfg-swapped, draw -->\nold\n\nThe rest.\n"
    new = targets.with_line(chapter_of(text, tmp_path))
    assert new.startswith("# 05. A\n\n<!-- play: cfg-swapped, draw -->\n*On the page:* [cfg-")
    assert new.endswith("\n\nThe rest.\n") and "old" not in new and "[Draw and edit](" in new
    assert targets.with_line(chapter_of(new, tmp_path)) == new


def test_a_chapter_that_names_what_is_gone_is_an_error(tmp_path):
    with pytest.raises(UserError, match="cfg-swapt"):
        targets.with_line(chapter_of("<!-- play: cfg-swapt -->\n-\n", tmp_path))


@pytest.mark.parametrize(
    ("target", "query"),
    [
        ("cfg-swapped", "tab=equation&mistake=cfg-swapped"),
        ("draw", "tab=draw"),
        ("5", "tab=read&chapter=05"),
        ("31", "tab=read&chapter=31"),
    ],
)
def test_what_a_word_opens(target, query):
    assert targets.query_of(target) == query


@pytest.mark.parametrize("target", ["", "nonsense", "Sample ", "99", "cfg_swapped", "²", "-1"])
def test_what_is_no_target_ends_in_a_sentence(target):
    with pytest.raises(UserError):
        targets.query_of(target)
