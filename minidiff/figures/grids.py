"""Labelled grids of pictures, GIFs, and saving them so that a file is complete or not there.

    pictures = [[picture(x) for x in row] for row in batch]
    sheet = draw_grid(pictures, title="Seed 180", columns=["t = 250", "t = 500"], scale=4)
    save_png(sheet, "out/part-a/1.1-noisy.png", {"seed": 180, "prompt": "a rocket ship"})

Pictures are enlarged by whole numbers with nearest neighbour, so that every pixel stays visible.
Text is wrapped, and a column grows when one of its words needs more room: nothing is ever cut.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import accumulate
from math import ceil
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from minidiff.errors import UserError
from minidiff.io.files import save_atomically
from minidiff.io.pictures import to_image

GAP = 8  # pixels between cells and around the sheet
ROW_LABEL = 150  # pixels at which a row's label is wrapped
TOP, MIDDLE, BOTTOM = 0.0, 0.5, 1.0
PAPER, INK = "white", "#1a1a1a"

picture = to_image  # the word for a cell of a sheet
Grid = Sequence[Sequence[Image.Image | None]]


def enlarge(image: Image.Image, scale: int) -> Image.Image:
    """The picture with each pixel as a square of scale x scale pixels."""
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def draw_grid(
    pictures: Grid,
    *,
    title: str = "",
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    scale: int = 1,
    text_size: int = 14,
) -> Image.Image:
    """One sheet of pictures with a heading per column, a label per row, a caption per picture.

    pictures: rows of RGB pictures of any size; None leaves a cell empty, and rows may be ragged.
    captions: rows of texts that stand under the pictures. Every text may be empty, and any of the
    four kinds may be left out. Raises UserError when there are more texts than cells for them.
    """
    width = max((len(row) for row in pictures), default=0)
    if width == 0:
        raise UserError("a grid needs at least one picture")
    too_many = len(columns) > width or len(rows) > len(pictures) or len(captions) > len(pictures)
    if too_many or any(len(line) > width for line in captions):
        raise UserError(
            f"{len(columns)} headings, {len(rows)} row labels and {len(captions)} rows of captions"
            f" do not fit a grid of {len(pictures)} rows and {width} columns"
        )
    face = font(text_size)
    table = [[p and enlarge(p, scale) for p in pad(row, width, None)] for row in pictures]
    notes = pad([pad(line, width, "") for line in captions], len(table), [""] * width)
    heads = pad(columns, width, "")
    widths = [column_width(*cells, face) for cells in zip(zip(*table), zip(heads, *notes))]
    lines = [(BOTTOM, [None, *write_row(heads, widths, face)])]
    for label, row, note in zip(pad(rows, len(table), ""), table, notes):
        lines.append((MIDDLE, [write(label, face, ROW_LABEL), *row]))
        lines.append((TOP, [None, *write_row(note, widths, face)]))
    labels = max((line[0].width for _, line in lines if line[0]), default=0)
    return under_title(title, arrange(lines, [labels, *widths]), face)


def pad(items: Sequence, length: int, fill) -> list:
    """The items, followed by as many `fill` as make them `length`."""
    return [*items, *[fill] * (length - len(items))]


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings: it has the Greek letters that captions need."""
    folder = Path(find_spec("matplotlib").origin).parent  # the file is all that is wanted of it
    return ImageFont.truetype(str(folder / "mpl-data/fonts/ttf/DejaVuSans.ttf"), size)


