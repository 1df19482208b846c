"""Verbs whose functions do not take their options as they come from the command line."""

from pathlib import Path

from minidiff.errors import UserError
from minidiff.io.files import check_writable
from minidiff.io.paths import HOME, need_clone

EMOJI_PACKAGES = HOME / "data" / "packages"


def data(sets: list[str], yes: bool) -> None:
    """Fetch data sets, each after a yes."""
    known = ("mnist", "fashion", "emoji", "emoji-256")
    if wrong := [name for name in sets if name not in known]:
        raise UserError(f"no data set is called {wrong[0]!r}; known: {', '.join(known)}")
    for name in sets:
        if name in ("emoji", "emoji-256"):
            emoji(yes, 64 if name == "emoji" else 256)
        else:
            from minidiff.mnist.data import main

            main(dataset=name, yes=yes)


def emoji(yes: bool, size: int) -> None:
    """The four sets as 64-pixel pictures for training stage I, or as 256-pixel ones for II."""
    from minidiff.emoji.data import PACKED, PACKED_2, build_emoji
    from minidiff.mnist.data import agreed

    packed = PACKED if size == 64 else PACKED_2
    if not packed.is_file():
        question = f"Download four emoji sets (200 MB, by npm) into {EMOJI_PACKAGES}? [y/N] "
        if not (yes or agreed(question)):
            raise UserError("nothing was downloaded; say yes, or give YES=1 or --yes")
    build_emoji(EMOJI_PACKAGES, size=size)
    print(f"emoji: {packed} is there")


def names(words: list[str], weights: str | None = None) -> None:
    """Print the names that a model of named pictures can draw, those with all the words in them."""
    from minidiff.deepfloyd.signs import Signs
    from minidiff.deepfloyd.words import Words
    from minidiff.io.paths import weights_folder
    from minidiff.weights.folder import need_checkpoint

    folder = weights_folder(weights)
    need_checkpoint(folder, 1)
    known = Words.from_folder(folder).names
    if not known:
        raise UserError(f"{folder} lists no names: it reads any English")
    asked = Signs.from_folder(folder)(" ".join(words)).lower()
    found = [name for name in known if all(word in name for word in asked.split())]
    if not found:
        raise UserError(f"none of the {len(known)} names {what_is_near(asked, known)}")
    print("\n".join(found))


def what_is_near(asked: str, known: tuple[str, ...]) -> str:
    """Of words that no name has all of: the names that have some, else those spelled alike."""
    from difflib import get_close_matches

    having = {word: [name for name in known if word in name] for word in asked.split()}
    if len(having) > 1 and any(having.values()):
        strange = [word for word, found in having.items() if not found]
        told = f"; nothing has {' or '.join(map(repr, strange))}" if strange else ""
        few = ", ".join(
            f"{word!r} ({', '.join(found[:3])})" for word, found in having.items() if found
        )
        return f"has {' and '.join(map(repr, having))} together{told}; there are some with {few}"
    near = get_close_matches(asked, known, n=5)
    remedy = f"near are {', '.join(near)}" if near else "`python -m minidiff names` lists them all"
    return f"has {asked!r} in it; {remedy}"


def train_emoji(stage: int, out: str | None = None, **options) -> Path:
    from minidiff.emoji.train import train

    if stage not in (1, 2):
        raise UserError(f"there are stages 1 and 2, and no {stage}")
    return train(out or ("runs/emoji" if stage == 1 else "runs/emoji-256"), stage=stage, **options)


def eval_mnist(edition: str = "fa24", **options) -> None:
    """The models of one edition's Part B; fa26's is that of fa25."""
    if edition not in ("fa24", "fa25", "fa26"):
        raise UserError(f"part-b follows the editions fa24 and fa25, not {edition!r}")
    own = {"fa24": ("retrain_classifier",)}.get(edition, ("walks", "digits"))
    others = [k for k in ("retrain_classifier", "walks", "digits") if k not in own]
    if given := [key for key in others if options.pop(key, None)]:
        raise UserError(f"--{given[0].replace('_', '-')} does not go with the edition {edition}")
    if edition == "fa24":
        from minidiff.digits.evaluate import main
    else:
        from minidiff.digits.evaluate_flow import main
    main(**options)


def eval_demo(
    fast: bool,
    out: str,
    weights: str | None = None,
    only: str | None = None,
    samples: int | None = None,
) -> Path:
    from minidiff.emoji.evaluate import evaluate

    check_writable(out)
    names = None if only is None else only.replace(",", " ").split()
    evaluate(weights, fast, report=out, only=names, samples=samples)
    return Path(out)


def demo_sheet(out: str, weights: str | None = None) -> Path:
    from minidiff.emoji.evaluate import open_bench
    from minidiff.emoji.sheets import contact_sheet

    check_writable(out)
    return contact_sheet(open_bench(weights, fast=False), out)


def illusions(kind: str, pairs: int, out: str, weights: str | None = None) -> list[Path]:
    """Search pairs of prompts; a tenth of them goes on to the finals."""
    from minidiff.emoji.evaluate import open_bench
    from minidiff.emoji.illusions import check_kind, find_illusions

    check_kind(kind)
    if pairs < 1:
        raise UserError(f"try at least 1 pair, not {pairs}")
    Path(out).mkdir(parents=True, exist_ok=True)  # or fail before the work
    bench = open_bench(weights, fast=False)
    find_illusions(bench, kind, out, pairs=pairs, finalists=-(-pairs // 10))
    return [Path(out) / f"{kind}.png", Path(out) / f"{kind}.json"]


def encode(prompts: list[str], out: str, **options) -> Path:
    """Write the states of the prompts, and of the empty one, which guidance needs."""
    from minidiff.deepfloyd.embeddings import save_embeddings
    from minidiff.deepfloyd.text import TextEncoder
    from minidiff.model import load

    check_ending(out)
    check_writable(out)
    model = load(options.get("weights"), options.get("device"), options.get("dtype"))
    encoder = TextEncoder(model.folder, model.device, model.dtype)  # whatever stands in for it
    encoder.check(prompts)
    texts = list(dict.fromkeys([*prompts, ""]))
    return save_embeddings(dict(zip(texts, encoder(texts))), out)


def convert(source: str, target: str) -> Path:
    from minidiff.deepfloyd.embeddings import read_embeddings, save_embeddings

    check_ending(target)
    embeddings = read_embeddings(source)
    print("\n".join(map(repr, embeddings)))
    return save_embeddings(embeddings, target)


def check_ending(path: str) -> None:
    if Path(path).suffix != ".safetensors":
        raise UserError(f"{path} must end in .safetensors")


def lessons_sync(numbers: list[str], ship: bool) -> list[Path]:
    """Chapters' copies of code, links to the page, missing or old stubs, and the packed package."""
    need_clone("the lessons")
    from minidiff.grade.solutions import files_to_ship, write_stubs
    from minidiff.io.shipped import ship as pack
    from minidiff.lessons import sources
    from minidiff.play import targets

    targets.sync(numbers)
    packed = pack(files_to_ship()) if ship else None
    return [*(sources.sync(numbers) or []), *([packed] if packed else []), *write_stubs()]
