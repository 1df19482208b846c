"""The measured numbers of the flow models, as tables of Part B's page."""

from pathlib import Path

from minidiff.figures.curves import count_epochs, read_numbers
from minidiff.figures.page import Section, Table

FILE = "results-fa25.json"
KEYS = ("samples", "guidance", "epochs", "loss_last_100_steps", "walks", "test_loss_per_tenth")


def quality(weights: Path) -> list[Section]:
    """Where `make eval-mnist EDITION=fa25 OUT=<weights>/results-fa25.json` has left them."""
    path = weights / FILE
    if not path.exists():
        return []
    results = read_numbers(path, KEYS)
    losses = Table(
        ["model", "trained", "loss, mean of the last 100 steps"],
        [
            [name, count_epochs(results["epochs"][name]), f"{loss:.4f}"]
            for name, loss in results["loss_last_100_steps"].items()
        ],
    )
    tenths = Table(
        ["t from", *(f"{i / 10:.1f}" for i in range(10))],
        [
            [name, *(f"{loss:.3f}" for loss in row)]
            for name, row in results["test_loss_per_tenth"].items()
        ],
        "Loss on test digits, per tenth of t",
    )
    walks = Table(
        ["walk", "calls", "samples", "read as asked", "Frechet distance"],
        [
            [w["name"], w["calls"], w["samples"], f"{w['read_right']:.1%}", f"{w['fid']:.2f}"]
            for w in results["walks"]
        ],
    )
    look = (
        f"Class samples at γ = {results['guidance']:g} are read by a classifier; the distance is to"
        " the test digits, on the classifier's features. It depends on the number of samples."
    )
    return [Section("How good are they?", look, tables=[losses, tenths, walks])]
