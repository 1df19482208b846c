"""Saying what is in a folder: which model, what is missing, whether it fits, what to run next."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from minidiff.deepfloyd.checkpoint import (
    STORED_DTYPES,
    attends_to_text_alone,
    build,
    check_headers,
    choose_unet,
    open_weights,
    read_json,
)
from minidiff.deepfloyd.scheduler import SchedulerConfig
from minidiff.deepfloyd.t5 import T5Config, T5Encoder
from minidiff.deepfloyd.text import ALIASES, find_text_weights
from minidiff.deepfloyd.tokenizer import Tokenizer
from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.errors import UserError
from minidiff.io.devices import free_memory, pick_device
from minidiff.weights.folder import need_checkpoint
from minidiff.weights.known import is_stage_2, name_of, unet_config
from minidiff.weights.manifest import differences, read_manifest

# Beside the weights: activations of a few pictures, and what torch itself takes.
SPARE_BYTES = 1 << 30
NOT_THERE = "not there"  # a folder of its own that nobody fetched: prompts may come as embeddings


@dataclass
class Part:
    """What was found of unet, text_encoder, tokenizer or scheduler."""

    name: str
    says: str = ""
    fault: str = ""
    params: int = 0
    files: list[Path] = field(default_factory=list)


def check(folder: str | Path) -> None:
    """Print what a folder holds. UserError, after that, if minidiff cannot draw with it.

    A second stage has neither text encoder nor tokenizer: it takes the first one's.
    """
    folder, device = Path(folder).expanduser(), pick_device()
    need_checkpoint(folder)
    config = read_json(folder / "unet" / "config.json")
    print(f"{folder}: {name_of(config)}")
    examine = {
        "unet": lambda part: check_unet(part, folder, config, device),
        "scheduler": lambda part: check_scheduler(part, folder),
    }
    if is_stage_2(config):
        examine["noising"] = lambda part: check_noising(folder)
    else:
        examine["tokenizer"] = lambda part: check_tokenizer(part, folder)
        examine["text_encoder"] = lambda part: check_text_encoder(part, folder, device)
    parts = [examined(Part(name), look) for name, look in examine.items()]
    for part in parts:
        print(f"  {part.name:<14}{part.says or 'cannot be used: ' + part.fault}")
    print_unfinished(folder)
    print_manifest(folder, parts)
    print_fit(parts)
    print_next(folder, {part.name: part for part in parts})


def examined(part: Part, look) -> Part:
    try:
        part.says = look(part)
    except UserError as error:
        part.fault = str(error)
    return part


# --- its parts --------------------------------------------------------------------------------


def check_unet(part: Part, folder: Path, config: dict, device: torch.device) -> str:
    part.files, _ = choose_unet(folder, device)  # the files that drawing would open
    said = describe(part)
    shape = UNetConfig.from_dict(config)
    if shape.upscales:
        alone = attends_to_text_alone(part.files)
        shape = replace(shape, only_cross_attention=alone)
        said += f", {'without' if alone else 'with'} self-attention"
    check_headers(build(lambda: UNet(shape)), part.files)
    return said


def check_text_encoder(part: Part, folder: Path, device: torch.device) -> str:
    if not (folder / "text_encoder").exists():
        raise UserError(NOT_THERE)
    config = T5Config.from_dict(read_json(folder / "text_encoder" / "config.json"))
    _, dtype = choose_unet(folder, device)
    part.files = find_text_weights(folder, dtype)
    check_headers(build(lambda: T5Encoder(config)), part.files, ALIASES)
    return describe(part)


def check_tokenizer(part: Part, folder: Path) -> str:
    if not (folder / "tokenizer").exists():
        raise UserError(NOT_THERE)
    return f"{len(Tokenizer.from_folder(folder))} ids"


def check_scheduler(part: Part, folder: Path) -> str:
    config = SchedulerConfig.from_dict(read_json(folder / "scheduler" / "scheduler_config.json"))
    bound = "left as it is"
    if config.thresholding:
        bound = f"thresholded at {config.sample_max_value}"
    elif config.clip_sample:
        bound = f"clipped to {config.clip_sample_range}"
    kind = f"{config.timestep_spacing} timesteps, {config.variance} variance"
    return f"as expected; {kind}, x0 is {bound}"


def check_noising(folder: Path) -> str:
    """The schedule by which the small picture is noised; a folder without one has the usual."""
    path = folder / "image_noising_scheduler" / "scheduler_config.json"
    raw = read_json(path) if path.exists() else {"beta_schedule": "squaredcos_cap_v2"}
    for key, only in (("beta_schedule", "squaredcos_cap_v2"), ("num_train_timesteps", 1000)):
        if raw.get(key, only) != only:
            raise UserError(f"{path}: {key} is {raw[key]!r}; this code supports only {only!r}")
    return "as expected" if path.exists() else "not there; the usual one is taken"


def describe(part: Part) -> str:
    """Parameters, dtypes and bytes of a part's files, as their headers tell."""
    counts: dict[str, int] = {}
    for path in part.files:
        with open_weights(path) as file:
            for key in file.keys():
                header = file.get_slice(key)
                size = torch.Size(header.get_shape()).numel()
                counts[header.get_dtype()] = counts.get(header.get_dtype(), 0) + size
    part.params = sum(counts.values())
    kinds = " and ".join(str(STORED_DTYPES.get(k, k)).replace("torch.", "") for k in counts)
    size = sum(path.stat().st_size for path in part.files) / 1e9
    files = "1 file" if len(part.files) == 1 else f"{len(part.files)} files"
    return f"{part.params:,} parameters, {kinds}, {size:.2f} GB in {files}"


