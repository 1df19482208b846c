"""Write tests/reference/: what the reference libraries answer, for tests that run without them.

    python -m tests.make_reference           write the files anew
    python -m tests.make_reference --check   compute again and compare with the committed files

Only diffusers, transformers, sentencepiece and what they need are imported here, never minidiff:
these files are an independent witness. Weights and inputs follow from their names (by_rule.py) and
need no storing. Each file names the versions that made it.
"""

import argparse
import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from unittest import mock

import diffusers
import torch
import transformers
from diffusers import DDPMScheduler, IFPipeline, UNet2DConditionModel
from diffusers.pipelines.deepfloyd_if import timesteps as named
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from tests import reference_samplers
from tests.by_rule import fill, step_inputs, t5_inputs, unet_inputs
from tests.configs import T5S, UNETS
from tests.layers import recorded, relative_error, sampled
from tests.libraries import quiet
from tests.reference_files import DEMO, demo_weights
from tests.strings import CAPTIONS, TOKENIZER

HERE = Path(__file__).parent / "reference"
SCHEDULER = {
    "beta_schedule": "squaredcos_cap_v2",
    "variance_type": "learned_range",
    "thresholding": True,
    "dynamic_thresholding_ratio": 0.95,
    "sample_max_value": 1.5,
}
NAMED = "fast27 smart27 smart50 smart100 smart185 super27 super40 super100".split()
WALKS = {
    "leading 20": 20,
    "leading 27": 27,
    "leading 7": 7,
    "leading 1": 1,
    "fast27": named.fast27_timesteps,
    "stride 30": list(range(990, -1, -30)),
    "uneven": [999, 998, 500, 499, 3, 1, 0],
    "ends above 0": [900, 600, 300],
    "every one of the last": list(range(12, -1, -1)),
}
SAMPLERS = {
    "ddim eta 0": partial(reference_samplers.ddim, 0.0),
    "ddim eta 1": partial(reference_samplers.ddim, 1.0),
    "dpm++": reference_samplers.dpm,
    "heun": reference_samplers.heun,
    "ddpm fixed_small": partial(reference_samplers.ddpm, "fixed_small"),
    "ddpm fixed_large": partial(reference_samplers.ddpm, "fixed_large"),
}
SAMPLER_LISTS = ("fast27", "smart50")
DEMO_PROMPTS, DEMO_SEEDS, DEMO_STEPS = ["a red apple"], [180], 10

Tensors = dict[str, Tensor]


@torch.no_grad()
def unets() -> tuple[Tensors, dict]:
    """Per shape: the output, and a fingerprint of every layer's."""
    tensors, layers = {}, {}
    for name, config in UNETS.items():
        unet, inputs = fill(UNet2DConditionModel(**config)), unet_inputs(config)
        with recorded(unet, sampled) as outputs:
            states, level = inputs["text"], inputs.get("level")
            answer = unet(inputs["x"], inputs["t"], states, class_labels=level).sample
        tensors[f"{name}/output"] = answer
        tensors[f"{name}/layers"] = torch.stack(list(outputs.values()))
        layers[name] = list(outputs)
    return tensors, {"layers": json.dumps(layers)}


@torch.no_grad()
def t5s() -> tuple[Tensors, dict]:
    """Per shape: the states in fp32, and in fp16 as from_pretrained loads it (wo stays fp32)."""
    tensors, layers = {}, {}
    for name, config in T5S.items():
        encoder, inputs = fill(T5EncoderModel(T5Config(**config))), t5_inputs(config)
        with recorded(encoder, sampled) as outputs:
            tensors[f"{name}/output"] = encoder(inputs["ids"], inputs["mask"])[0]
        tensors[f"{name}/layers"] = torch.stack(list(outputs.values()))
        layers[name] = ["shared" if n == "encoder.embed_tokens" else n for n in outputs]
        with tempfile.TemporaryDirectory() as folder:
            encoder.save_pretrained(folder)
            half = T5EncoderModel.from_pretrained(folder, dtype=torch.float16)
        tensors[f"{name}/output fp16"] = half(inputs["ids"], inputs["mask"])[0]
    return tensors, {"layers": json.dumps(layers)}


def schedules() -> tuple[Tensors, dict]:
    """abar, the named lists, and every step of the walks, each from inputs made by rule."""
    scheduler = DDPMScheduler(**SCHEDULER)
    tensors = {"abar": scheduler.alphas_cumprod}
    for name in NAMED:
        tensors[f"named/{name}"] = torch.tensor(getattr(named, f"{name}_timesteps"))
    for name, walk in WALKS.items():
        how = {"num_inference_steps": walk} if isinstance(walk, int) else {"timesteps": walk}
        scheduler.set_timesteps(**how)
        tensors[f"{name}/t"] = scheduler.timesteps.clone()
        tensors[f"{name}/x"] = torch.stack([one_step(scheduler, t) for t in scheduler.timesteps])
    return tensors, {"scheduler": json.dumps(SCHEDULER)}


