"""Options of the command line that many verbs share, and how their values are read."""

import argparse
import re
from collections.abc import Callable
from importlib import import_module

from minidiff.errors import UserError

MAX_SEEDS = 10_000
Option = tuple[tuple[str, ...], dict]  # the arguments of argparse's add_argument


def option(*names: str, **settings) -> Option:
    return names, settings


# --- values -----------------------------------------------------------------------------------


def seeds(text: str) -> list[int]:
    """ "180" or "0-7" or "1,5,9-12" as a list without repeats."""
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        ends = (match[1], match[2] or match[1]) if match else ("1", "0")
        ends = [n.lstrip("0") or "0" for n in ends]
        if max(map(len, ends)) > 19 or max(map(int, ends)) >= 2**63:  # int reads no endless ones
            raise UserError(f"a seed is at most {2**63 - 1}, and {part.strip()[:60]} is larger")
        first, last = map(int, ends)
        if first > last:
            raise UserError(f"seeds are whole numbers like 180, 0-7 or 1,5,9-12, not {text!r}")
        if last - first >= MAX_SEEDS:
            raise UserError(f"{text!r} is more than {MAX_SEEDS} seeds")
        found |= dict.fromkeys(range(first, last + 1))
    return list(found)


def words(text: str) -> list[str]:
    """ "time,class" as a list."""
    return [word.strip() for word in text.split(",")]


def share(text: str) -> list[float]:
    """ "0.7" or "0.3,0.5" as a list."""
    percent = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text)
    if percent:
        part = float(percent[1]) / 100
        say = f"say {part:g} for {text.strip()}" if 0 < part <= 1 else "above 0 and up to 1"
        raise UserError(f"--strength is a share such as 0.7 and no percentage: {say}")
    return several(text, float, "--strength", "0.3,0.7")


def place(text: str) -> list[int]:
    """ "10" or "1,3,5" as a list."""
    return several(text, int, "--i-start", "1,3,5")


def several(text: str, kind: Callable, option: str, example: str) -> list:
    """The numbers between commas. An option that takes several values swallows what follows it, so
    that what is no number may well be what the verb itself is waiting for."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(
            f"{option} takes numbers such as {example}, not {text[:60]!r}; the picture and the"
            f' prompt come before it: edit photo.png "a tiger" {option} {example}'
        ) from error


class Flat(argparse.Action):
    """The lists of an option's values as one: 1,3 5 is 1 3 5."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, [n for part in values for n in part])


DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def dtype(text: str):
    if text not in DTYPES:
        raise UserError(f"dtype is one of {', '.join(DTYPES)}, not {text!r}")
    return getattr(import_module("torch"), DTYPES[text])


# --- options -----------------------------------------------------------------------------------

DEVICE = option("--device", help="cuda, mps or cpu; default: the first of these that is there")
MNIST_DEVICE = option("--device", help="cuda, mps or cpu; default: cuda where it is, else cpu")
DATA_SETS = "mnist, fashion, emoji or emoji-256; default: mnist"
CHECKPOINT = option("--weights", metavar="DIR", help="default: $MINIDIFF_WEIGHTS, else the demo")
EMBEDDINGS = option("--embeddings", metavar="FILE", help="text states in place of a text encoder")
NUMBERS = option("numbers", nargs="*", help="of chapters, such as 05; default: all")
EDITION_A = option("--edition", default="fa24", help="of the course: fa24 (default) or fa26, flow")
EDITION_B = option("--edition", default="fa24", help="of the course: fa24 (default) or fa25, flow")
TRAINED = option("--weights", metavar="DIR", help="trained models; default: weights/mnist")
DTYPE = option("--dtype", type=dtype, help="fp32, fp16 or bf16; default: fp32, on cuda as stored")
SECOND = option(
    "--weights-2", metavar="DIR", help="the second stage; default: the one beside the first"
)
STAGE_2 = [
    SECOND,
    option(
        "--level",
        type=int,
        metavar="T",
        help="how much noise hides the small picture from the second stage, 0 to 999; default: what"
        " the checkpoint recommends, else 250",
    ),
    option("--steps-2", metavar="N", help="of the second stage: a number, or a named list"),
]
DRAWING = [
    option("--seeds", "--seed", type=seeds, default="180", help="default: 180; or 0-7, 1,5,9-12"),
    option(
        "--steps",
        help="how many; or course (990..0 by equation A.3); or a list: fast27, smart27, smart50,"
        " smart100, smart185, super27, super40, super100; default: 10 with the demo (20 for two"
        " prompts at once), 50 without",
    ),
    option(
        "--sampler",
        help="course, ddpm (the official pipeline's), ddim, dpm++ or heun (two calls a step);"
        " default: what the checkpoint recommends, else ddpm",
    ),
    option("--eta", type=float, help="noise of ddim: 0 none, 1 as much as ddpm; default: 0"),
    option("--spacing", help="of the steps: leading, trailing, linspace, or even (990..0)"),
    option("--limit", help="of every estimate: none, clip (to white and black) or threshold"),
    option(
        "--guidance",
        type=float,
        metavar="SCALE",
        help="1 is none; default: what the checkpoint recommends, else 7",
    ),
    option("--negative", default="", metavar="PROMPT", help="what to steer away from"),
    option("--upscale", action="store_true", help="make them large too, by the second stage"),
    *STAGE_2,
    CHECKPOINT,
    DEVICE,
    DTYPE,
    option("--compile", action="store_true", help="let torch.compile fuse the steps; cuda only"),
    EMBEDDINGS,
    option("--out", default="out", metavar="DIR", help="where the files go; default: out"),
    option("--gif", action="store_true", help="write the denoising as a GIF too"),
    option("--scale", type=int, default=4, metavar="N", help="enlarge N times; default: 4"),
    option("--batch", type=int, default=16, metavar="N", help="pictures at a time; default: 16"),
]
IMAGE = option("image", help="a picture of any kind; its middle square is used")
# one walk, that of the second stage; no film of it, no enlargement, one batch at a time
UNFIT = ("--upscale", "--steps-2", "--gif", "--scale", "--batch")
UPSCALING = [entry for entry in DRAWING if entry[0][0] not in UNFIT]
