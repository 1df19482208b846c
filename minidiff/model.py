"""Opening a checkpoint: the folder becomes one object with the UNet, the schedule and the text."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch

from minidiff.deepfloyd.checkpoint import (
    attends_to_text_alone,
    build,
    check_headers,
    choose_unet,
    load_weights,
    read_json,
)
from minidiff.deepfloyd.embeddings import PrecomputedText, read_embeddings
from minidiff.deepfloyd.scheduler import SchedulerConfig
from minidiff.deepfloyd.text import TextEncoder
from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.errors import UserError
from minidiff.fast.graphed import GraphedUNet
from minidiff.fast.split import SplitUNet
from minidiff.io.devices import pick_device
from minidiff.io.inputs import as_dtype
from minidiff.io.paths import DEMO, embeddings_file, weights_folder
from minidiff.schedule import Schedule, cosine_schedule
from minidiff.weights.folder import need_checkpoint
from minidiff.weights.known import second_folder
from minidiff.weights.manifest import differences, read_manifest

LARGE = 64 << 20  # bytes; hashing what is larger would delay every start by seconds


@dataclass(frozen=True)
class Model:
    """A checkpoint, ready to sample.

    Both networks are read when they are first used: encode all prompts, `encode.free()`, and the
    UNet takes the room that the text encoder had.

    encode           list of prompts -> text states (B, 77, encoder_hid_dim)
    unet             the UNet, see deepfloyd/unet.py
    fast_unet        the same, as loops call it: on CUDA its steps are recorded and replayed, on a
                     CPU large batches are split
    config           the UNet's shape; its `upscales` tells a second stage from a first
    sample_size      side of the pictures, 64, in the second stage 256
    scheduler        what the checkpoint says about walking it, see deepfloyd/scheduler.py
    threshold_ratio, threshold_max   its numbers for equations.dynamic_threshold
    """

    name: str
    folder: Path
    encode: TextEncoder | PrecomputedText
    open_unet: Callable[[], UNet]
    config: UNetConfig
    schedule: Schedule
    sample_size: int
    scheduler: SchedulerConfig
    device: torch.device
    dtype: torch.dtype
    compile: bool = False

    @property
    def threshold_ratio(self) -> float:
        return self.scheduler.dynamic_thresholding_ratio

    @property
    def threshold_max(self) -> float:
        return self.scheduler.sample_max_value

    @cached_property
    def unet(self) -> UNet:
        return self.open_unet()

    @cached_property
    def fast_unet(self) -> GraphedUNet | SplitUNet | UNet:
        if self.device.type == "cuda":
            return GraphedUNet(self.unet, self.compile)
        return SplitUNet(self.unet) if self.device.type == "cpu" else self.unet

    @property
    def nbytes(self) -> int:
        """What the UNet's weights take, read or not."""
        unread = self.open_unet.args[0]
        return sum(p.numel() for p in unread.parameters()) * self.dtype.itemsize

    def free_unet(self) -> None:
        """Let go of the weights, so that another network has their room; the next use reads them.

        The network that was handed out before is empty then, and so are its recordings.
        """
        if "unet" in self.__dict__:
            self.__dict__.pop("fast_unet", None)
            self.__dict__.pop("unet").to("meta")


def load(
    folder: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | str | None = None,
    embeddings: str | Path | None = None,
    compile: bool = False,
) -> Model:
    """Open a checkpoint in the official layout: its configs and headers are checked now.

    folder  default: $MINIDIFF_WEIGHTS, else weights/emoji-64 of this repository
    device  default: cuda, else mps, else cpu
    dtype   torch.float16 or its name; default: float32, but on cuda as the UNet is stored
    embeddings  a file of text states to use in place of the text encoder, see
                deepfloyd/embeddings.py; default: $MINIDIFF_EMBEDDINGS, if that is set
    compile     let torch.compile fuse the steps of `fast_unet`; only on cuda, slow to start
    Raises UserError for anything missing, damaged, or not a stage-I model.
    """
    folder, dtype = weights_folder(folder), as_dtype(dtype)
    check_demo(folder)
    device = pick_device(device)
    if compile and device.type != "cuda":
        raise UserError(f"compile speeds up CUDA devices only, and this is {device.type}")
    text = partial(open_text, folder, embeddings=embeddings)
    model = opened(folder, device, dtype, text, compile, stage=1)
    if model.config.upscales:
        raise UserError(
            f"{folder} is a second stage, which enlarges what a first one has drawn: give the first"
            " stage here, and this folder as --weights-2 or weights_2"
        )
    return model


