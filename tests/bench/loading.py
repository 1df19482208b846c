"""From a local folder to a UNet that is ready, on the GPU if there is one: time and host memory,
ours and theirs.

Each load is a process of its own, on files that are in the page cache, and ends alike: every value
looked at for NaN and infinity, convolutions in channels_last. Host memory is the process's
anonymous memory at its peak: pages of the mapped file belong to the cache and are not counted.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from minidiff.deepfloyd.checkpoint import build, load_weights, read_json
from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from tests.configs import OFFICIAL_UNETS

TURNS = 3
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FILE = "diffusion_pytorch_model.fp16.safetensors"


def measure(name: str) -> dict:
    """Write a random checkpoint, load it both ways in turn; prints medians and returns all."""
    found = {"ours": [], "diffusers": []}
    with tempfile.TemporaryDirectory() as folder:
        write_unet(name, Path(folder))
        for turn in range(TURNS + 1):
            for who, loads in found.items():
                command = [sys.executable, "-m", "tests.bench.loading", who, folder]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                if turn:  # the first brings the file into the page cache
                    loads.append(json.loads(done.stdout.splitlines()[-1]))
    print(f"\nloading {name}, fp16, from a local folder to {DEVICE}, {TURNS} times in turn")
    for who, loads in found.items():
        seconds = sorted(load["seconds"] for load in loads)
        peak = max(load["peak GiB"] for load in loads)
        print(
            f"  {who:12} {seconds[TURNS // 2]:.2f} s ({seconds[0]:.2f} to {seconds[-1]:.2f}),"
            f" host peak {peak:.2f} GiB"
        )
    return {"model": name} | found


def write_unet(name: str, folder: Path) -> None:
    config = OFFICIAL_UNETS[name][0]
    (folder / "config.json").write_text(
        json.dumps({"_class_name": "UNet2DConditionModel"} | config)
    )
    unet = build(lambda: UNet(UNetConfig.from_dict(config)))
    shapes = {key: value.shape for key, value in unet.state_dict().items()}
    weights = {key: torch.randn(shape, dtype=torch.float16) / 50 for key, shape in shapes.items()}
    save_file(weights, folder / FILE)


def load_ours(folder: Path) -> None:
    config = UNetConfig.from_dict(read_json(folder / "config.json"))
    unet = build(lambda: UNet(config))
    files = [folder / FILE]
    load_weights(unet, files, torch.device(DEVICE), torch.float16)
    assert unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)


def load_diffusers(folder: Path) -> None:
    unet = their_class().from_pretrained(folder, variant="fp16", torch_dtype=torch.float16)
    unet.to(DEVICE, memory_format=torch.channels_last)
    ends = [end for parameter in unet.parameters() for end in parameter.aminmax()]
    assert bool(torch.stack(ends).isfinite().all())


def their_class() -> type:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel


def timed(load, folder: Path) -> dict:
    """Seconds and peak of anonymous memory; importing and starting a GPU come before."""
    torch.zeros(1, device=DEVICE)
    peak, done = anonymous_gib(), threading.Event()
    before = peak

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, anonymous_gib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    load(folder)
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    return {"seconds": seconds, "peak GiB": peak - before}


def anonymous_gib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 2**20


if __name__ == "__main__":
    loads = {"ours": load_ours, "diffusers": load_diffusers}
    if sys.argv[1] == "diffusers":
        their_class()  # importing is not what is timed
    print(json.dumps(timed(loads[sys.argv[1]], Path(sys.argv[2]))))
