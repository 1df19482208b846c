"""All of Part A's UNet work at an official size: our batched walks against one call per estimate.

Ours makes Part A's calls, in their order, on random weights. A course notebook asks for every
picture and every prompt by itself, so theirs is as many calls of batch 1; all of them cost the
same, and the time of a hundred stands for them.
"""

import torch

from minidiff.fast.graphed import GraphedUNet
from tests.bench.part_a_calls import part_a_calls
from tests.bench.timing import interleaved, milliseconds
from tests.bench.unet_step import inputs, random_twins
from tests.configs import OFFICIAL_UNETS


@torch.no_grad()
def measure(name: str, compiled: bool = False) -> dict:
    """Time both; prints three lines and returns the numbers."""
    torch.backends.cudnn.benchmark = True
    calls = part_a_calls()
    ours, theirs = random_twins(name)
    x, t, text = inputs(max(calls), OFFICIAL_UNETS[name][0]["encoder_hid_dim"])
    cond, fast = ours.prepare(text), GraphedUNet(ours, compiled)
    parts = {n: (x[:n], t[:n], cond.take(range(n))) for n in set(calls)}

    def our_report():
        for n in calls:
            fast(*parts[n])

    def their_hundred():
        for _ in range(100):
            theirs(x[:1], t[:1], encoder_hidden_states=text[:1], return_dict=False)

    for part in parts.values():  # record every batch size; interleaved() would do the whole report
        for _ in range(5):
            fast(*part)
    seconds = milliseconds(our_report) / 1000
    hundred = interleaved({"theirs": their_hundred}, rounds=5)["theirs"]
    their_seconds = hundred.median / 100 * sum(calls) / 1000
    mode = "compiled" if compiled else "recorded"
    print(f"\nPart A's {sum(calls)} estimates at the size of {name}, {len(calls)} calls, {mode}")
    print(f"  ours {seconds:.1f} s; one by one with diffusers {their_seconds:.0f} s")
    print(f"  ratio {their_seconds / seconds:.2f}")
    return {
        "model": name,
        "estimates": sum(calls),
        "calls": len(calls),
        "compiled": compiled,
        "seconds": seconds,
        "their seconds, from 100 calls": their_seconds,
    }
