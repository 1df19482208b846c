"""What can be wrong with a chapter's text: its form, links, pictures, maths and length."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from PIL import Image

from minidiff.io.paths import ROOT
from minidiff.lessons.chapters import Chapter
from minidiff.lessons.maths import maths_faults
from minidiff.lessons.questions import ASKED, questions

WORDS = (900, 2300)
WIDTH = 840  # pixels: the column in which a code host shows a page; wider is scaled and blurs
KILOBYTES = {".png": 120, ".gif": 300}

LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
SAVED = re.compile(r"save_(?:figure|plot|animation)\(.*?\"(?P<name>\d\d-[^\"]+)\"", re.DOTALL)


def lint(chapter: Chapter) -> list[str]:
    """One line per fault: "lessons/05-x.md:12: what is wrong"."""
    checks = (form_faults, link_faults, figure_faults, code_faults, maths_faults, question_faults)
    found = sorted({fault for check in checks for fault in check(chapter)})
    return [f"{chapter.name}:{line}: {what}" for line, what in found]


Faults = Iterator[tuple[int, str]]


def form_faults(chapter: Chapter) -> Faults:
    lines = chapter.text.rstrip("\n").split("\n")
    if not re.fullmatch(rf"# {chapter.number}\. \S.*", lines[0]):
        yield 1, f'the first line must be "# {chapter.number}. Title"'
    if len(lines) < 3 or not re.fullmatch(r"\*Weights: .*[Ff]iles.*\*", lines[2]):
        yield 3, 'the third line must be "*Weights: ... Files touched: ...*"'
    if "README.md" not in lines[-1] or "|" not in lines[-1]:
        yield len(lines), "the last line must be the links previous | contents | next"
    words = len(re.findall(r"[A-Za-z][\w'-]*", without_code(chapter.prose)))
    if not WORDS[0] <= words <= WORDS[1]:
        yield 1, f"{words} words; a chapter has {WORDS[0]} to {WORDS[1]}"
    for tag in ("details", "summary"):
        if chapter.prose.count(f"<{tag}>") != chapter.prose.count(f"</{tag}>"):
            yield 1, f"a <{tag}> is not closed"


def link_faults(chapter: Chapter) -> Faults:
    for line, link in links(chapter):
        target, _, anchor = unquote(link["target"]).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (chapter.path.parent / target) if target else chapter.path
        if not path.exists():
            yield line, f"{target} does not exist"
        elif ROOT not in path.resolve().parents and path.resolve() != ROOT:
            yield line, f"{target} lies outside the repository"
        elif anchor and path.suffix == ".md" and anchor not in anchors(path):
            yield line, f"{path.name} has no heading for #{anchor}"
        if link["picture"] and len(link["text"]) < 10:
            yield line, f"say what {target} shows, between the brackets"


def figure_faults(chapter: Chapter) -> Faults:
    """Every figure that is made is shown, every one that is shown is made and is small."""
    code = "\n".join(fence.code for fence in chapter.fences if fence.runs)
    made = {match["name"] for match in SAVED.finditer(code)}
    targets = {Path(link["target"]) for _, link in links(chapter) if link["picture"]}
    shown = {path.name for path in targets if path.parts[0] == "figures"}
    own = {name for name in shown if name.startswith(chapter.number)}
    stored = {p.name for p in (chapter.path.parent / "figures").glob(f"{chapter.number}-*")}
    for what, names in {
        "is made but never shown": made - shown,
        "is shown but no fence makes it": own - made,
        "lies in figures/ but is never shown": stored - shown,
    }.items():
        yield from ((1, f"{name} {what}") for name in names)
    for name in own & stored:
        yield from ((1, fault) for fault in size_faults(chapter.path.parent / "figures" / name))


def size_faults(path: Path) -> Iterator[str]:
    limit = KILOBYTES[path.suffix]
    if path.stat().st_size > 1000 * limit:
        yield f"{path.name} has {path.stat().st_size // 1000} kB; at most {limit}"
    with Image.open(path) as image:
        if image.width > WIDTH:
            yield f"{path.name} is {image.width} pixels wide; at most {WIDTH}"


def code_faults(chapter: Chapter) -> Faults:
    for fence in chapter.fences:
        if fence.runs and re.search(r"minidiff\.load\((?!.*device=)", fence.code):
            yield fence.line, 'write minidiff.load(device="cpu"): the chapter\'s tensors lie there'
        for i, line in enumerate(fence.code.split("\n")):
            if len(line) > 100:
                yield fence.line + i, f"{len(line)} characters of code in one line; at most 100"


def question_faults(chapter: Chapter) -> Faults:
    """Each "Predict" question has an answer that begins with a number, and a fence checks it."""
    code = "\n".join(fence.code for fence in chapter.fences if fence.runs)
    asked = re.findall(r"\*\*Predict (\d\d\.\d)\.\*\*", chapter.prose)
    answered = questions(chapter.text)
    checked = [match["name"] for match in ASKED.finditer(code)]
    for name in asked:
        if name[:2] != chapter.number or asked.count(name) > 1:
            yield 1, f"question {name} must be called {chapter.number}.n, each once"
        if name not in answered:
            yield 1, f'question {name} has no answer: "<summary>Answer</summary>", then **number**'
        if name not in checked:
            yield 1, f'question {name} is checked by no fence: predict("{name}", ...)'
    for name in set(checked) - set(asked):
        yield 1, f"a fence checks question {name}, and the text does not ask it"


# --- Markdown ---------------------------------------------------------------------------------


def links(chapter: Chapter) -> Iterator[tuple[int, re.Match]]:
    for number, line in enumerate(without_code(chapter.prose).split("\n"), start=1):
        for match in LINK.finditer(line):
            yield number, match


def without_code(text: str) -> str:
    """The text without `code` and without <!-- comments -->; lines stay where they are."""
    text = re.sub(r"<!--.*?-->", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL)
    return re.sub(r"`[^`\n]+`", "", text)


def anchors(path: Path) -> set[str]:
    """The anchors that a code host gives to the headings of a Markdown text."""
    found: set[str] = set()
    text = path.read_text(encoding="utf-8")
    for title in re.findall(r"^#+\s+(.+?)\s*$", text, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        numbered = (f"{slug}-{i}" if i else slug for i in range(len(found) + 1))
        found.add(next(name for name in numbered if name not in found))
    return found
