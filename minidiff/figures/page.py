"""Writes a report as one `index.html` beside its pictures: no script, no font, nothing fetched.

section = Section(
    title="1.1 The forward process",
    equation="x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε",
    code="equations.forward_process",
    look="The tower drowns as t grows.",
    figures=[Figure("1.1-noisy.png", "The Campanile at three noise levels", alt="Four ...")],
)
write_page("out/part-a", "Part A", "What a pretrained model can do.", [section])
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

from minidiff.errors import UserError
from minidiff.io.files import save_atomically

STYLE = """
:root { color-scheme: light dark; --line: #d8d8d8; --soft: #666; --panel: #f5f5f2; }
@media (prefers-color-scheme: dark) { :root { --line: #444; --soft: #aaa; --panel: #26262a; } }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { line-height: 1.2; margin-bottom: .3rem; }
h2 { line-height: 1.25; margin: 2.6rem 0 .4rem; border-top: 1px solid var(--line);
     padding-top: 1.2rem; }
nav ol { columns: 16rem; column-gap: 3rem; padding-left: 1.4rem; }
.equation { background: var(--panel); border-radius: .4rem; padding: .6rem .9rem;
            overflow-x: auto; font-family: Cambria, Georgia, "Times New Roman", serif;
            font-size: 1.1rem; }
.equation code { float: right; font-size: .8rem; color: var(--soft); margin-left: 1.5rem; }
figure { margin: 1.2rem 0; }
figure img { display: block; max-width: 100%; height: auto; border-radius: .3rem;
             border: 1px solid var(--line); }
figcaption, footer { color: var(--soft); font-size: .92rem; margin-top: .35rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .9rem .3rem 0; text-align: left; }
"""


@dataclass(frozen=True)
class Figure:
    """A picture of the report. `alt` says what it shows to somebody who cannot see it."""

    path: str | Path  # absolute, or relative to the page's folder
    caption: str
    alt: str


@dataclass(frozen=True)
class Table:
    """Numbers: a heading per column, and rows as long as the headings."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """One section of the report. All texts are plain; only `equation` has markup, see `maths`."""

    title: str
    look: str  # one line: what to see in the pictures
    equation: str = ""
    code: str = ""  # the function that computes the equation, for example "equations.ddpm_step"
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()


def write_page(
    folder: str | Path, title: str, intro: str, sections: Sequence[Section], footer: str = ""
) -> Path:
    """Write folder/index.html and return its path; pictures are linked relative to the folder.

    Raises UserError when a figure's file is missing or has no alt text.
    """
    folder = Path(folder)
    contents = "".join(
        f'<li><a href="#{anchor(s.title)}">{escape(s.title)}</a></li>' for s in sections
    )
    body = "\n".join(section_html(section, folder) for section in sections)
    html = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(intro)}</p>\n<nav><ol>{contents}</ol></nav>\n"
        f"<main>\n{body}\n</main>\n<footer><p>{escape(footer)}</p></footer>\n</body>\n</html>\n"
    )
    return save_atomically(folder / "index.html", lambda file: file.write(html.encode()))


def section_html(section: Section, folder: Path) -> str:
    parts = [f'<section id="{anchor(section.title)}">\n<h2>{escape(section.title)}</h2>']
    if section.equation:
        code = f"<code>{escape(section.code)}</code>" if section.code else ""
        parts.append(f'<p class="equation">{code}{maths(section.equation)}</p>')
    parts.append(f"<p>{escape(section.look)}</p>")
    parts += [figure_html(figure, folder) for figure in section.figures]
    parts += [table_html(table) for table in section.tables]
    return "\n".join([*parts, "</section>"])


def figure_html(figure: Figure, folder: Path) -> str:
    path = folder / figure.path
    if not path.is_file():
        raise UserError(f"the report needs {path}, which is not there; draw the figure first")
    if not figure.alt.strip():
        raise UserError(f"{path.name} has no alt text; say in one sentence what it shows")
    with Image.open(path) as image:
        width, height = image.size
    link = escape(os.path.relpath(path, folder).replace(os.sep, "/"))
    return (
        f'<figure><a href="{link}"><img src="{link}" width="{width}" height="{height}" '
        f'loading="lazy" alt="{escape(figure.alt)}"></a>\n'
        f"<figcaption>{escape(figure.caption)}</figcaption></figure>"
    )


def table_html(table: Table) -> str:
    if any(len(row) != len(table.header) for row in table.rows):
        raise UserError(
            f"every row of the table {list(table.header)} needs {len(table.header)} cells"
        )
    head = "".join(f"<th>{escape(str(cell))}</th>" for cell in table.header)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in table.rows
    )
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    return f'<div class="table"><table>{caption}<tr>{head}</tr>\n{rows}</table></div>'


def maths(equation: str) -> str:
    """A formula in unicode as HTML: x_t and x_{t−1} become subscripts, x^2 and x^{1/2} raised."""
    html = escape(equation)
    for mark, tag in (("_", "sub"), (r"\^", "sup")):
        html = re.sub(mark + r"(?:\{([^}]*)\}|(\w))", rf"<{tag}>\1\2</{tag}>", html)
    return html.replace("\n", "<br>")


def anchor(title: str) -> str:
    """The title as the name of a place on the page: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