def one_step(scheduler: DDPMScheduler, t: Tensor) -> Tensor:
    """The scheduler's step at t, its noise by rule too: (2, 3, 4, 4)."""
    inputs = step_inputs(int(t))
    noise = "diffusers.schedulers.scheduling_ddpm.randn_tensor"
    with mock.patch(noise, lambda *args, **kwargs: inputs["noise"]):
        return scheduler.step(inputs["answer"], t, inputs["x"]).prev_sample


def samplers() -> tuple[Tensors, dict]:
    """Ten steps of every spacing, some named lists; two pixels of where each step ends."""
    tensors, scheduler = {}, DDPMScheduler(**SCHEDULER)
    for spacing in ("leading", "trailing", "linspace"):
        scheduler.register_to_config(timestep_spacing=spacing)
        scheduler.set_timesteps(10)
        tensors[f"{spacing} 10/t"] = scheduler.timesteps.clone()
    for name in SAMPLER_LISTS:
        tensors[f"{name}/t"] = torch.tensor(getattr(named, f"{name}_timesteps"))
    for key, timesteps in list(tensors.items()):
        for name, walk in SAMPLERS.items():
            for limited in (False, True):
                ends = torch.stack(list(walk(limited, timesteps.tolist())))[..., ::2, 1]
                tensors[f"{key[:-2]}/{name}{' limited' * limited}"] = ends.float()
    return tensors, {}


@torch.no_grad()
def pictures() -> tuple[Tensors, dict]:
    """The official pipeline on the demo checkpoint, fp32: (1, 3, 64, 64) in [-1, 1], unclipped."""
    pipeline = IFPipeline.from_pretrained(DEMO, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    states, empty = pipeline.encode_prompt(DEMO_PROMPTS, clean_caption=True)
    generators = [torch.Generator().manual_seed(seed) for seed in DEMO_SEEDS]
    made = pipeline(
        prompt_embeds=states,
        negative_prompt_embeds=empty,
        num_inference_steps=DEMO_STEPS,
        generator=generators,
        output_type="pt",
    ).images
    tensors = {"states": states, "empty": empty[:1], "pictures": made}
    told = {"prompts": DEMO_PROMPTS, "seeds": DEMO_SEEDS, "steps": DEMO_STEPS}
    told["weights"] = demo_weights()
    return tensors, {key: json.dumps(value) for key, value in told.items()}


def texts() -> dict:
    """Token ids and cleaned captions, with the strings they were made of."""
    tokenizer = T5Tokenizer.from_pretrained(DEMO / "tokenizer")
    ids = tokenizer(TOKENIZER, max_length=77, truncation=True).input_ids
    clean = IFPipeline._clean_caption
    cleaned = [[text, clean(IFPipeline, text)] for text in CAPTIONS]
    return {"ids": [list(pair) for pair in zip(TOKENIZER, ids)], "captions": cleaned}


# --- files ------------------------------------------------------------------------------------

TENSOR_FILES = {
    "unet.safetensors": unets,
    "t5.safetensors": t5s,
    "schedule.safetensors": schedules,
    "samplers.safetensors": samplers,
    "demo.safetensors": pictures,
}
TEXT_FILE = "text.json"
LOOSE = {"output fp16": 5e-3, "pictures": 1e-3}  # relative error allowed instead of 1e-5


def versions() -> dict[str, str]:
    modules = (torch, diffusers, transformers)
    return {module.__name__: module.__version__ for module in modules}


def write() -> None:
    HERE.mkdir(exist_ok=True)
    made_by = versions()
    for file, make in TENSOR_FILES.items():
        tensors, metadata = make()
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        part = HERE / f"{file}.part"
        save_file(tensors, part, metadata | {"versions": json.dumps(made_by)})
        os.replace(part, HERE / file)
    part = HERE / f"{TEXT_FILE}.part"
    part.write_text(json.dumps({"versions": made_by} | texts(), indent=0) + "\n", encoding="utf-8")
    os.replace(part, HERE / TEXT_FILE)


def check() -> dict[str, list[str]]:
    """For every committed file, how it differs from what the libraries answer now."""
    faults = {file: tensor_faults(file, make()[0]) for file, make in TENSOR_FILES.items()}
    committed = json.loads((HERE / TEXT_FILE).read_text(encoding="utf-8"))
    now = texts()
    faults[TEXT_FILE] = [kind for kind in now if now[kind] != committed[kind]]
    return faults


def tensor_faults(file: str, tensors: Tensors) -> list[str]:
    with safe_open(HERE / file, "pt") as committed:
        keys = set(committed.keys())
        faults = [f"{key}: in one only" for key in sorted(keys ^ set(tensors))]
        for key in sorted(keys & set(tensors)):
            bound = LOOSE.get(key.rpartition("/")[2], 1e-5)
            error = relative_error(tensors[key], committed.get_tensor(key))
            if not error <= bound:
                faults.append(f"{key}: {error:.1e}, more than {bound:.0e}")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    quiet()
    if not parser.parse_args().check:
        write()
        return 0
    faults = [f"{file}: {fault}" for file, found in check().items() for fault in found]
    print("\n".join(faults) or f"{len(TENSOR_FILES) + 1} reference files hold")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
