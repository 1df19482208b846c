"""Four open emoji sets as one packed file of pictures with names, at 64 or at 256 pixels a side.

Noto, Twemoji, Fluent and OpenMoji draw the same 1,644 concepts in four hands. They are joined by
code point, brought to square RGBA and packed into one zip (lossless WebP and an index), small
enough to travel to a machine with a GPU and quick to read. Stage I trains on 64x64 pictures, stage
II on 256x256 ones, drawn from the sets' vector files where they have them. Left out: skin tones,
flags, OpenMoji's own extras and the component group.
"""

import io
import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from minidiff.emoji.names import clean_name, family_name
from minidiff.errors import UserError
from minidiff.io import fetch
from minidiff.io.files import save_atomically
from minidiff.io.paths import HOME

SIZE, SIZE_2 = 64, 256  # pixels a side, what the two stages of IF draw
PACKED, PACKED_2 = HOME / "data" / "emoji-64.zip", HOME / "data" / "emoji-256.zip"


@dataclass(frozen=True)
class ArtSet:
    """Where one set's pictures lie, and how they are framed.

    crop: share of the side cut away on each edge before resizing (negative: room added).
    Twemoji touches all four edges, which would leave no background to see; OpenMoji leaves a wide
    margin. All but 27 OpenMoji pictures keep every pixel.
    """

    package: str
    version: str
    folder: str
    ending: str
    crop: float = 0.0


SETS = {
    "noto": ArtSet("emoji-datasource-google", "16.0.0", "img/google/64", ".png"),
    "twemoji": ArtSet("emoji-datasource-twitter", "16.0.0", "img/twitter/64", ".png", -2 / 60),
    "fluent": ArtSet("@lobehub/fluent-emoji-3d", "1.1.0", "assets", ".webp"),
    "openmoji": ArtSet("openmoji", "17.0.0", "color/svg", ".svg", 2 / 72),
}

# The same four hands in more pixels: two sets' vector files come as one JSON by name, see
# unpack_icons. Their frames are cropped so that they lie as the 64-pixel pictures do.
SETS_2 = {
    "noto": ArtSet("@iconify-json/noto", "1.2.9", "svg", ".svg"),
    "twemoji": ArtSet("@iconify-json/twemoji", "1.2.5", "svg", ".svg", -1 / 32),
    "fluent": SETS["fluent"],
    "openmoji": SETS["openmoji"],
}


@dataclass(frozen=True)
class Record:
    """What is known of one picture. Pictures with equal `code` show the same concept."""

    code: str  # "1f600" or "1f468-200d-1f373": code points in hex, FE0F left out
    name: str  # the prompt, e.g. "grinning face"
    family: str  # shared by near duplicates, see names.family_name
    tags: tuple[str, ...]  # further words from OpenMoji's table
    group: str  # e.g. "smileys-emotion"
    set: str  # a key of SETS


def build_emoji(packages: str | Path, packed: str | Path | None = None, size: int = SIZE) -> Path:
    """Fetch the four packages below `packages`, pack their pictures into `packed`, return it.

    size 64 or 256; packed is PACKED or PACKED_2 unless given, and nothing is done when it exists.
    Needs the extra `train` (resvg-py draws the SVG files).
    """
    packed = Path(packed or (PACKED if size == SIZE else PACKED_2))
    if packed.exists():
        return packed
    sets = SETS if size == SIZE else SETS_2
    folders = {
        name: fetch.npm_pack(art.package, art.version, Path(packages) / f"{name}-{art.version}")
        for name, art in sets.items()
    }
    for folder in folders.values():
        if (folder / "icons.json").is_file():
            unpack_icons(folder)
    concepts = read_concepts(folders["openmoji"] / "data" / "openmoji.json")
    write_packed(packed, find_pictures(concepts, folders, sets), size, sets)
    return packed


def unpack_icons(folder: Path) -> None:
    """An Iconify package's icons.json as folder/svg/CODE.svg, one file for each code point."""
    icons = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
    codes = json.loads((folder / "chars.json").read_text(encoding="utf-8"))
    (folder / "svg").mkdir(exist_ok=True)
    for code, name in codes.items():
        icon = icons["icons"].get(name)
        if icon is None:  # another name of an icon
            continue
        box = [icon.get(key, icons.get(key, 16)) for key in ("width", "height")]
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {box[0]} {box[1]}">'
        (folder / "svg" / f"{code}.svg").write_text(f"{head}{icon['body']}</svg>", encoding="utf-8")


def code_of(text: str) -> str:
    """A file's or table's code point sequence in one spelling: lower-case hex without FE0F."""
    return "-".join(part for part in text.lower().split("-") if part != "fe0f")


def read_concepts(table: Path) -> list[dict]:
    """OpenMoji's table as dicts of Record's fields except `set`, in Unicode's order."""
    rows = [
        row
        for row in json.loads(table.read_text(encoding="utf-8"))
        if not row["skintone"]
        and row["group"] not in ("flags", "component")
        and not row["group"].startswith("extras")
    ]
    rows.sort(key=lambda row: row["order"])
    return [
        {
            "code": code_of(row["hexcode"]),
            "name": clean_name(row["annotation"]),
            "family": family_name(row["annotation"], row["group"], row["subgroups"]),
            "tags": tidy_tags(row["tags"], row["annotation"]),
            "group": row["group"],
        }
        for row in rows
    ]


def tidy_tags(tags: str, annotation: str) -> tuple[str, ...]:
    """Comma-separated tags as clean names, without those whose words the name already has."""
    known = set(clean_name(annotation).split())
    clean = (clean_name(tag) for tag in tags.split(","))
    return tuple(dict.fromkeys(tag for tag in clean if tag and not set(tag.split()) <= known))


