"""T5-XXL on a small card: whole, and read a block at a time, with what each takes of memory."""

import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from minidiff.deepfloyd.checkpoint import build, load_weights
from minidiff.deepfloyd.streaming import StreamedT5
from minidiff.deepfloyd.t5 import T5Config, T5Encoder
from minidiff.deepfloyd.text import ALIASES, stays_fp32
from tests.bench.loading import timed
from tests.bench.timing import interleaved
from tests.bench.unet_step import on_gpu
from tests.configs import T5_XXL

DTYPE = torch.bfloat16


@torch.no_grad()
def measure() -> dict:
    """Random weights of the official shapes; prints times and peaks, returns them."""
    config = T5Config.from_dict(T5_XXL)
    ids = torch.randint(0, config.vocab_size, (2, 77), device="cuda")
    mask = (torch.arange(77, device="cuda") < torch.tensor([[8], [1]], device="cuda")).long()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        states = on_gpu(lambda: T5Encoder(config)).state_dict()
        save_file({key: value.to(DTYPE).cpu() for key, value in states.items()}, file)
        del states
        how = {"aliases": ALIASES, "fp32": stays_fp32}
        cuda = torch.device("cuda")
        streamed = StreamedT5(build(lambda: T5Encoder(config)), [file], cuda, DTYPE, **how)
        found = {"streamed": watched(lambda: streamed(ids, mask))}
        whole = build(lambda: T5Encoder(config))
        found["load"] = watched(lambda: load_weights(whole, [file], cuda, DTYPE, **how))
    found["encode"] = vars(interleaved({"whole": lambda: whole(ids, mask)})["whole"])
    print("\nT5-XXL, bf16, two prompts")
    for what in ("streamed", "load"):
        seconds, host, gpu = (found[what][k] for k in ("seconds", "peak GiB", "GPU GiB"))
        print(f"  {what:10} {seconds:.2f} s, GPU peak {gpu:.2f} GiB, host peak {host:.2f} GiB")
    print(f"  loaded, encoding takes {found['encode']['median']:.1f} ms")
    return found


def watched(work) -> dict:
    """Seconds, and the peaks of the GPU's and of the host's memory that the work itself took."""
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    numbers = timed(lambda _: work(), Path())
    numbers["GPU GiB"] = (torch.cuda.max_memory_allocated() - before) / 2**30
    return numbers
