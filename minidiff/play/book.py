"""A chapter as the page shows it: pictures and links that work there, and its mistakes to try."""

import re

from minidiff.grade.exercises import all_exercises
from minidiff.grade.mistakes.catalogue import CATALOGUE
from minidiff.lessons.chapters import LESSONS, Chapter, find_chapters
from minidiff.play.targets import HERE


def title_of(chapter: Chapter) -> str:
    return chapter.text.partition("\n")[0].lstrip("# ")


def page_of(number: str) -> tuple[str, str]:
    """The links to a chapter's mistakes, and its text with pictures and links that work here."""
    chapter = find_chapters([number])[0]
    text = re.sub(r"\]\(figures/([\w.-]+)\)", figure, chapter.text)
    text = re.sub(r'src="figures/([\w.-]+)"', lambda m: f'src="{figure_url(m[1])}"', text)
    text = re.sub(r"\]\((\d\d)-[\w-]+\.md(#[\w-]+)?\)", r"](/?tab=read&chapter=\1)", text)
    text = text.replace(f"]({HERE}/?", "](/?")  # on whatever port the page is
    text = text.replace("](README.md)", "](/?tab=read&chapter=00)")
    text = re.sub(r"\[([^\]\n]+)\]\((?:\.\./|exercises/|\w+\.py)[^)\s]*\)", r"\1", text)  # files
    return mistake_links(chapter), re.sub(r"<!--.*?-->\n?", "", text)


def figure(match: re.Match) -> str:
    return f"]({figure_url(match[1])})"


def figure_url(name: str) -> str:
    return f"/gradio_api/file={LESSONS / 'figures' / name}"


def mistake_links(chapter: Chapter) -> str:
    """The catalogued mistakes of the functions that a chapter is about."""
    names = mistakes_of(chapter)
    if not names:
        return ""
    links = "".join(
        f'<li><a href="/?tab=equation&mistake={name}">{name}</a></li>' for name in names
    )
    title = f"Break it here: {len(names)} mistakes of this chapter's functions, ready to run"
    return f'<details class="mistakes"><summary>{title}</summary><ul>{links}</ul></details>'


def mistakes_of(chapter: Chapter) -> list[str]:
    """Those whose exercise the chapter names, or asks for a function that its head lists."""
    head = next((line for line in chapter.text.splitlines() if line.startswith("*CPU")), "")
    listed = set(re.findall(r"`(\w+)`", head))
    found = {
        name
        for name, exercise in all_exercises().items()
        if f"EX={name}" in chapter.text or listed & {part.name for part in exercise.parts}
    }
    return [name for name, mistake in CATALOGUE.items() if mistake.exercise in found]
