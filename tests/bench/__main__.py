"""`make bench`: what costs how long, as ratios measured side by side in one run.

    python -m tests.bench                      everything: some fifteen minutes
    python -m tests.bench step --models IF-I-M one part of it, one model
    python -m tests.bench cpu named load       what needs no GPU; other programs disturb it

Writes out/bench.json. Beside this file, LEADERBOARD.md has the records
and LOG.md what was tried.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from minidiff.errors import UserError
from minidiff.io.paths import ROOT
from tests.libraries import missing

STAGE_2 = ["IF-II-M", "IF-II-L"]
PARTS = (
    "step",
    "stage2",
    "batch",
    "loop",
    "named",
    "report",
    "norm",
    "load",
    "text",
    "cold",
    "two",
    "mnist",
    "cpu",
)
WITHOUT_GPU = ("cpu", "named", "load")
AGAINST_REFERENCE = ("step", "stage2", "batch", "loop", "named", "report", "load")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--models", nargs="+", default=["IF-I-M", "IF-I-L", "IF-I-XL"])
    parser.add_argument("--eager", action="store_true", help="compile nothing: quick")
    parser.add_argument("--autotune", action="store_true", help="theirs at max-autotune, too: slow")
    parser.add_argument("--norms", action="store_true", help="ours with and without fused norms")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "bench.json")
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        print(f"no part is called {unknown[0]!r}; known: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    gpu = torch.cuda.is_available()
    print(f"{torch.cuda.get_device_name() if gpu else 'no GPU'}, torch {torch.__version__}")
    found, faults = {}, []
    for part in options.parts or PARTS:
        try:
            if not gpu and part not in WITHOUT_GPU:
                raise UserError("it needs an NVIDIA GPU, and torch sees none here")
            if part in AGAINST_REFERENCE and missing():
                raise UserError(f"it compares with {', '.join(missing())}: pip install '.[parity]'")
            found[part] = run(part, options)
        except UserError as error:  # the other parts run all the same
            faults.append(f"{part} was not measured: {error}")
    for fault in faults:
        print(fault, file=sys.stderr)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    return 2 if faults else 0


def run(part: str, options: argparse.Namespace):
    """One part's numbers. Each is imported when it runs: not all need the reference libraries."""
    largest, compiled = options.models[-1], not options.eager
    if part in ("step", "stage2"):  # 64 pixels, or 256 by the second stage's models
        from tests.bench import unet_step

        modes = ("reduce-overhead", "max-autotune") if options.autotune else ("reduce-overhead",)
        how = {"compiled": compiled, "modes": modes, "norms": options.norms}
        names = options.models if part == "step" else STAGE_2
        return [unet_step.measure(name, **how) for name in names]
    if part == "batch":
        from tests.bench import unet_step

        return unet_step.measure(largest, batch=16, compiled=compiled, modes=())
    if part == "loop":
        from tests.bench import loop

        return loop.measure(largest, compiled=compiled)
    if part == "named":
        from tests.bench import named

        return named.measure()
    if part == "report":
        from tests.bench import report

        return report.measure(largest, compiled=compiled)
    if part == "norm":
        from tests.bench import norm

        return norm.measure()
    if part == "cold":
        from tests.bench import cold

        return cold.measure()
    if part == "two":
        from tests.bench import two_gpus

        return two_gpus.measure(largest)
    if part == "load":
        from tests.bench import loading

        return loading.measure(largest)
    if part == "text":
        from tests.bench import text

        return text.measure()
    if part == "cpu":
        from tests.bench import cpu

        return cpu.measure()
    from minidiff.digits import bench

    return bench.main()


if __name__ == "__main__":
    sys.exit(main())
