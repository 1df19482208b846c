"""From nothing to the first picture of the demo: processes as users start them."""

import os
import subprocess
import sys
import tempfile
import time

from minidiff.io.paths import ROOT

COMMAND = [sys.executable, "-m", "minidiff", "sample", "a red apple", "--seeds", "0"]


def measure() -> dict:
    """Seconds, twice plain and twice compiled; the second start finds the first's cache."""
    found = {}
    print("\nthe demo's first picture, a new process each")
    with tempfile.TemporaryDirectory() as folder:
        caches = {
            "TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor",
            "TRITON_CACHE_DIR": f"{folder}/t",
        }
        for what, options in (
            ("plain, no cache", []),
            ("plain", []),
            ("compiled, no cache", ["--compile"]),
            ("compiled", ["--compile"]),
        ):
            started = time.perf_counter()
            subprocess.run(
                [*COMMAND, "--out", folder, *options],
                check=True, capture_output=True, cwd=ROOT, env=os.environ | caches,
            )  # fmt: skip
            found[what] = time.perf_counter() - started
            print(f"  {what:20} {found[what]:6.1f} s", flush=True)
    return found
