"""From a prompt's states to a picture: 33 guided steps, ours against IFPipeline, end to end.

Both get the same text states, so that the text encoder plays no part, and both end with pixels on
the host. "Outside the UNet" is the share of our loop's time that its UNet calls do not take.
"""

import torch

from minidiff.deepfloyd.unet import UNet
from minidiff.fast.graphed import GraphedUNet
from minidiff.guidance import CFG
from minidiff.noise import SeededNoise
from minidiff.sampling import denoise, last
from minidiff.schedule import cosine_schedule, leading_timesteps, pipeline_pairs
from tests.bench.theirs import if_pipeline
from tests.bench.timing import interleaved
from tests.bench.unet_step import inputs, random_twins
from tests.configs import OFFICIAL_UNETS

STEPS = 33
SCHEDULER = {
    "beta_schedule": "squaredcos_cap_v2",
    "variance_type": "learned_range",
    "thresholding": True,
    "dynamic_thresholding_ratio": 0.95,
    "sample_max_value": 1.5,
}


@torch.no_grad()
def measure(name: str, compiled: bool = False) -> dict:
    """Time whole pictures; prints three lines and returns the numbers."""
    from diffusers import DDPMScheduler

    torch.backends.cudnn.benchmark = True
    ours, theirs = random_twins(name)
    _, _, text = inputs(2, OFFICIAL_UNETS[name][0]["encoder_hid_dim"])
    theirs.to(memory_format=torch.channels_last)
    pipeline = if_pipeline(theirs, DDPMScheduler(**SCHEDULER))
    if compiled:
        pipeline.unet = torch.compile(theirs, mode="reduce-overhead")
    fast = GraphedUNet(ours, compiled)
    cond, uncond = ours.prepare(text[1:]), ours.prepare(text[:1])

    def their_picture():
        return pipeline(
            prompt_embeds=text[1:], negative_prompt_embeds=text[:1], num_inference_steps=STEPS,
            output_type="np", generator=torch.Generator("cuda").manual_seed(180),
        )  # fmt: skip

    times = interleaved(
        {"diffusers": their_picture, "ours": lambda: our_picture(fast, cond, uncond)}, rounds=5
    )
    x, t = inputs(2, 8)[:2]
    both = type(cond).cat([uncond, cond])
    step = interleaved({"step": lambda: fast(x, t, both)})["step"].median
    outside = 1 - STEPS * step / times["ours"].median
    mode = "compiled" if compiled else "recorded, theirs eager"
    print(f"\n{name}, one picture, {STEPS} steps, {mode}")
    for who, timing in times.items():
        print(f"  {who:12} {timing}")
    ratio = times["diffusers"].median / times["ours"].median
    print(f"  ratio {ratio:.2f}; outside the UNet {outside:.1%}")
    return {"model": name, "compiled": compiled, "ratio": ratio, "outside": outside} | {
        who: vars(timing) for who, timing in times.items()
    }


def our_picture(unet: UNet | GraphedUNet, cond, uncond):
    noise = SeededNoise([180], device="cuda")
    pairs = pipeline_pairs(leading_timesteps(STEPS))
    walk = denoise(unet, cosine_schedule(), noise.draw(), pairs, CFG(cond, uncond, 7.0), noise)
    return last(walk).cpu()
