"""`make parity`: print one table; the exit status is 0 only if every row is within its bound."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.libraries import missing, quiet
from tests.parity.table import HEADER, Check

ROWS, ROWS_OF_A_CHECKPOINT = 42, 3  # fewer is a failure


def run_all(folder: Path | None) -> Iterator[Check]:
    """The checks, in the order of the table."""
    import torch

    from minidiff.io.devices import pick_device
    from tests.parity import (
        cascade,
        checkpoints,
        committed,
        models,
        samplers,
        schedulers,
        texts,
    )

    threads = torch.get_num_threads()
    torch.set_num_threads(
        1
    )  # small models: a second thread only waits, most of all on a busy machine
    yield from models.checks()
    yield from schedulers.checks()
    yield from samplers.checks()
    yield from texts.checks()
    yield from committed.checks()
    yield from cascade.checks()
    yield from checkpoints.checks()
    torch.set_num_threads(threads)
    if folder is not None:
        yield from checkpoints.checkpoint(folder, folder.name, pick_device())


def main() -> int:
    if missing():
        print(f"parity needs {', '.join(missing())}: make parity, or pip install '.[parity]'")
        return 1
    quiet()
    begun, rows, cases, failed = time.monotonic(), 0, 0, 0
    folder = os.environ.get("MINIDIFF_WEIGHTS")
    print(HEADER, flush=True)
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
