"""The second stage's three pipelines against ours, small random networks, fp32, end to end.

All that is random comes from one generator a picture, so a draw that is missing, too many or in
another order shows. The walks are short pieces of the defaults' kind: spaced evenly or by a named
list, from the beginning or, for editing, from where the strength says.
"""

import warnings
from collections.abc import Iterator

import torch
from diffusers import (
    DDPMScheduler,
    IFImg2ImgSuperResolutionPipeline,
    IFInpaintingSuperResolutionPipeline,
    IFSuperResolutionPipeline,
    UNet2DConditionModel,
)
from torch import Tensor

from minidiff.equations import dynamic_threshold
from minidiff.guidance import CFG
from minidiff.io.paths import DEMO
from minidiff.model import load, load_second
from minidiff.noise import SeededNoise
from minidiff.sampling import last
from minidiff.schedule import (
    cosine_schedule,
    leading_timesteps,
    named_timesteps,
    pipeline_pairs,
)
from minidiff.stage2.cascade import DRAWING, EDITING, INPAINTING, upscale
from tests.by_rule import fill, values
from tests.configs import UNETS
from tests.parity.models import twin_unet
from tests.parity.schedulers import SCHEDULER
from tests.parity.table import Check

NETWORKS = [name for name in UNETS if name.startswith("stage II")]
SIDE, SMALL = 32, 8
STEPS = 12
PIPELINES = {
    "super-resolution": (IFSuperResolutionPipeline, DRAWING),
    "image to image": (IFImg2ImgSuperResolutionPipeline, EDITING),
    "inpainting": (IFInpaintingSuperResolutionPipeline, INPAINTING),
}


def checks() -> Iterator[Check]:
    for what in PIPELINES:
        cases = 2 * len(NETWORKS)
        even = Check(f"stage II: {what}, {STEPS} steps, fp32", cases, largest=1e-4)
        # A list that begins at t = 999 divides by sqrt(abar) = 5e-5: where the first estimate lies
        # within bounds, 1e-6 of the network's rounding becomes .02. That is one value in some
        # 30,000, about one of all compared here: .02 / sqrt(3072 / 2) = 5e-4 of its picture.
        named = Check(f"stage II: {what}, fast27, fp32", cases, relative=1e-3)
        for name in NETWORKS:
            reference = network(name)
            for seeds in ([180], [180, 0]):
                compare(even, what, reference, seeds, None)
                compare(named, what, reference, seeds, "fast27")
        yield from (even, named)
    yield shipped()


@torch.no_grad()
def shipped() -> Check:
    """The demo's second stage, opened by both as it lies: answers at two levels."""
    check = Check("emoji-256: opened by the pipeline, UNet answers, fp32", 2, relative=1e-5)
    model = load_second(load(DEMO, "cpu", torch.float32))
    theirs = IFSuperResolutionPipeline.from_pretrained(
        model.folder, dtype=torch.float32, requires_safety_checker=False
    ).unet
    x, text = values("picture", (1, 6, 256, 256)), values("text", (1, 77, 256))
    for level, t in ((0, 700), (250, 40)):
        ours = model.unet(x, t, model.unet.prepare(text, level))
        labels = torch.tensor([level])
        check.compare(ours, theirs(x, t, text, class_labels=labels, return_dict=False)[0])
    return check


@torch.no_grad()
def network(name: str) -> UNet2DConditionModel:
    """Random weights, but answers of a trained network's size: v in about [-1, 1]."""
    reference = fill(UNet2DConditionModel(**UNETS[name] | {"sample_size": SIDE}))
    reference.conv_out.weight *= 0.3
    return reference


@torch.no_grad()
def compare(check: Check, what: str, reference, seeds: list[int], named: str | None) -> None:
    """One walk: the same small pictures, text states, original and mask for both."""
    low = values("low", (len(seeds), 3, SMALL, SMALL)).clamp(-1, 1)
    text = values("text", (len(seeds), 77, 32))
    nothing = values("nothing", (1, 77, 32)).expand(len(seeds), -1, -1)
    original = values("original", (len(seeds), 3, SIDE, SIDE)).clamp(-1, 1)
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., 6:20, 9:30] = 1
    parts = {"original": original} if what != "super-resolution" else {}
    parts |= {"mask": mask} if what == "inpainting" else {}
    theirs = their_pictures(what, reference, low, text, nothing, seeds, named, **parts)
    ours = our_pictures(what, reference, low, text, nothing, seeds, named, **parts)
    check.compare(ours, theirs)


def their_pictures(
    what, reference, low, text, nothing, seeds, named, original=None, mask=None
) -> Tensor:
    kind, defaults = PIPELINES[what]
    noising = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    scheduler = DDPMScheduler(**SCHEDULER | {"sample_max_value": 1.0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = kind(
            tokenizer=None, text_encoder=None, unet=reference, scheduler=scheduler,
            image_noising_scheduler=noising, safety_checker=None, feature_extractor=None,
            watermarker=None, requires_safety_checker=False,
        )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    parts = {} if original is None else {"original_image": original}
    parts |= {} if mask is None else {"mask_image": mask[0]}
    parts |= {"strength": defaults.strength} if original is not None else {}
    walk = {"num_inference_steps": STEPS}
    if named:
        walk = {"timesteps": named_timesteps(named)}
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return pipeline(
        image=low, prompt_embeds=text, negative_prompt_embeds=nothing, output_type="pt",
        generator=generators if len(generators) > 1 else generators[0], **walk, **parts,
    ).images  # fmt: skip


def our_pictures(
    what, reference, low, text, nothing, seeds, named, original=None, mask=None
) -> Tensor:
    defaults, unet = PIPELINES[what][1], twin_unet(reference)
    timesteps = named_timesteps(named) if named else leading_timesteps(STEPS)
    start = len(timesteps) - min(int(len(timesteps) * defaults.strength), len(timesteps))
    conds = [unet.prepare(states, defaults.level) for states in (text, nothing)]
    walk = upscale(
        unet, cosine_schedule(), low, defaults.level, pipeline_pairs(timesteps),
        CFG(*conds, defaults.guidance), SeededNoise(seeds, (3, SIDE, SIDE)),
        start=start, original=original, mask=mask,
        threshold=lambda x0: dynamic_threshold(x0, 0.95, 1.0),
    )  # fmt: skip
    return last(walk)
