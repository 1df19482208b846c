"""`make parity`: print one table; the exit status is 0 only if every row is within its bound."""

import importlib.util
import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

NEEDED = {
    "diffusers": "diffusers",
    "transformers": "transformers",
    "bs4": "beautifulsoup4",
    "ftfy": "ftfy",
}
ROWS, ROWS_OF_A_CHECKPOINT = 25, 3  # fewer is a failure


def missing() -> list[str]:
    return [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]


def run_all(folder: Path | None) -> Iterator:
    """The checks, in the order of the table."""
    from tests.parity import checkpoints, models, schedulers, texts

    yield from models.checks()
    yield from schedulers.checks()
    yield from texts.checks()
    yield from checkpoints.checks(folder)


def quiet() -> None:
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=FutureWarning)


def main() -> int:
    if missing():
        print(f"parity needs {', '.join(missing())}: make parity, or pip install '.[parity]'")
        return 1
    from tests.parity.table import HEADER

    quiet()
    begun, rows, cases = time.monotonic(), 0, 0
    folder = os.environ.get("MINIDIFF_WEIGHTS")
    print(HEADER, flush=True)
    failed = 0
    for check in run_all(Path(folder).expanduser() if folder else None):
        print(check.row(), flush=True)
        rows, cases, failed = rows + 1, cases + check.cases, failed + (not check.passed)
    stated = ROWS + (ROWS_OF_A_CHECKPOINT if folder else 0)
    if rows < stated:
        print(f"only {rows} of {stated} rows ran")
    print(f"{rows} rows, {cases} cases, {failed} failed, {time.monotonic() - begun:.0f} s")
    return 1 if failed or rows < stated else 0


if __name__ == "__main__":
    sys.exit(main())
