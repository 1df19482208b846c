"""All verbs of the command line: what each does, the function it calls, the options it takes.

Nothing here imports torch: `python -m minidiff --help` is instant.
"""

from dataclasses import dataclass

from minidiff.cli.options import (
    CHECKPOINT,
    DATA_SETS,
    DEVICE,
    DRAWING,
    DTYPE,
    EDITION_A,
    EDITION_B,
    EMBEDDINGS,
    IMAGE,
    MNIST_DEVICE,
    NUMBERS,
    SECOND,
    TRAINED,
    UPSCALING,
    Flat,
    Option,
    option,
    place,
    seeds,
    share,
    words,
)


@dataclass(frozen=True)
class Verb:
    """The options that are given, or have a default, reach the function as keywords."""

    does: str
    function: str  # "module:function", imported when called
    options: list[Option]
    example: str


VERBS = {
    "sample": Verb(
        "draw prompts",
        "minidiff.cli.draw:sample",
        [option("prompts", nargs="+", metavar="prompt", help="what to draw"), *DRAWING],
        'sample "a cat" "a red apple on a blue background" --seeds 0-3',
    ),
    "edit": Verb(
        "noise a picture and denoise it towards a prompt (SDEdit)",
        "minidiff.cli.draw:edit",
        [
            IMAGE,
            option("prompt", help="what it shall become"),
            option(
                "--strength",
                type=share,
                action=Flat,
                nargs="+",
                metavar="S",
                help="the share of the walk that is redone, above 0 and up to 1; default: 0.7",
            ),
            option(
                "--i-start",
                type=place,
                action=Flat,
                nargs="+",
                metavar="I",
                help="or, as in the course, the place in the list of timesteps where it begins; the"
                " course's list of 33 unless --steps says otherwise",
            ),
            *DRAWING,
        ],
        'edit me.jpg "a high quality photo" --i-start 1 3 5 7 10 20',
    ),
    "inpaint": Verb(
        "draw a prompt where a mask is white, keep the picture elsewhere",
        "minidiff.cli.draw:inpaint",
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
        "minidiff.cli.draw:anagram",
        [
            option("prompt", help="as it hangs"),
            option("turned", metavar="prompt2", help="as turned"),
            option(
                "--view",
                default="flip",
                help="default: flip (top to bottom); or rotate90, rotate180, rotate270, negate,"
                " circle, skew, permute16, permute1",
            ),
            *DRAWING,
        ],
        'anagram "running shoe" bacon --seeds 0 --steps course --guidance 4 --gif',
    ),
    "hybrid": Verb(
        "one picture, two readings: from afar, and close up",
        "minidiff.cli.draw:hybrid",
        [
            option("far", help="the prompt for the coarse shapes"),
            option("near", help="the prompt for the fine lines"),
            *DRAWING,
        ],
        'hybrid snowflake "page facing up" --seeds 2 --steps course',
    ),
    "upscale": Verb(
        "make a picture large by the second stage",
        "minidiff.cli.draw:upscale",
        [
            IMAGE,
            option("prompt", nargs="?", default="", help="what it shows; may be left out"),
            *UPSCALING,
        ],
        'upscale me.jpg "a smiling face"',
    ),
    "encode": Verb(
        "write the text states of prompts to a file, for --embeddings",
        "minidiff.cli.commands:encode",
        [
            option("prompts", nargs="+", metavar="prompt", help="the empty one comes by itself"),
            CHECKPOINT,
            DEVICE,
            DTYPE,
            option(
                "--out",
                default="embeddings.safetensors",
                metavar="FILE",
                help="default: embeddings.safetensors",
            ),
        ],
        'encode "a photo of a dog" "a rocket ship" --out mine.safetensors',
    ),
    "convert": Verb(
        "turn the course's prompt_embeds_dict.pth into safetensors",
        "minidiff.cli.commands:convert",
        [option("source", help="a .pth file"), option("target", help="a .safetensors file")],
        "convert prompt_embeds_dict.pth embeddings.safetensors",
    ),
    "names": Verb(
        "list what the demo was trained to draw, or those names with a word in them",
        "minidiff.cli.commands:names",
        [option("words", nargs="*", metavar="WORD", help="part of a name"), CHECKPOINT],
        "names fish",
    ),
    "part-a": Verb(
        "draw all figures of Part A",
        "minidiff.figures.editions:part_a_report",
        [
            CHECKPOINT,
            DEVICE,
            EMBEDDINGS,
            EDITION_A,
            option(
                "--only",
                metavar="ID",
                help="one section: 0, 1.1, ..., 1.9, yours, yours-mask; of fa26 1.1, ..., 3.5",
            ),
            option("--image", metavar="FILE", help="a picture of yours, for two more sections"),
            option("--mask", metavar="FILE", help="white where your picture shall be redrawn"),
            option("--prompt", help="what to turn your picture into"),
            option("--compare", action="store_true", help="with --only: before and after an edit"),
            option("--out", default="out/part-a", metavar="DIR", help="default: out/part-a"),
        ],
        'part-a --image me.jpg --prompt "a rocket"',
    ),
    "part-b": Verb(
        "draw all figures of Part B",
        "minidiff.figures.editions:part_b_report",
        [
            EDITION_B,
            option(
                "--only", metavar="ID", help="one section: 1.2, 1.2.1, ..., 2.5; of fa25 ... 2.6"
            ),
            TRAINED,
            MNIST_DEVICE,
            option("--out", default="out/part-b", metavar="DIR", help="default: out/part-b"),
        ],
        "part-b",
    ),
    "train-mnist": Verb(
        "train the models of Part B",
        "minidiff.digits.train:main",
        [
            option("--models", type=words, default="denoiser,time,class", help="which of them"),
            option("--seeds", "--seed", type=seeds, default="180", help="default: 180"),
            option("--dataset", choices=["mnist", "fashion"], default="mnist", help="the data"),
            option("--epochs", type=float, metavar="N", help="default: the recipe's own number"),
            MNIST_DEVICE,
            option("--mode", choices=["fast", "plain", "deterministic"], help="speed or bits"),
            option("--out", default="runs/mnist", metavar="DIR", help="default: runs/mnist"),
        ],
        "train-mnist --models class --epochs 2",
    ),
    "eval-mnist": Verb(
        "measure the models of Part B",
        "minidiff.cli.commands:eval_mnist",
        [
            EDITION_B,
            TRAINED,
            option("--samples", type=int, default=1000, metavar="N", help="default: 1000"),
            MNIST_DEVICE,
            option("--retrain-classifier", action="store_true", help="also train the judge"),
            option(
                "--walks", type=words, help="fa25: ways and steps, like euler-50,heun-5,ddpm-50"
            ),
            option("--digits", type=int, metavar="N", help="fa25: test digits used; default: all"),
            option("--out", metavar="FILE", help="write the numbers as JSON too"),
        ],
        "eval-mnist --samples 200",
    ),
    "train-emoji": Verb(
        "train the demo checkpoint, or its second stage (wants a GPU)",
        "minidiff.cli.commands:train_emoji",
        [
            option("--stage", type=int, default=1, help="1 draws (default), 2 enlarges to 256"),
            option("--steps", type=int, metavar="N", help="train this many steps, or ..."),
            option("--seconds", type=float, metavar="S", help="... this long"),
            option("--batch", type=int, metavar="N", help="pictures per step and GPU"),
            option("--start-from", metavar="DIR", help="begin with a checkpoint's weights"),
            option("--out", metavar="DIR", help="default: runs/emoji, or runs/emoji-256"),
        ],
        "train-emoji --seconds 600",
    ),
    "eval-demo": Verb(
        "measure what the demo can draw",
        "minidiff.cli.commands:eval_demo",
        [
            CHECKPOINT,
            option("--fast", action="store_true", help="a few prompts only, for a CPU"),
            option("--only", metavar="NAMES", help='some measurements: "phrase grounds"'),
            option("--samples", type=int, metavar="N", help="how many pictures of each kind"),
            option("--out", default="out/eval-demo.json", metavar="FILE", help="the numbers"),
        ],
        "eval-demo --fast",
    ),
    "demo-sheet": Verb(
        "draw 64 of the prompts that measure the demo, with four seeds each",
        "minidiff.cli.commands:demo_sheet",
        [
            CHECKPOINT,
            option("--out", default="out/demo-sheet.png", metavar="FILE", help="the picture"),
        ],
        "demo-sheet",
    ),
    "find-illusions": Verb(
        "try many pairs of prompts and keep those with two plain readings (hours without a GPU)",
        "minidiff.cli.commands:illusions",
        [
            option("kind", help="anagram or hybrid"),
            option("--pairs", type=int, default=400, metavar="N", help="default: 400"),
            CHECKPOINT,
            option("--out", default="out/illusions", metavar="DIR", help="default: out/illusions"),
        ],
        "find-illusions anagram --pairs 20",
    ),
    "data": Verb(
        "fetch what training needs (asks first)",
        "minidiff.cli.commands:data",
        [
            option("sets", nargs="*", metavar="SET", default=["mnist"], help=DATA_SETS),
            option("--yes", action="store_true", help="do not ask"),
        ],
        "data mnist emoji --yes",
    ),
    "lessons": Verb(
        "run the lessons' code, redraw lessons/figures, check text and pictures",
        "minidiff.lessons.run:main",
        [
            NUMBERS,
            option("--check", action="store_true", help="look at everything, run nothing"),
            option("--ask", action="store_true", help="answer the chapters' questions yourself"),
            option(
                "--times",
                choices=("idle", "busy"),
                help="write what each chapter took into the book's contents, as that of a machine"
                " that does nothing else, or of a busy one",
            ),
        ],
        "lessons 05",
    ),
    "notebooks": Verb(
        "turn the lessons into notebooks, in out/notebooks",
        "minidiff.lessons.notebooks:main",
        [NUMBERS],
        "notebooks 05",
    ),
    "lessons-sync": Verb(
        "rewrite the code that lessons show, from the package, and missing or old stubs",
        "minidiff.cli.commands:lessons_sync",
        [
            NUMBERS,
            option(
                "--ship",
                action="store_true",
                help="and take the package as it stands for the shipped one: for who maintains it",
            ),
        ],
        "lessons-sync",
    ),
    "grade": Verb(
        "check the exercises",
        "minidiff.grade.runner:main",
        [
            option("--ex", metavar="NAME", help="one exercise or several, by comma; default: all"),
            option("--source", metavar="WHERE", help="exercises, solutions, minidiff or a folder"),
            option("--json", action="store_true", help="the result as one JSON object"),
        ],
        "grade --ex posterior_mean",
    ),
    "mutants": Verb(
        "apply every wrong version of the catalogue to a copy; each must be caught and named",
        "minidiff.grade.mutants:main",
        [option("--only", metavar="NAME", help="one entry or several, by comma; default: all")],
        "mutants --only mean-x0-no-root",
    ),
    "play": Verb(
        "open a page to draw, to change an equation and to watch what becomes of the picture",
        "minidiff.play.server:main",
        [
            CHECKPOINT,
            DEVICE,
            DTYPE,
            EMBEDDINGS,
            SECOND,
            option("--port", type=int, metavar="N", help="default: 7860, or one that is free"),
            option("--no-browser", action="store_true", help="only print the address"),
            option(
                "--open",
                metavar="WHAT",
                help="what it shows first: a mistake of the catalogue, a tab, a chapter's number",
            ),
        ],
        "play --open mean-x0-no-root",
    ),
    "weights pull": Verb(
        "fetch an official model: only what is needed, resumed when it breaks off",
        "minidiff.weights.pull:pull",
        [
            option("model", help="IF-I-M, IF-I-L, IF-I-XL, or a repository's full name"),
            option("--text-encoder", action="store_true", help="T5 too (11.5 GB)"),
            option("--to", metavar="DIR", help="default: weights/NAME"),
            option("--revision", help="default: the newest"),
        ],
        "weights pull IF-I-L",
    ),
    "weights check": Verb(
        "say what is in a folder, what is missing, and what to run next",
        "minidiff.weights.check:check",
        [option("folder")],
        "weights check weights/IF-I-L-v1.0",
    ),
    "weights seal": Verb(
        "write a folder's manifest: the size and SHA-256 of every file",
        "minidiff.weights.manifest:seal",
        [option("folder")],
        "weights seal weights/emoji-64",
    ),
}

GROUPS = {"weights": "fetch official models, check what is in a folder"}
