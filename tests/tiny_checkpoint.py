"""A random checkpoint in the official layout, small enough to sample from in a second.

The demo's tokenizer is copied, so any English prompt works. Used by tests of everything that needs
a model but not a good one.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from minidiff.deepfloyd.t5 import T5Config, T5Encoder
from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.io.paths import DEMO

UNET = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 64,
    "in_channels": 3,
    "out_channels": 6,
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "down_block_types": ["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"],
    "up_block_types": ["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
    "attention_head_dim": 8,
    "cross_attention_dim": 32,
    "encoder_hid_dim": 32,
    "addition_embed_type": "text",
    "addition_embed_type_num_heads": 2,
    "norm_num_groups": 4,
    "act_fn": "gelu",
}
UPSCALES = {
    "sample_size": 96,
    "in_channels": 6,
    "class_embed_type": "timestep",
    "time_embedding_act_fn": "gelu",
    "resnet_skip_time_act": True,
    "resnet_out_scale_factor": 1.41422712488,
    "mid_block_scale_factor": 1.41422712488,
}
TEXT_ENCODER = {
    "model_type": "t5",
    "vocab_size": 2176,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 3,
    "feed_forward_proj": "gated-gelu",
}
SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "beta_schedule": "squaredcos_cap_v2",
    "clip_sample": True,
    "dynamic_thresholding_ratio": 0.95,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sample_max_value": 1.5,
    "thresholding": True,
    "variance_type": "learned_range",
}
INDEX = {
    "_class_name": "IFPipeline",
    "scheduler": ["diffusers", "DDPMScheduler"],
    "text_encoder": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "T5Tokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
}


def write_tiny_checkpoint(folder: Path, *, shards: int = 1, dtype=torch.float16, seed=0) -> Path:
    """Write the folder and return it. shards > 1 also writes index files."""
    torch.manual_seed(seed)
    unet, encoder = UNet(UNetConfig.from_dict(UNET)), T5Encoder(T5Config.from_dict(TEXT_ENCODER))
    write_json(folder / "model_index.json", INDEX)
    write_json(folder / "scheduler" / "scheduler_config.json", SCHEDULER)
    write_json(folder / "unet" / "config.json", UNET)
    write_json(folder / "text_encoder" / "config.json", TEXT_ENCODER)
    write_weights(unet, folder / "unet", "diffusion_pytorch_model", shards, dtype)
    write_weights(encoder, folder / "text_encoder", "model", shards, dtype)
    names = shutil.ignore_patterns(
        "emoji_names.json", "words.json"
    )  # official checkpoints have none
    shutil.copytree(DEMO / "tokenizer", folder / "tokenizer", ignore=names, dirs_exist_ok=True)
    return folder


def write_tiny_second(folder: Path, *, text_alone=False, dtype=torch.float16, seed=0) -> Path:
    """A second stage that belongs to the checkpoint above: 64 to 96 pixels. Returns the folder."""
    torch.manual_seed(seed)
    config = UNET | UPSCALES | {"only_cross_attention": text_alone}
    write_json(folder / "model_index.json", {"_class_name": "IFSuperResolutionPipeline"})
    write_json(
        folder / "scheduler" / "scheduler_config.json", SCHEDULER | {"sample_max_value": 1.0}
    )
    noising = {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 1000}
    write_json(folder / "image_noising_scheduler" / "scheduler_config.json", noising)
    # what the config says of the attention shall not matter, so it is left out
    write_json(folder / "unet" / "config.json", UNET | UPSCALES)
    unet = UNet(UNetConfig.from_dict(config))
    write_weights(unet, folder / "unet", "diffusion_pytorch_model", 1, dtype)
    return folder


def write_weights(module: nn.Module, folder: Path, stem: str, shards: int, dtype) -> None:
    suffix = ".fp16" if dtype == torch.float16 else ""
    tensors = {name: p.detach().to(dtype) for name, p in module.named_parameters()}
    if shards == 1:
        save_file(tensors, folder / f"{stem}{suffix}.safetensors", metadata={"format": "pt"})
        return
    where = {}
    for i in range(shards):
        file = f"{stem}{suffix}-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: tensors[name] for name in list(tensors)[i::shards]}
        save_file(part, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": where}
    write_json(folder / f"{stem}{suffix}.safetensors.index.json", index)


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2))