# --- the rest of the report -------------------------------------------------------------------


def print_unfinished(folder: Path) -> None:
    begun = [path for path in folder.rglob("*") if path.suffix in (".incomplete", ".part")]
    if begun:
        names = ", ".join(path.name for path in begun)
        print(f"  unfinished    {names}: a download was broken off; run it again")


def print_manifest(folder: Path, parts: list[Part]) -> None:
    manifest = read_manifest(folder)
    if manifest is None:
        print("  manifest      none: hashes cannot be compared; `weights seal` writes one")
        return
    changed = differences(folder, manifest)
    origin = f" of {manifest['repo']} at {manifest['revision'][:12]}" if "repo" in manifest else ""
    if not changed:
        print(f"  manifest      all {len(manifest['files'])} files{origin} have their SHA-256")
        return
    print(f"  manifest      {'; '.join(changed)}")
    parts[0].fault = parts[0].fault or f"not as its manifest says: {'; '.join(changed)}"


def print_first(folder: Path) -> None:
    """With which first stage beside it this second one draws."""
    width = unet_config(folder).get("encoder_hid_dim")
    beside = sorted(path for path in folder.resolve().parent.iterdir() if path.is_dir())
    configs = [(path, unet_config(path)) for path in beside]
    first = [p for p, c in configs if c and not is_stage_2(c) and c.get("encoder_hid_dim") == width]
    if not first:
        print("next: a first stage that reads the same text states, which this one enlarges")
        return
    print(f'next: python -m minidiff sample "a dog" --weights {first[0]} --weights-2 {folder}')


def print_fit(parts: list[Part]) -> None:
    """The text encoder goes before the UNet comes, so the larger of the two must fit."""
    device = pick_device()
    width = 4 if device.type != "cuda" else 2
    need = max((part.params * width for part in parts), default=0) + SPARE_BYTES
    have = free_memory(device)
    if have is None:
        return
    verdict = "fits" if need <= have else "does NOT fit"
    print(
        f"  memory        {need / 1e9:.1f} GB in {'float32' if width == 4 else 'float16'}"
        f" {verdict} into the {have / 1e9:.1f} GB that are free on {device.type}"
    )


def print_next(folder: Path, parts: dict[str, Part]) -> None:
    text = [n for n in ("tokenizer", "text_encoder") if n in parts and parts[n].fault]
    needed = [part for name, part in parts.items() if part.fault and name not in text]
    if needed:
        names = ", ".join(part.name for part in needed)
        raise UserError(f"{folder} cannot be used as it is ({names}); see the lines above")
    if "noising" in parts:  # a second stage
        print_first(folder)
        return
    broken = [name for name in text if parts[name].fault != NOT_THERE]
    if broken:
        names = " and ".join(broken)
        raise UserError(
            f"{folder} has no text encoder that can be used ({names}): fetch it again, or give"
            " prompts that were encoded before with --embeddings FILE"
        )
    if text:
        print("next: usable with prompts that were encoded before, the course's file for example:")
        print(f'      python -m minidiff sample "a dog" --weights {folder} --embeddings FILE')
        print("      For prompts of your own, pull it with --text-encoder.")
        return
    print(f"next: make part-a WEIGHTS={folder}")
    print(f'      python -m minidiff sample "a dog" --weights {folder}')
