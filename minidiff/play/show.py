"""What the page shows, as HTML: rows of pictures, numbers, sentences. Every text is escaped."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from PIL import Image
from torch import Tensor

SIDE = 160  # CSS pixels of a picture, unless a narrow window has less room


def to_bytes(x: Tensor) -> np.ndarray:
    """(B, C, H, W) in [-1, 1] as (B, H, W, 3) bytes; what is not a number becomes black."""
    levels = ((x.detach().float().cpu().nan_to_num(-1, 1, -1) + 1) * 127.5).clamp(0, 255).round()
    return levels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).byte().numpy()


def as_url(pixels: np.ndarray) -> str:
    """One picture (H, W, 3) as a PNG written into an address."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def strip(
    pictures: np.ndarray, captions: Sequence[str] = (), *, alt: str = "picture", side: int = SIDE
) -> str:
    """Pictures (B, H, W, 3) in a row that wraps; captions may be fewer, or none."""
    captions = [*captions, *[""] * len(pictures)]
    return row(
        figure(
            pixels, captions[i], f"{alt}: {captions[i]}" if captions[i] else f"{alt} {i + 1}", side
        )
        for i, pixels in enumerate(pictures)
    )


def figure(pixels: np.ndarray, caption: str, alt: str, side: int = SIDE) -> str:
    """One picture (H, W, 3), side CSS pixels wide where there is room, and what stands under it."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    image = f'<img src="{as_url(pixels)}" alt="{escape(alt)}">'
    return f'<figure style="width:{side}px">{image}{below}</figure>'


def row(figures: Iterable[str]) -> str:
    figures = list(figures)
    few = " few" if len(figures) <= 4 else ""
    return f'<div class="strip{few}">{"".join(figures)}</div>'


def sheet(rows: Sequence[tuple[str, np.ndarray]], captions: Sequence[str] = (), side=SIDE) -> str:
    """Strips under one another, each with its name; captions stand under the last."""
    parts = []
    for i, (name, pictures) in enumerate(rows):
        below = captions if i == len(rows) - 1 else ()
        label = f'<h4 class="row-name">{escape(name)}</h4>' if name else ""
        parts.append(f"{label}{strip(pictures, below, alt=name or 'picture', side=side)}")
    return f'<div class="sheet">{"".join(parts)}</div>'


def table(rows: Sequence[tuple[str, str]], head: Sequence[str] = ()) -> str:
    """Names and numbers."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + f"<th>{escape(row[0])}</th>" + "".join(f"<td>{escape(c)}</td>" for c in row[1:])
        + "</tr>"
        for row in rows
    )  # fmt: skip
    return f'<table class="numbers">{f"<tr>{top}</tr>" if top else ""}{body}</table>'


def note(text: str, kind: str = "") -> str:
    """A sentence. kind: "wrong", "right", "busy" or ""; screen readers are told at once."""
    return f'<p class="note {kind}" role="status">{escape(text)}</p>' if text else ""
