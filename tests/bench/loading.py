"""From a local folder to a UNet that is ready on the GPU: time and host memory, ours and theirs.

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

from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from tests.bench.unet_step import on_gpu
from tests.configs import OFFICIAL_UNETS

FILE = "diffusion_pytorch_model.fp16.safetensors"


def measure(name: str) -> dict:
    """Write a random checkpoint, load it both ways twice; prints the second, warm load of each."""
    with tempfile.TemporaryDirectory() as folder:
        write_unet(name, Path(folder))
        found = {}
        for who in ("ours", "diffusers") * 2:
            command = [sys.executable, "-m", "tests.bench.loading", who, folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[who] = json.loads(done.stdout.splitlines()[-1])
    print(f"\nloading {name}, fp16, from a local folder to the GPU")
    for who, numbers in found.items():
        print(f"  {who:12} {numbers['seconds']:.2f} s, host peak {numbers['peak GiB']:.2f} GiB")
    return {"model": name} | found


def write_unet(name: str, folder: Path) -> None:
    config = OFFICIAL_UNETS[name][0]
    (folder / "config.json").write_text(
        json.dumps({"_class_name": "UNet2DConditionModel"} | config)
    )
    unet = on_gpu(lambda: UNet(UNetConfig.from_dict(config)))
    save_file({key: value.cpu() for key, value in unet.state_dict().items()}, folder / FILE)


def load_ours(folder: Path) -> None:
    from minidiff.deepfloyd.checkpoint import build, load_weights, read_json

    config = UNetConfig.from_dict(read_json(folder / "config.json"))
    unet = build(lambda: UNet(config))
    files = [folder / FILE]
    load_weights(unet, files, torch.device("cuda"), torch.float16)
    unet.to(memory_format=torch.channels_last)


def load_diffusers(folder: Path) -> None:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(folder, variant="fp16", torch_dtype=torch.float16)
    unet.to("cuda", memory_format=torch.channels_last)
    largest = torch.stack([torch.linalg.vector_norm(p, float("inf")) for p in unet.parameters()])
    assert bool(largest.isfinite().all())


def timed(load, folder: Path) -> dict:
    """Seconds and peak of anonymous memory; importing and starting CUDA come before."""
    torch.zeros(1, device="cuda")
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
    print(json.dumps(timed(loads[sys.argv[1]], Path(sys.argv[2]))))
