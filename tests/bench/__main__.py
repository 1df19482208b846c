"""`make bench`: what costs how long on a GPU, as ratios measured side by side in one run.

    python -m tests.bench                      everything: some fifteen minutes
    python -m tests.bench step --models IF-I-M one part of it, one model

Writes out/bench.json. LOG.md beside this file keeps what was measured and tried.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from minidiff.paths import ROOT

PARTS = ("step", "batch", "loop", "report", "norm", "load", "text", "mnist")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--models", nargs="+", default=["IF-I-M", "IF-I-L", "IF-I-XL"])
    parser.add_argument("--eager", action="store_true", help="compile nothing: quick")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "bench.json")
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        print(f"no part is called {unknown[0]!r}; known: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    if not torch.cuda.is_available():
        print("the benchmark needs an NVIDIA GPU, and torch sees none here", file=sys.stderr)
        return 2
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    found = {part: run(part, options) for part in options.parts or PARTS}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def run(part: str, options: argparse.Namespace):
    """One part's numbers. Each is imported when it runs: not all need the reference libraries."""
    largest, compiled = options.models[-1], not options.eager
    if part == "step":
        from tests.bench import unet_step

        return [unet_step.measure(name, compiled=compiled) for name in options.models]
    if part == "batch":
        from tests.bench import unet_step

        return unet_step.measure(largest, batch=16, compiled=compiled)
    if part == "loop":
        from tests.bench import loop

        return loop.measure(largest, compiled=compiled)
    if part == "report":
        from tests.bench import report

        return report.measure(largest, compiled=compiled)
    if part == "norm":
        from tests.bench import fused_norm

        return fused_norm.measure()
    if part == "load":
        from tests.bench import loading

        return loading.measure(largest)
    if part == "text":
        from tests.bench import text

        return text.measure()
    from minidiff.mnist import bench

    return bench.main()


if __name__ == "__main__":
    sys.exit(main())
