"""Verbs whose functions do not take their options as they come from the command line."""

from pathlib import Path

from minidiff.errors import UserError
from minidiff.paths import ROOT

EMOJI_PACKAGES = ROOT / "data" / "packages"


def data(sets: list[str], yes: bool) -> None:
    """Fetch data sets, each after a yes."""
    known = ("mnist", "fashion", "emoji")
    if wrong := [name for name in sets if name not in known]:
        raise UserError(f"no data set is called {wrong[0]!r}; known: {', '.join(known)}")
    for name in sets:
        if name == "emoji":
            emoji(yes)
        else:
            from minidiff.mnist.data import main

            main(dataset=name, yes=yes)


def emoji(yes: bool) -> None:
    from minidiff.emoji.data import PACKED, build_emoji
    from minidiff.mnist.data import agreed

    if not PACKED.is_file():
        question = f"Download four emoji sets (200 MB, by npm) into {EMOJI_PACKAGES}? [y/N] "
        if not (yes or agreed(question)):
            raise UserError("nothing was downloaded; say yes, or give YES=1 or --yes")
    build_emoji(EMOJI_PACKAGES)
    print(f"emoji: {PACKED} is there")


def train_emoji(out: str, **options) -> Path:
    from minidiff.emoji.train import train

    return train(out, **options)


def eval_demo(fast: bool, out: str, weights: str | None = None) -> Path:
    from minidiff.emoji.evaluate import evaluate

    evaluate(weights, fast, report=out)
    return Path(out)
