"""The trained demo as a folder in the official layout, so that one loader serves both.

    model_index.json
    unet/{config.json, diffusion_pytorch_model-0000i-of-0000n.safetensors, ....index.json}
    text_encoder/{config.json, model-00001-of-00001.safetensors, model.safetensors.index.json}
    scheduler/scheduler_config.json
    tokenizer/...        made once, before training: minidiff/emoji/tokenizer_train.py

The second stage has no text encoder and no tokenizer of its own, it uses the first one's, and an
image_noising_scheduler beside the scheduler.

Everything is fp16, in shards that a code host takes.
"""

import json
import os
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

WEIGHTS = Path(__file__).resolve().parents[2] / "weights" / "emoji-64"
SHARD_BYTES = 12 * 2**20

MODEL_INDEX = {
    "_class_name": "IFPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDPMScheduler"],
    "text_encoder": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "T5Tokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "watermarker": [None, None],
}

# DeepFloyd IF stage I's own scheduler settings but for two. Dynamic thresholding divides a white
# that is exactly 1 by what exceeds it, and few leading steps begin where the ground is decided
# already: with these the official pipeline leaves 100 of 100 grounds white in 20 steps, with
# DeepFloyd's it was 31.
SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.42.1",
    "beta_schedule": "squaredcos_cap_v2",
    "clip_sample": True,
    "dynamic_thresholding_ratio": 0.95,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sample_max_value": 1.5,
    "thresholding": False,
    "timestep_spacing": "trailing",
    "variance_type": "learned_range",
}

# What is different in the second stage, as in DeepFloyd IF-II.
MODEL_INDEX_2 = MODEL_INDEX | {
    "_class_name": "IFSuperResolutionPipeline",
    "image_noising_scheduler": ["diffusers", "DDPMScheduler"],
    "text_encoder": [None, None],
    "tokenizer": [None, None],
}
SCHEDULER_2 = SCHEDULER | {"sample_max_value": 1.0}
NOISING_SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.42.1",
    "beta_schedule": "squaredcos_cap_v2",
    "num_train_timesteps": 1000,
}

UNET_STEM, T5_STEM = "diffusion_pytorch_model", "model"


def export(params: dict[str, Tensor], recipe: dict, folder: Path) -> Path:
    """Write HybridLoss parameters ("unet. ...", "encoder. ...") as an official folder."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    second = recipe["unet"]["in_channels"] == 6
    write_json(part / "model_index.json", MODEL_INDEX_2 if second else MODEL_INDEX)
    scheduler = SCHEDULER_2 if second else SCHEDULER
    write_json(part / "scheduler" / "scheduler_config.json", scheduler)
    unet_config = {"_class_name": "UNet2DConditionModel", **recipe["unet"]}
    write_json(part / "unet" / "config.json", unet_config)
    write_shards(strip(params, "unet."), part / "unet", UNET_STEM)
    if second:
        noising = part / "image_noising_scheduler" / "scheduler_config.json"
        write_json(noising, NOISING_SCHEDULER)
    else:
        t5_config = {"architectures": ["T5EncoderModel"], **recipe["text_encoder"]}
        write_json(part / "text_encoder" / "config.json", t5_config)
        write_shards(strip(params, "encoder."), part / "text_encoder", T5_STEM)
        shutil.copytree(WEIGHTS / "tokenizer", part / "tokenizer")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)
    return folder


def strip(params: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under a prefix, without it, as contiguous fp16 on the CPU."""
    return {
        name.removeprefix(prefix): p.detach().half().cpu().contiguous()
        for name, p in params.items()
        if name.startswith(prefix)
    }


def write_shards(tensors: dict[str, Tensor], folder: Path, stem: str) -> None:
    """Shards of at most SHARD_BYTES and the index that says which tensor is where."""
    shards: list[dict] = [{}]
    for name, tensor in tensors.items():
        if shards[-1] and nbytes(shards[-1]) + tensor.nbytes > SHARD_BYTES:
            shards.append({})
        shards[-1][name] = tensor
    where = {}
    for i, shard in enumerate(shards, start=1):
        file = f"{stem}-{i:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(shard, file)
    index = {"metadata": {"total_size": nbytes(tensors)}, "weight_map": where}
    write_json(folder / f"{stem}.safetensors.index.json", index)


def load_exported(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(unet, text encoder) state dicts of an exported folder: a warm start's weights.

    They are empty for a folder that has none.
    """

    def read(sub: str) -> dict[str, Tensor]:
        shards = sorted((folder / sub).glob("*.safetensors"))
        return {name: t for shard in shards for name, t in load_file(shard).items()}

    return read("unet"), read("text_encoder")


def nbytes(tensors: dict[str, Tensor]) -> int:
    return sum(t.nbytes for t in tensors.values())


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8", newline="\n")
