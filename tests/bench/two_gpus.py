"""Pictures shared out between two GPUs: how much faster, and whether they are the same.

Throughput: every process holds a UNet of the official size with random weights and draws its share,
timed between two barriers. Sameness: `minidiff sample` with the demo, alone and under torchrun.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from PIL import Image

from minidiff.cli.draw import my_batches
from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.fast.graphed import GraphedUNet
from minidiff.guidance import CFG
from minidiff.io.paths import ROOT
from minidiff.noise import SeededNoise
from minidiff.sampling import denoise, last
from minidiff.schedule import cosine_schedule, leading_timesteps, pipeline_pairs
from tests.bench.unet_step import inputs, on_gpu
from tests.configs import OFFICIAL_UNETS

PICTURES, BATCH, STEPS = 32, 8, 33
PROMPTS = ["a red apple", "a cat", "a rocket", "a snowman"]


def measure(name: str) -> dict:
    """Runs itself with one and with two processes; prints the ratio and returns the numbers."""
    if torch.cuda.device_count() < 2:
        print("\ntwo GPUs: there is only one here")
        return {}
    seconds = {n: json.loads(launched(n, "-m", "tests.bench.two_gpus", name)) for n in (1, 2)}
    ratio = seconds[1] / seconds[2]
    print(f"\n{name}, {PICTURES} pictures of {STEPS} steps in batches of {BATCH}")
    print(f"  one GPU {seconds[1]:.2f} s, two {seconds[2]:.2f} s: {ratio:.2f} times")
    with tempfile.TemporaryDirectory() as folder:
        same = [draw(n, Path(folder) / str(n)) for n in (1, 2)]
    largest = max(int(abs(a.astype(int) - b).max()) for a, b in zip(*same))
    print(f"  the demo's {len(same[0])} pictures differ by at most {largest} of 255")
    return {"model": name, "seconds": seconds, "ratio": ratio, "largest difference": largest}


def launched(processes: int, *command: str) -> str:
    """The last line that torchrun's processes print."""
    run = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", *command]
    done = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return done.stdout.splitlines()[-1]


def draw(processes: int, out: Path) -> list[np.ndarray]:
    """The demo's pictures, 4 prompts and 2 seeds in batches of 2, with so many processes."""
    options = ["--seeds", "0-1", "--batch", "2", "--out", str(out)]
    launched(processes, "-m", "minidiff", "sample", *PROMPTS, *options)
    return [np.asarray(Image.open(path)) for path in sorted(out.glob("*.png"))]


@torch.no_grad()
def share(name: str) -> None:
    """One of the processes; the first prints how long the slowest took."""
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl")
    torch.backends.cudnn.benchmark = True
    config = OFFICIAL_UNETS[name][0]
    unet = on_gpu(lambda: UNet(UNetConfig.from_dict(config))).to(memory_format=torch.channels_last)
    fast = GraphedUNet(unet)
    _, _, text = inputs(2, config["encoder_hid_dim"])
    uncond, cond = (unet.prepare(states) for states in text.split(1))

    def pictures(seeds: list[int], steps: int) -> None:
        guidance = CFG(cond.take([0] * len(seeds)), uncond.take([0] * len(seeds)), 7.0)
        noise = SeededNoise(seeds, device="cuda")
        pairs = pipeline_pairs(leading_timesteps(steps))
        last(denoise(fast, cosine_schedule(), noise.draw(), pairs, guidance, noise)).cpu()

    pictures(list(range(BATCH)), 6)  # records
    dist.barrier()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for seeds in my_batches(PICTURES, BATCH):
        pictures(seeds, STEPS)
    dist.barrier()
    torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    if dist.get_rank() == 0:
        print(json.dumps(seconds), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    share(sys.argv[1])
