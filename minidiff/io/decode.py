"""Any kind of picture file as PIL's RGB: what a person sees in a viewer is what the model gets.

Turned the way the camera says, colours brought from the file's profile to sRGB, transparent parts
on a ground of one's choice. Files are never written here.
"""

import io
import os
import re
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from minidiff.errors import UserError
from minidiff.io.files import check_is_file
from minidiff.io.paths import expanded

WHITE = 255
MAX_PIXELS = 100_000_000  # a larger one is asked to be made smaller before it fills the memory
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

# What a file begins with, whatever its name says -> what it is, and what helps.
OTHER_KINDS = (
    (rb"", "an empty file: save the picture again"),
    (rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg",
     "a vector drawing (SVG): export it as PNG"),
    (rb"\s*<", "a web page or another text, not the picture: save the picture itself"),
    (rb"version https://git-lfs", "a git-lfs pointer, not the picture: run `git lfs pull`"),
    (rb"%PDF", "a PDF: export the page as PNG"),
    (rb"(\xff\x0a|\x00\x00\x00\x0cJXL )", "a JPEG XL picture: save it as PNG or JPEG"),
    (rb"....ftyp(qt  |mp4|isom|M4V)", "a video: save one of its frames as PNG"),
)  # fmt: skip


def open_image(path: str | Path) -> Image.Image:
    """The decoded first frame, turned as its EXIF says, in sRGB. UserError for anything else."""
    refuse_address(str(path))
    path = expanded(path)
    try:
        check_is_file(path)
        if path.is_file():
            refuse_other_kinds(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit stands below
            image = Image.open(path)
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            frames = getattr(image, "n_frames", 1)
            image.load()
            image = ImageOps.exif_transpose(image)
    except Image.DecompressionBombError as error:
        limit = f"{MAX_PIXELS // 10**6} million pixels"
        raise UserError(f"{path} has more than {limit}: make it smaller first") from error
    except UserError:
        raise
    except OSError as error:
        raise UserError(why_unread(path, error)) from error
    except Exception as error:  # a damaged file can make a decoder fail in any way it likes
        raise UserError(
            f"{path} is a damaged picture ({type(error).__name__}: {error}): fetch or save it again"
        ) from error
    if frames > 1:
        warnings.warn(f"{path} has {frames} frames: the first one is used")
    return to_srgb(image, path)


def refuse_address(name: str) -> None:
    """UserError for an address; a Path has made one slash of its two."""
    scheme = re.match(r"(https?|ftp|file|data|s3):", name, re.IGNORECASE)
    if not scheme or os.path.exists(name):
        return
    shown = re.sub(r"^(https?|ftp|s3):/+", r"\1://", name, flags=re.IGNORECASE)
    if scheme[1].lower() == "file":
        raise UserError(f"{shown} is an address: give the file's path, without file://")
    raise UserError(
        f"{shown[:100]} is an address, which is not fetched here: save the picture as a file first,"
        " and give that file's name"
    )


def why_unread(path: Path, error: OSError) -> str:
    """The sentence for a file that there is not, that may not be read, or that PIL cannot read."""
    if isinstance(error, UnidentifiedImageError):
        return f"{path} is no kind of picture that is known here: save it as PNG or JPEG"
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return f"there is no file {path}: check the name, and the folder you are in"
    if isinstance(error, IsADirectoryError) or path.is_dir():
        return f"{path} is a folder: give a picture that lies in it"
    if isinstance(error, PermissionError):
        return f"{path} may not be read: change its permissions, or copy it"
    if error.strerror:
        return f"{path} cannot be read as a picture ({error.strerror}): check the name"
    reason = str(error).splitlines()[0]
    return f"{path} is a picture that is damaged or cut short ({reason}): fetch or save it again"


def refuse_other_kinds(path: Path) -> None:
    """UserError, with what helps, for what is often taken for a picture. HEIC is made readable."""
    with open(path, "rb") as file:
        start = file.read(1024)
    if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS:
        if not find_spec("pillow_heif"):
            raise UserError(
                f"{path} is a HEIC picture, as iPhones take them: save it as JPEG, or install the"
                " library that reads it, `pip install pillow-heif`"
            )
        import pillow_heif

        pillow_heif.register_heif_opener()
        return
    for pattern, kind in OTHER_KINDS:
        if re.match(pattern, start, re.DOTALL) if pattern else not start:
            raise UserError(f"{path} is {kind}")


def to_srgb(image: Image.Image, path: Path) -> Image.Image:
    """The same colours in numbers of sRGB; a picture without a colour profile has them already."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode.startswith(("I", "F")):
        return image
    try:
        from PIL import ImageCms

        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
        plain = image if image.mode in ("L", "CMYK", "LAB") else image.convert("RGB")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(plain, source, target, intent, outputMode="RGB")
    except Exception as error:  # the profile is damaged, or of another kind of picture
        warnings.warn(f"the colour profile of {path} cannot be used ({error}): taken as sRGB")
        return image
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def flatten(image: Image.Image, background: int, path: str | Path = "this picture") -> Image.Image:
    """RGB of any kind of picture, its transparent parts on a grey of value `background`."""
    if image.mode.startswith("I;16"):  # PIL's own conversion would clip all above 255 to white
        pixels = np.asarray(image, dtype=np.float32) / 257
        return Image.fromarray(pixels.round().astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UserError(
            f"{path} has 32-bit pixels, which have no agreed white: save it with 8 or 16 bits"
        )
    if not image.has_transparency_data:
        return image.convert("RGB")
    layers = image.convert("RGBA")
    if background == WHITE and layers.getchannel("A").getextrema()[1] == 0:
        warnings.warn(f"{path} is transparent everywhere: it is taken as white")
    ground = Image.new("RGBA", layers.size, (background, background, background, 255))
    return Image.alpha_composite(ground, layers).convert("RGB")


def middle(image: Image.Image) -> Image.Image:
    """The middle square, as large as it fits."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def square(image: Image.Image, size: int) -> Image.Image:
    """The middle square, resized; shrinking averages over all pixels, so nothing aliases."""
    return middle(image).resize((size, size), Image.Resampling.BICUBIC)
