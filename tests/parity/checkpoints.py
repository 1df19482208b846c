"""Whole checkpoints, opened by minidiff and by IFPipeline: text, UNet, and finished pictures.

The two never hold weights at the same time, and of each only the text encoder or the UNet, so that
a folder with T5-XXL and IF-I-XL fits where one of them does in fp32 (19 GB).
"""

import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import DDPMScheduler, IFPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from minidiff.deepfloyd.text import TextEncoder
from minidiff.guidance import CFG
from minidiff.io.paths import DEMO
from minidiff.model import load
from minidiff.noise import SeededNoise
from minidiff.sampling import denoise, last
from minidiff.schedule import pipeline_pairs
from tests.by_rule import fill, values
from tests.configs import t5_config, unet_config
from tests.layers import Outputs, first_difference, recorded, sampled
from tests.parity.schedulers import SCHEDULER
from tests.parity.table import Check

PROMPTS = [
    "an oil painting of a snowy mountain village",
    # no emoji: a checkpoint with emoji_names.json reads them by name, which the reference does not
    "A <b>red</b> apple &amp; a “pencil”, 日本 caf\u00e9 §",
    "a rocket ship " * 60,  # longer than 77 tokens
    "",
]
OTHERS = ("feature_extractor", "safety_checker", "watermarker")
SEEDS = [180, 0]
STEPS, GUIDANCE = 20, 7.0
TIMESTEPS = [990, 500, 30, 0]
PIXEL = 2 * 2 / 255  # 2/255 of the range from black to white, in [-1, 1]


def checks(device: str = "cpu") -> Iterator[Check]:
    with tempfile.TemporaryDirectory() as folder:
        for lies, name in ((write_random_checkpoint(Path(folder)), "random"), (DEMO, "demo")):
            yield opens_as_it_lies(lies, f"{name} checkpoint")
            yield from checkpoint(lies, f"{name} checkpoint", torch.device(device))


