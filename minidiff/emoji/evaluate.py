"""`make eval-demo`: what the demo can draw, in numbers.

The protocol is code: judge.py says when a sample is recognised, workbench.py how samples are
drawn, the measure_*.py what is counted, and prompts.json what is asked, fixed before any training.
FAST=1 measures a few of each, evenly spread, for a CPU; ONLY="phrase grounds" runs these
measurements and no others; SAMPLES=24 changes how many pictures they draw.
"""

import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch

import minidiff
from minidiff.emoji import (
    illusions,
    measure_grounds,
    measure_large,
    measure_noise,
    measure_phrase,
    measure_samples,
    measure_walks,
)
from minidiff.emoji.data import PACKED, SETS, load_emoji
from minidiff.emoji.workbench import FAST, FULL, Counts, Row, Workbench
from minidiff.errors import UserError
from minidiff.io.devices import pick_device
from minidiff.io.files import save_atomically
from minidiff.io.paths import HOME

MEASUREMENTS = (
    measure_samples.naming,
    measure_samples.curves,
    measure_walks.walks,
    measure_samples.backgrounds,
    measure_samples.styles,
    measure_noise.overall_colour,
    measure_noise.variance_term,
    measure_noise.denoising,
    measure_phrase.phrase,
    measure_phrase.edits,
    measure_grounds.grounds,
    illusions.illusions,
    measure_large.large,
)
REPORT = HOME / "out" / "eval-demo.json"


def open_bench(folder: str | Path | None, fast: bool, packed: str | Path = PACKED) -> Workbench:
    """A checkpoint (folder as minidiff.load takes it) with the packed emoji, ready to be measured.

    On a GPU the networks run in bf16, as in training, else in fp32. The walk itself is fp32.
    """
    device = pick_device()
    model = minidiff.load(
        folder, device, torch.bfloat16 if device.type == "cuda" else torch.float32
    )
    return Workbench(model, *load_emoji(packed), FAST if fast else FULL)


def evaluate(
    folder: str | Path | None = None,
    fast: bool = False,
    packed: str | Path = PACKED,
    report: str | Path = REPORT,
    only: list[str] | None = None,
    samples: int | None = None,
) -> list[Row]:
    """Measure a checkpoint, print the table, write it as JSON; returns its rows.

    only     names of MEASUREMENTS, default all
    samples  how many pictures each of them draws at every setting, in place of the plan's numbers
    """
    started = time.perf_counter()
    chosen = choose(only)
    bench = open_bench(folder, fast, packed)
    if samples is not None:
        bench.plan = resized(bench.plan, samples)
    rows = []
    for measure in chosen:
        begun = time.perf_counter()
        rows += measure(bench)
        print(f"{measure.__name__}: {time.perf_counter() - begun:.0f} s", flush=True)
    seconds = time.perf_counter() - started
    print(format_table(rows))
    print(f"{'a few' if fast else 'all'} prompts, {bench.device}, {seconds:.0f} s")
    write_report(rows, fast, seconds, Path(report))
    return rows


def choose(only: list[str] | None) -> list:
    """The measurements of these names; UserError for a name that is none."""
    by_name = {measure.__name__: measure for measure in MEASUREMENTS}
    wrong = [name for name in only or [] if name not in by_name]
    if wrong:
        raise UserError(f"there is no measurement {wrong[0]!r}; there are {', '.join(by_name)}")
    return [by_name[name] for name in only] if only else list(MEASUREMENTS)


def resized(plan: Counts, samples: int) -> Counts:
    """The plan with `samples` pictures of each kind, one a prompt; curves only where they were."""
    if samples < 2:
        raise UserError(f"measure at least 2 pictures of each kind, not {samples}")
    counts = {field: samples for field, count in asdict(plan).items() if count}
    return replace(plan, **{**counts, "seeds": 1, "styles": -(-samples // len(SETS))})


def format_table(rows: list[Row]) -> str:
    """The rows as text, one a line."""
    lines = [f"{'what':<50} {'value':>8} {'error':>7} {'n':>5}  goal"]
    for row in rows:
        error = f"{row.error:.3f}" if row.error else ""
        lines.append(f"{row.what:<50} {row.value:>8.4g} {error:>7} {row.count:>5}  {row.goal}")
    return "\n".join(lines)


def write_report(rows: list[Row], fast: bool, seconds: float, path: Path) -> None:
    """The rows as JSON, whole or not at all."""
    report = {"fast": fast, "seconds": round(seconds, 1), "rows": [asdict(row) for row in rows]}
    text = json.dumps(report, indent=1) + "\n"
    save_atomically(path, lambda file: file.write(text.encode()))