def wrap(text: str, face: ImageFont.FreeTypeFont, width: float) -> str:
    """The text with line breaks, so that no line is wider than `width` unless one word is."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in words_of(paragraph):
            longer = f"{line} {word}".strip()
            if line and face.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return "\n".join(lines)


def words_of(text: str) -> list[str]:
    """What may not be broken; "t = 250" is one word, and so is what a no-break space joins."""
    return text.replace(" = ", "\u00a0=\u00a0").replace("\n", " ").split(" ")


def column_width(pictures: Sequence[Image.Image | None], texts: Sequence[str], face) -> int:
    """Pixels for one column: its widest picture, or the widest word that stands above or below."""
    words = [word for text in texts for word in words_of(text)]
    widths = [p.width for p in pictures if p] + [ceil(face.getlength(word)) for word in words]
    return max(widths, default=0)


def write(text: str, face: ImageFont.FreeTypeFont, width: float) -> Image.Image | None:
    """The wrapped text as a picture of its own, None where there is no text."""
    if not text:
        return None
    text = wrap(text, face, width)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    wide = pen.multiline_textbbox((0, 0), text, face, spacing=3)[2]
    # As tall as the tallest letters, whichever occur: texts side by side share their baselines.
    lines = "\n".join("Åg" for _ in text.split("\n"))
    tall = pen.multiline_textbbox((0, 0), lines, face, spacing=3)[3]
    paper = Image.new("RGB", (ceil(wide) + 1, ceil(tall) + 3), PAPER)
    ImageDraw.Draw(paper).multiline_text((0, 0), text, INK, face, spacing=3, align="center")
    return paper


def write_row(texts: Sequence[str], widths: Sequence[int], face) -> list[Image.Image | None]:
    """One picture of text per column."""
    return [write(text, face, width) for text, width in zip(texts, widths)]


def arrange(
    lines: Sequence[tuple[float, Sequence[Image.Image | None]]], widths: Sequence[int]
) -> Image.Image:
    """Paste a table of pictures onto one sheet; each line says where in its height they stand."""
    heights = [max((p.height for p in line if p), default=0) for _, line in lines]
    lefts = list(accumulate([width and width + GAP for width in widths], initial=GAP))
    tops = list(accumulate([height and height + GAP for height in heights], initial=GAP))
    sheet = Image.new("RGB", (lefts[-1], tops[-1]), PAPER)
    for (align, line), top, height in zip(lines, tops, heights):
        for cell, left, width in zip(line, lefts, widths):
            if cell:
                down = round(align * (height - cell.height))
                sheet.paste(cell, (left + (width - cell.width) // 2, top + down))
    return sheet


def under_title(title: str, sheet: Image.Image, face) -> Image.Image:
    """The sheet with a title above it, wrapped to the sheet's width."""
    head = write(title, face, sheet.width - 2 * GAP)
    if head is None:
        return sheet
    width = max(sheet.width, head.width + 2 * GAP)
    whole = Image.new("RGB", (width, head.height + GAP + sheet.height), PAPER)
    whole.paste(head, ((width - head.width) // 2, GAP))
    whole.paste(sheet, ((width - sheet.width) // 2, head.height + GAP))
    return whole


# --- files ------------------------------------------------------------------------------------


def save_png(
    image: Image.Image, path: str | Path, text: Mapping[str, object] | None = None
) -> Path:
    """Write a PNG whose text chunks hold `text` (prompt, seed, steps, ...); return its path."""
    chunks = PngInfo()
    for key, value in (text or {}).items():
        chunks.add_text(key, encodable(value))
    return save_atomically(path, lambda file: image.save(file, "PNG", pnginfo=chunks))


def encodable(value: object) -> str:
    """As text; the bytes of a file's name that are no UTF-8 become question marks."""
    return str(value).encode(errors="replace").decode()


def read_png_text(path: str | Path) -> dict[str, str]:
    """The text chunks of a PNG that save_png wrote."""
    with Image.open(path) as image:
        return dict(image.text)


def with_palettes(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Each frame with the 256 colours at most that a GIF's frame can have.

    The last frame, which stays in view, gets the best ones; those before it pass, and choosing
    theirs in the same way took a third of Part A's time on a GPU.
    """
    *passing, last = [frame.convert("RGB") for frame in frames]
    quick = [
        frame.convert("P", palette=Image.Palette.ADAPTIVE)
        if frame.getcolors(256)  # all fit, and stay what they are
        else by_octree(frame)
        for frame in passing
    ]
    return [*quick, last.convert("P", palette=Image.Palette.ADAPTIVE)]


def by_octree(frame: Image.Image) -> Image.Image:
    """256 colours, quickly chosen; that of the corner, the paper's in most sheets, stays exact."""
    reduced = frame.quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette, place = reduced.getpalette(), 3 * reduced.getpixel((0, 0))
    palette[place : place + 3] = frame.getpixel((0, 0))
    reduced.putpalette(palette)
    return reduced


def save_gif(
    frames: Sequence[Image.Image],
    path: str | Path,
    text: Mapping[str, object] | None = None,
    *,
    seconds: float = 4.0,
    hold: float = 1.5,
    scale: int = 1,
) -> Path:
    """Write an endless GIF that plays in `seconds` and holds its last frame for `hold` seconds.

    frames: at least two pictures of one size. text goes into the file's comment.
    """
    if len(frames) < 2 or len({frame.size for frame in frames}) > 1:
        raise UserError(f"a GIF needs two or more pictures of one size; got {len(frames)}")
    first, *rest = with_palettes([enlarge(frame, scale) for frame in frames])
    each = max(20, round(1000 * seconds / len(frames)))  # browsers slow down below 20 ms
    times = [each] * len(rest) + [round(1000 * hold)]
    comment = "; ".join(
        f"{key}: {encodable(value)}" for key, value in (text or {}).items()
    ).encode()
    return save_atomically(
        path,
        lambda file: first.save(
            file, "GIF", save_all=True, append_images=rest, duration=times, loop=0, comment=comment
        ),
    )
