"""`make eval-demo`: what the demo can draw, in numbers.

The protocol is code: judge.py says when a sample is recognised, workbench.py how samples are
drawn, measure_samples.py and measure_noise.py what is counted, and prompts.json what is asked,
fixed before any training. FAST=1 measures a few of each, evenly spread, for a CPU.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path

import torch

import minidiff
from minidiff.emoji import measure_noise, measure_samples
from minidiff.emoji.data import PACKED, load_emoji
from minidiff.emoji.workbench import FAST, FULL, Row, Workbench
from minidiff.io.devices import pick_device
from minidiff.io.files import save_atomically
from minidiff.io.paths import HOME

MEASUREMENTS = (
    measure_samples.naming,
    measure_samples.curves,
    measure_samples.backgrounds,
    measure_samples.styles,
    measure_noise.overall_colour,
    measure_noise.variance_term,
    measure_noise.denoising,
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
) -> list[Row]:
    """Measure a checkpoint, print the table, write it as JSON; returns its rows."""
    started = time.perf_counter()
    bench = open_bench(folder, fast, packed)
    rows = []
    for measure in MEASUREMENTS:
        begun = time.perf_counter()
        rows += measure(bench)
        print(f"{measure.__name__}: {time.perf_counter() - begun:.0f} s", flush=True)
    seconds = time.perf_counter() - started
    print(format_table(rows))
    print(f"{'a few' if fast else 'all'} prompts, {bench.device}, {seconds:.0f} s")
    write_report(rows, fast, seconds, Path(report))
    return rows


def format_table(rows: list[Row]) -> str:
    """The rows as text, one a line."""
    lines = [f"{'what':<46} {'value':>8} {'n':>5}  goal"]
    lines += [f"{row.what:<46} {row.value:>8.4g} {row.count:>5}  {row.goal}" for row in rows]
    return "\n".join(lines)


def write_report(rows: list[Row], fast: bool, seconds: float, path: Path) -> None:
    """The rows as JSON, whole or not at all."""
    report = {"fast": fast, "seconds": round(seconds, 1), "rows": [asdict(row) for row in rows]}
    text = json.dumps(report, indent=1) + "\n"
    save_atomically(path, lambda file: file.write(text.encode()))