def load_second(first: Model, folder: str | Path | None = None) -> Model:
    """The second stage that belongs to a first one, on its device and with its text encoder.

    folder  default: the one that lies beside the first, see weights.known.second_folder
    Raises UserError as load does, and for two that do not belong together.
    """
    folder = second_folder(first.folder) if folder is None else Path(folder).expanduser()
    same = (first.device, first.dtype, lambda *_: first.encode, first.compile)
    model = opened(folder, *same, stage=2)
    if not model.config.upscales:
        raise UserError(f"{folder} is a first stage, and --weights-2 wants one that enlarges")
    theirs, ours = model.config.encoder_hid_dim, first.config.encoder_hid_dim
    if theirs != ours:
        raise UserError(
            f"{folder} and {first.folder} do not belong together: the one reads text states of"
            f" {theirs} numbers, and the other's text encoder has {ours}"
        )
    return model


def opened(
    folder: Path, device: torch.device, dtype, text: Callable, compile: bool, stage: int
) -> Model:
    """A checkpoint; text(device, dtype) is what encodes its prompts. stage: which is wanted, for
    the advice where the folder is none."""
    need_checkpoint(folder, stage)
    check_manifest(folder)
    raw = read_json(folder / "unet" / "config.json")
    scheduler = SchedulerConfig.from_dict(read_json(folder / "scheduler" / "scheduler_config.json"))
    config = UNetConfig.from_dict(raw)
    files, dtype = choose_unet(folder, device, dtype)
    if config.upscales:
        config = replace(config, only_cross_attention=attends_to_text_alone(files))
    unet = build(lambda: UNet(config))
    check_headers(unet, files)
    return Model(
        name=folder.resolve().name,
        folder=folder,
        encode=text(device, dtype),
        open_unet=partial(load_weights, unet, files, device, dtype),
        config=config,
        schedule=cosine_schedule(),
        sample_size=read_sample_size(raw),
        scheduler=scheduler,
        device=device,
        dtype=dtype,
        compile=compile,
    )


def open_text(folder, device, dtype, embeddings) -> TextEncoder | PrecomputedText:
    path = embeddings_file(embeddings)
    if path is None:
        return TextEncoder(folder, device, dtype)
    return PrecomputedText(path, read_embeddings(path), device, dtype)


def check_demo(folder: Path) -> None:
    if folder == DEMO and not folder.is_dir():
        raise UserError(
            f"the demo is not where it should be, {DEMO}: install minidiff from a clone, or name a"
            " checkpoint with --weights"
        )


def check_manifest(folder: Path) -> None:
    """Where there is a manifest, the files must be those it lists; large ones go by size alone."""
    manifest = read_manifest(folder)
    changed = differences(folder, manifest, LARGE) if manifest else []
    if changed:
        raise UserError(
            f"{folder} is not as its manifest.json says: {'; '.join(changed)}."
            + (
                " Restore it (`git checkout weights`) or,"
                if folder == DEMO
                else " Fetch it again or,"
            )
            + f" if the change is yours, run `python -m minidiff weights seal {folder}`"
        )


def read_sample_size(raw: dict) -> int:
    size = raw.get("sample_size", 64)
    if type(size) is not int or not 32 <= size <= 1024 or size % 16:
        raise UserError(
            "unet/config.json: sample_size must be 32 to 1024 pixels and a multiple of 16, not"
            f" {size!r}"
        )
    return size