def find_pictures(
    concepts: list[dict], folders: dict[str, Path], sets: dict[str, ArtSet] = SETS
) -> list[tuple[Record, Path]]:
    """Pair every concept with its picture in every set that has one, set by set."""
    found = []
    for name, art in sets.items():
        folder = folders[name] / art.folder
        paths = {code_of(path.stem): path for path in sorted(folder.glob(f"*{art.ending}"))}
        found += [
            (Record(set=name, **concept), paths[concept["code"]])
            for concept in concepts
            if concept["code"] in paths
        ]
    return found


def read_picture(path: Path, crop: float = 0.0, size: int = SIZE) -> Image.Image:
    """One set's file as a square RGBA picture of `size` pixels a side; crop as in ArtSet."""
    file = io.BytesIO(render_svg(path, drawn_side(crop, size))) if path.suffix == ".svg" else path
    return frame(Image.open(file).convert("RGBA"), crop, size)


def drawn_side(crop: float, size: int) -> int:
    """How large to draw a vector file: larger than 64, but for 256 so that nothing is resized."""
    if size == SIZE:
        return 288
    fits = (side for side in range(size // 2, 2 * size) if side - 2 * round(crop * side) == size)
    return next(fits, size)


def render_svg(path: Path, side: int = 288) -> bytes:
    """A drawing as a PNG of `side` pixels on its longer side."""
    try:
        import resvg_py  # only here: nobody but the packer needs it
    except ImportError as error:
        raise UserError(
            "Packing the emoji needs resvg-py to draw SVG files; install "
            "the extra `train`: pip install -e '.[train]'."
        ) from error
    return bytes(
        resvg_py.svg_to_bytes(svg_path=str(path), width=side, height=side, skip_system_fonts=True)
    )


def frame(image: Image.Image, crop: float = 0.0, size: int = SIZE) -> Image.Image:
    """RGBA of any size to size x size: made square, cropped (or given room), then resized.

    Resizing happens in the mode RGBa, whose colours are multiplied by alpha: otherwise the unseen
    colour of transparent pixels would bleed into the edges.
    """
    side = max(image.size)
    cut = round(crop * side)
    square = Image.new("RGBA", (side - 2 * cut, side - 2 * cut))
    square.paste(image, ((side - image.width) // 2 - cut, (side - image.height) // 2 - cut))
    if square.size == (size, size):
        return square
    return square.convert("RGBa").resize((size, size), Image.Resampling.LANCZOS).convert("RGBA")


def write_packed(
    packed: Path,
    pictures: list[tuple[Record, Path]],
    size: int = SIZE,
    sets: dict[str, ArtSet] = SETS,
) -> None:
    """Write the zip: index.json (a list of records) and 00000.webp ... in the same order."""

    def fill(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            index = [asdict(record) for record, _ in pictures]
            archive.writestr(zipfile.ZipInfo("index.json"), json.dumps(index))
            for number, (record, path) in enumerate(tqdm(pictures, desc="packing emoji")):
                buffer = io.BytesIO()
                picture = read_picture(path, sets[record.set].crop, size)
                effort = {"method": 4, "quality": 100} if size == SIZE else {"method": 0}
                picture.save(buffer, "WEBP", lossless=True, **effort)
                archive.writestr(zipfile.ZipInfo(f"{number:05d}.webp"), buffer.getvalue())

    save_atomically(packed, fill)


def load_emoji(packed: str | Path = PACKED) -> tuple[torch.Tensor, list[Record]]:
    """Read the packed file: uint8 images (N, S, S, 4), straight alpha, and their N records."""
    read, records = open_emoji(packed)
    images = None  # filled, not stacked: a list and its stack would be all pictures twice
    with ThreadPoolExecutor() as pool:
        for n, picture in enumerate(pool.map(read, range(len(records)))):
            images = picture.new_empty(len(records), *picture.shape) if images is None else images
            images[n] = picture
    return images, records


def open_emoji(
    packed: str | Path = PACKED,
) -> tuple[Callable[[int], torch.Tensor], list[Record]]:
    """The records, and a function that reads the n-th picture: uint8 (S, S, 4), straight alpha."""
    remedy = f"`make data SETS={'emoji-256' if '256' in Path(packed).stem else 'emoji'}`"
    if not Path(packed).is_file():
        raise UserError(f"{packed} is missing; {remedy} fetches and packs the emoji.")

    def damaged(error: Exception) -> UserError:
        return UserError(f"{packed} is damaged ({error}); delete it and run {remedy}.")

    def read(n: int) -> torch.Tensor:
        try:
            picture = Image.open(io.BytesIO(archive.read(f"{n:05d}.webp"))).convert("RGBA")
        except (zipfile.BadZipFile, KeyError, OSError, ValueError) as error:
            raise damaged(error) from error
        return torch.from_numpy(np.array(picture))

    try:
        archive = zipfile.ZipFile(packed)
        rows = json.loads(archive.read("index.json"))
    except (zipfile.BadZipFile, KeyError, OSError, ValueError) as error:
        raise damaged(error) from error
    return read, [Record(**{**row, "tags": tuple(row["tags"])}) for row in rows]


def composite(images: torch.Tensor, rgb: torch.Tensor) -> torch.Tensor:
    """RGBA pictures over plain backgrounds, as the model sees them.

    images: (N, H, W, 4) uint8, straight alpha. rgb: (N, 3) uint8, one background each.
    Returns (N, 3, H, W) float32 in [-1, 1].
    """
    colour, alpha = images[..., :3].float(), images[..., 3:].float() / 255
    mixed = alpha * colour + (1 - alpha) * rgb.float()[:, None, None, :]
    return mixed.permute(0, 3, 1, 2) / 127.5 - 1