@torch.no_grad()
def checkpoint(folder: Path, name: str, device: torch.device) -> Iterator[Check]:
    """Text states, UNet answers at several t, and the pictures of a guided walk; all in fp32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    states, text_layers = reference_text(folder, device)
    answers, unet_layers, made = reference_unet(folder, device, states)

    text = Check(f"{name}: text states", len(PROMPTS), relative=1e-5)
    our_states, layers = our_text(folder, device)
    for mine, theirs in zip(our_states, states):
        text.compare(mine, theirs)
    text.note = "" if text.passed else str(first_difference(layers, text_layers))
    yield text

    model = load(folder, device, torch.float32)
    unet = Check(f"{name}: UNet answers, fp32", len(TIMESTEPS), relative=1e-5)
    mine, layers = our_unet(model, states)
    for one, theirs in zip(mine, answers):
        unet.compare(one, theirs)
    unet.note = "" if unet.passed else str(first_difference(layers, unet_layers))
    yield unet

    picture = Check(f"{name}: pictures, {STEPS} steps, CFG 7, 2/255", len(SEEDS), largest=PIXEL)
    for one, theirs in zip(our_pictures(model, our_states), made):
        picture.compare(one.clamp(-1, 1), theirs.clamp(-1, 1))
    yield picture


def opens_as_it_lies(folder: Path, name: str) -> Check:
    """`IFPipeline.from_pretrained(folder)` and nothing else; optional parts are absent."""
    check = Check(f"{name}: opened by IFPipeline as it lies", stated=4 + len(OTHERS))
    opened = IFPipeline.from_pretrained(folder)
    for part in ("scheduler", "text_encoder", "tokenizer", "unet"):
        expected = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))[part][1]
        check.equal(type(getattr(opened, part)).__name__, expected)
    for part in OTHERS:
        check.equal(getattr(opened, part), None)
    return check


# --- the reference ----------------------------------------------------------------------------


def pipeline(folder: Path, device: torch.device, without: str) -> IFPipeline:
    """The official pipeline with the text encoder, or with the UNet."""
    parts = dict.fromkeys((without, *OTHERS))
    halves = folder / ("text_encoder" if without == "unet" else "unet")
    stored = [path.name for path in halves.glob("*.safetensors")]
    variant = "fp16" if stored and all(".fp16" in file for file in stored) else None
    opened = IFPipeline.from_pretrained(
        folder, **parts, dtype=torch.float32, variant=variant, requires_safety_checker=False
    )
    opened.set_progress_bar_config(disable=True)
    return opened.to(device)


def reference_text(folder: Path, device: torch.device) -> tuple[Tensor, Outputs]:
    opened = pipeline(folder, device, without="unet")
    with recorded(opened.text_encoder, sampled) as layers:
        states, _ = opened.encode_prompt(
            PROMPTS, do_classifier_free_guidance=False, clean_caption=True, device=device
        )
    layers["shared"] = layers.pop("encoder.embed_tokens")
    return states, layers


def reference_unet(folder: Path, device: torch.device, states: Tensor):
    """Answers at TIMESTEPS, the layers of the first of them, and the pictures."""
    opened = pipeline(folder, device, without="text_encoder")
    answers = []
    with recorded(opened.unet, sampled) as layers:
        for t in TIMESTEPS:
            x = noisy(opened.unet.config.sample_size, device)
            answers.append(opened.unet(x, t, encoder_hidden_states=states[:2]).sample)
    made = opened(
        prompt_embeds=states[:2],
        negative_prompt_embeds=states[3:].expand(2, -1, -1),
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        output_type="pt",
    ).images
    return answers, layers, made


# --- minidiff ---------------------------------------------------------------------------------


def our_text(folder: Path, device: torch.device) -> tuple[Tensor, Outputs]:
    encode = TextEncoder(folder, device, torch.float32)
    _, encoder = encode.load()
    with warnings.catch_warnings(), recorded(encoder, sampled) as layers:
        warnings.simplefilter("ignore")  # that the third prompt is too long
        return encode(PROMPTS), layers


def our_unet(model, states: Tensor) -> tuple[list[Tensor], Outputs]:
    x = noisy(model.sample_size, model.device)
    with recorded(model.unet, sampled) as layers:
        answers = [model.unet(x, t, states[:2]) for t in TIMESTEPS]
    return answers, layers


def our_pictures(model, states: Tensor) -> Tensor:
    """From our own text states, so that nothing of the reference is in them."""
    cond = model.unet.prepare(states)
    noise = SeededNoise(SEEDS, (3, model.sample_size, model.sample_size), model.device)
    steps = denoise(
        model.unet,
        model.schedule,
        noise.draw(),
        pipeline_pairs(model.scheduler.timesteps(STEPS)),
        CFG(cond.take([0, 1]), cond.take([3, 3]), GUIDANCE),
        noise,
        threshold=model.scheduler.limit,
    )
    return last(steps)


def noisy(size: int, device: torch.device) -> Tensor:
    return values("picture", (2, 3, size, size)).to(device)


def layer_outputs(folder: Path, part: str) -> tuple[Outputs, Outputs]:
    """Every layer's output of "T5" or "UNet", ours and the reference's, for first_difference."""
    device = torch.device("cpu")
    with torch.no_grad():
        states, reference = reference_text(folder, device)
        if part == "T5":
            return our_text(folder, device)[1], reference
        opened, model = (
            pipeline(folder, device, "text_encoder"),
            load(folder, device, torch.float32),
        )
        x = noisy(model.sample_size, device)
        with recorded(opened.unet, sampled) as theirs, recorded(model.unet, sampled) as ours:
            opened.unet(x, TIMESTEPS[0], encoder_hidden_states=states[:2])
            model.unet(x, TIMESTEPS[0], states[:2])
    return ours, theirs


# --- a checkpoint made by the reference libraries -----------------------------------------------


def write_random_checkpoint(folder: Path) -> Path:
    """Random weights in the official layout, saved by diffusers and transformers in fp32."""
    text = t5_config(48, 8, 5, 2, vocab_size=2176)
    unet = unet_config([24, 40, 56], [1, 2, 1], ".xx", sample_size=64)
    encoder = fill(T5EncoderModel(T5Config(**text)))
    fill(UNet2DConditionModel(**unet)).save_pretrained(folder / "unet")
    encoder.save_pretrained(folder / "text_encoder", max_shard_size="100KB")
    DDPMScheduler(**SCHEDULER).save_pretrained(folder / "scheduler")
    shutil.copytree(DEMO / "tokenizer", folder / "tokenizer")
    shutil.copy(DEMO / "model_index.json", folder)
    return folder
