"""The command line as a table: every verb names the function it calls and the options it takes.

A verb's module is imported when the verb is called, so that help is instant. Options reach the
function as keywords. What the function returns, a list of files, is printed.
"""

import argparse
import errno
import os
import re
import signal
import sys
import warnings
from dataclasses import dataclass
from importlib import import_module

from minidiff.errors import UserError

MAX_SEEDS = 10_000


@dataclass(frozen=True)
class Verb:
    does: str
    function: str  # "module:function"
    options: list[tuple[tuple[str, ...], dict]]
    example: str


def option(*names: str, **settings) -> tuple[tuple[str, ...], dict]:
    """The arguments of argparse's add_argument."""
    return names, settings


# --- values -----------------------------------------------------------------------------------


def seeds(text: str) -> list[int]:
    """ "180" or "0-7" or "1,5,9-12" as a list without repeats."""
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,19})(?:-(\d{1,19}))?\s*", part)
        first, last = (int(n) for n in (match[1], match[2] or match[1])) if match else (1, 0)
        if not first <= last < 2**63:
            raise UserError(f"seeds are whole numbers like 180, 0-7 or 1,5,9-12, not {text!r}")
        if last - first >= MAX_SEEDS:
            raise UserError(f"{text!r} is more than {MAX_SEEDS} seeds")
        found |= dict.fromkeys(range(first, last + 1))
    return list(found)


DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def dtype(text: str):
    if text not in DTYPES:
        raise UserError(f"dtype is one of {', '.join(DTYPES)}, not {text!r}")
    return getattr(import_module("torch"), DTYPES[text])


# --- the table --------------------------------------------------------------------------------

WEIGHTS = [
    option("--weights", metavar="DIR", help="checkpoint; default: MINIDIFF_WEIGHTS, or the demo"),
    option("--device", help="cuda, mps or cpu; default: the first of these that is there"),
    option("--dtype", type=dtype, help="fp32, fp16 or bf16; default: fp32, on cuda as stored"),
]
DRAWING = [
    option("--seeds", "--seed", type=seeds, default="180", help="default: 180; or 0-7, 1,5,9-12"),
    option("--steps", default="50", help="default: 50; or a list (fast27), or course (990..0)"),
    option("--guidance", type=float, default=7.0, metavar="W", help="default: 7; 1 is none"),
    option("--negative", default="", metavar="PROMPT", help="what to steer away from"),
    *WEIGHTS,
    option("--out", default="out", metavar="DIR", help="where the files go; default: out"),
    option("--gif", action="store_true", help="write the denoising as a GIF too"),
    option("--scale", type=int, default=4, metavar="N", help="enlarge N times; default: 4"),
    option("--batch", type=int, default=16, metavar="N", help="pictures at a time; default: 16"),
]
IMAGE = option("image", help="a picture of any kind; its middle square is used")

VERBS = {
    "sample": Verb(
        "draw prompts",
        "minidiff.draw:sample",
        [option("prompts", nargs="+", metavar="prompt", help="what to draw"), *DRAWING],
        'sample "a cat" "a red apple on a blue background" --seeds 0-3',
    ),
    "edit": Verb(
        "noise a picture and denoise it towards a prompt (SDEdit)",
        "minidiff.draw:edit",
        [
            IMAGE,
            option("prompt", help="what it shall become"),
            option(
                "--strength",
                type=float,
                nargs="+",
                default=[0.7],
                metavar="S",
                help="0..1; default: 0.7",
            ),
            option(
                "--i-start", type=int, nargs="+", metavar="I", help="the course's way to say it"
            ),
            *DRAWING,
        ],
        'edit me.jpg "a high quality photo" --steps course --i-start 1 3 5 7 10 20',
    ),
    "inpaint": Verb(
        "draw a prompt where a mask is white, keep the picture elsewhere",
        "minidiff.draw:inpaint",
        [
            IMAGE,
            option("mask", help="a picture of the same size, white where something new shall be"),
            option("prompt", help="what shall be there"),
            option("--invert", action="store_true", help="draw where the mask is black"),
            *DRAWING,
        ],
        'inpaint me.jpg mask.png "a smiling face"',
    ),
    "anagram": Verb(
        "one picture, two readings: as it hangs, and turned",
        "minidiff.draw:anagram",
        [
            option("prompt", help="as it hangs"),
            option("turned", metavar="prompt2", help="as turned"),
            option("--view", default="flip", help="default: flip; rotate180, negate, circle, ..."),
            *DRAWING,
        ],
        'anagram "an old man" "people around a campfire" --gif',
    ),
    "hybrid": Verb(
        "one picture, two readings: from afar, and close up",
        "minidiff.draw:hybrid",
        [
            option("far", help="the prompt for the coarse shapes"),
            option("near", help="the prompt for the fine lines"),
            *DRAWING,
        ],
        'hybrid "a skull" "a waterfall"',
    ),
}


# --- running ----------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise UserError(f"{message}; `{self.prog} --help` shows how")


def make_parser() -> Parser:
    parser = Parser(prog="minidiff", description="DeepFloyd IF, written out by hand.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        sub = verbs.add_parser(
            name,
            help=verb.does,
            description=verb.does,
            epilog=f"example: python -m minidiff {verb.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for names, settings in verb.options:
            sub.add_argument(*names, **settings)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; the exit status. Bad input ends in one sentence and 2, never in a traceback."""
    warnings.showwarning = lambda message, *_, **__: say(f"note: {message}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # files are tidied up
    try:
        options = vars(make_parser().parse_args(arguments))
        module, function = VERBS[options.pop("verb")].function.split(":")
        for path in getattr(import_module(module), function)(**options) or []:
            print(f"wrote {path}")
    except UserError as error:
        return fail(str(error), 2)
    except KeyboardInterrupt:
        return fail("interrupted; every file that was written is whole", 130)
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (MemoryError, OSError, RuntimeError) as error:
        return fail_with(error)
    return 0


def fail_with(error: Exception) -> int:
    """The sentence for what the machine lacks; any other error is ours, and shows its traceback."""
    kind, text = type(error).__name__, str(error)
    if kind in ("MemoryError", "OutOfMemoryError") or "allocate memory" in text:
        return fail("not enough memory: try --batch 1, --dtype fp16, or a smaller model", 2)
    if isinstance(error, OSError) and error.strerror:
        remedy = "free some space" if error.errno == errno.ENOSPC else "choose another place"
        where = f": {error.filename}" if error.filename else ""
        return fail(f"{error.strerror}{where}; {remedy}", 2)
    raise error


def fail(message: str, status: int) -> int:
    say(f"minidiff: {message}")
    return status


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
