"""Which edition of the course a report follows, and one page that leads to all that are drawn.

The course has changed: autumn 2024 diffuses, from spring 2025 on Part B flows, and from autumn 2026
Part A does, too. Every edition's report lies in a folder of its own; the oldest is the default.
"""

from html import escape
from pathlib import Path

from minidiff.errors import UserError
from minidiff.figures import part_a, part_a_flow, part_b, part_b_flow
from minidiff.figures.page import STYLE
from minidiff.io.files import save_atomically

EDITIONS = {  # part -> edition -> what it is, and the function that draws it
    "part-a": {
        "fa24": ("DeepFloyd's way: DDPM, timesteps from 999 down to 0", part_a.main),
        "fa26": ("flow coordinates: t from 0, noise, to 1, clean", part_a_flow.main),
    },
    "part-b": {
        "fa24": ("DDPM: the UNet answers with the noise", part_b.main),
        "fa25": ("flow matching: the UNet answers with the velocity", part_b_flow.main),
    },
}


def draw(part: str, edition: str, out: str | Path, **options) -> Path:
    """The report of one edition: fa24's in `out` itself, another in a folder below it.

    Raises UserError for an edition that the part does not have.
    """
    editions = EDITIONS[part]
    edition = {"fa26": "fa25"}.get(edition, edition) if part == "part-b" else edition
    if edition not in editions:
        raise UserError(
            f"{part} follows the editions {', '.join(editions)}, not {edition!r}"
            + (
                "; in 2025 and spring 2026 Part A was that of fa24"
                if part == "part-a"
                else "; from spring 2025 on Part B is that of fa25"
            )
        )
    out = Path(out)
    page = editions[edition][1](out=folder(out, edition), **options)
    write_links(part, out)
    return page


def part_a_report(out: str | Path = "out/part-a", edition: str = "fa24", **options) -> Path:
    """Part A of one edition. The newer one takes weights, only, device and embeddings."""
    own = [k for k in ("image", "mask", "prompt", "compare") if options.get(k)]
    if edition != "fa24" and own:
        raise UserError(
            f"--{own[0]} belongs to edition fa24, and this is {edition}: leave out one of the two"
            f" (of make {own[0].upper()}= or EDITION=)"
        )
    if edition != "fa24":
        options = {
            k: v for k, v in options.items() if k in ("weights", "only", "device", "embeddings")
        }
    return draw("part-a", edition, out, **options)


def part_b_report(out: str | Path = part_b.OUT, edition: str = "fa24", **options) -> Path:
    """Part B of one edition; fa26's is that of fa25."""
    return draw("part-b", edition, out, **options)


def folder(out: Path, edition: str) -> Path:
    return out if edition == "fa24" else out / edition


def write_links(part: str, out: Path) -> Path:
    """out/editions.html: a link to every edition's report, or how to draw it."""
    rows = []
    for edition, (what, _) in EDITIONS[part].items():
        page = folder(out, edition) / "index.html"
        link = page.relative_to(out).as_posix()
        there = f'<a href="{link}">{edition}</a>' if page.is_file() else edition
        how = "" if page.is_file() else f" (<code>make {part} EDITION={edition}</code>)"
        rows.append(f"<li>{there}: {escape(what)}{how}</li>")
    html = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Editions of {part}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Editions of {part}</h1>\n<ul>{''.join(rows)}</ul>\n</body>\n</html>\n"
    )
    return save_atomically(out / "editions.html", lambda file: file.write(html.encode()))
