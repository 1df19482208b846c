"""UNet and T5 on small random shapes, two UNets at full size, and the key lists of all sizes."""

import json
import tempfile
from collections.abc import Iterator

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import T5Config as ReferenceT5Config
from transformers import T5EncoderModel

from minidiff.deepfloyd.t5 import T5Config, T5Encoder
from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from tests.by_rule import fill, t5_inputs, unet_inputs
from tests.configs import OFFICIAL_UNETS, T5_XXL, T5S, UNETS
from tests.layers import first_difference, recorded
from tests.parity.table import Check
from tests.reference_files import read_keys

TIED = "encoder.embed_tokens.weight"  # transformers' second name of shared.weight
SMALL_HALF = ["one level", "attention at every level", "widths that shrink",
              "stage II, as official", "stage II, text alone"]  # fmt: skip


def checks(device: str = "cpu") -> Iterator[Check]:
    half, how = SMALL_HALF, {"device": device}
    yield key_lists()
    yield unets(
        "UNet, small shapes of both stages, fp32", 11, UNETS, torch.float32, relative=1e-5, **how
    )
    yield unets("UNet, small shapes, bf16", 5, half, torch.bfloat16, relative=3e-2, **how)
    yield unets("UNet, small shapes, fp16", 5, half, torch.float16, relative=4e-3, **how)
    yield t5s("T5, small shapes, fp32", torch.float32, relative=1e-5, **how)
    yield t5s("T5, small shapes, bf16", torch.bfloat16, relative=3e-2, **how)
    yield t5s("T5, small shapes, fp16 with wo in fp32", torch.float16, relative=4e-3, **how)
    for name in ("IF-I-M", "IF-II-M"):
        yield full_size(name, device)


def key_lists() -> Check:
    """Ours and the reference library's equal the committed lists."""
    check = Check("keys and shapes, IF-I-M, L, XL, IF-II-M, L, T5-XXL", stated=16)
    with torch.device("meta"):
        for name, (config, _, _) in OFFICIAL_UNETS.items():
            official = read_keys(name.lower())
            ours = UNet(UNetConfig.from_dict(config))
            check.equal(shapes(ours), official, f"{name} of minidiff")
            check.equal(shapes(UNet2DConditionModel(**config)), official, f"{name} of diffusers")
        official = read_keys("t5-xxl-encoder")
        reference = T5EncoderModel(ReferenceT5Config(**T5_XXL))
        check.equal(shapes(reference), official, "T5-XXL of transformers")
        official.pop(TIED)
        check.equal(shapes(T5Encoder(T5Config.from_dict(T5_XXL))), official, "T5-XXL of minidiff")
    return check


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


# --- UNet -------------------------------------------------------------------------------------


@torch.no_grad()
def unets(what: str, stated: int, names, dtype: torch.dtype, relative: float, device) -> Check:
    """Random weights, four pictures with four timesteps; the config as diffusers writes it."""
    check = Check(what, stated, relative=relative)
    for name in names:
        reference = fill(UNet2DConditionModel(**UNETS[name])).to(device)
        ours = twin_unet(reference)
        inputs = to(device, unet_inputs(UNETS[name], batch=4))
        inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}
        ours, reference = ours.to(dtype), cast(reference, dtype)
        answers = run_unets(ours, reference, inputs)
        if not check.compare(*answers):
            check.note = f"{name}: {unet_difference(ours, reference, inputs)}"
    return check


@torch.no_grad()
def full_size(name: str, device) -> Check:
    """An official shape, random weights; the two models share them: memory holds one copy."""
    config, parameters, _ = OFFICIAL_UNETS[name]
    check = Check(f"UNet, {name} at full size ({parameters:,}), fp32", stated=1, relative=1e-5)
    with torch.device("meta"):
        reference = UNet2DConditionModel(**config)
    reference = fill(reference.to_empty(device="cpu")).to(device)
    if sum(p.numel() for p in reference.parameters()) != parameters:
        check.unequal.append("the number of parameters")
    ours = twin_unet(reference)
    side = config["sample_size"]
    inputs = to(device, unet_inputs(config, batch=1, size=(side, side)))
    if not check.compare(*run_unets(ours, reference, inputs)):
        check.note = unet_difference(ours, reference, inputs)
    return check


def twin_unet(reference: UNet2DConditionModel) -> UNet:
    """Ours, with the reference's own parameters (not copies of them) and its written config."""
    with torch.device("meta"):
        ours = UNet(UNetConfig.from_dict(dict(reference.config)))
    ours.load_state_dict(reference.state_dict(), strict=True, assign=True)
    return ours.eval()


def run_unets(ours: UNet, reference: UNet2DConditionModel, inputs: dict) -> tuple[Tensor, Tensor]:
    x, t, text, level = inputs["x"], inputs["t"], inputs["text"], inputs.get("level")
    return ours(x, t, text, level), reference(x, t, text, class_labels=level).sample


def unet_difference(ours: UNet, reference: UNet2DConditionModel, inputs: dict) -> str:
    with recorded(ours) as a, recorded(reference) as b:
        run_unets(ours, reference, inputs)
    return str(first_difference(a, b) or "every layer agrees")


# --- T5 ---------------------------------------------------------------------------------------


@torch.no_grad()
def t5s(what: str, dtype: torch.dtype, relative: float, device) -> Check:
    """Prompts of 1 to 77 tokens with their masks, weights as from_pretrained loads that dtype."""
    check = Check(what, stated=5, relative=relative)
    for name, config in T5S.items():
        reference = reloaded(fill(T5EncoderModel(ReferenceT5Config(**config))), dtype)
        ours = twin_t5(reference.to(device))
        inputs = to(device, t5_inputs(config))
        with recorded(ours) as a, recorded(reference) as b:
            mine = ours(inputs["ids"], inputs["mask"])
            theirs = reference(inputs["ids"], attention_mask=inputs["mask"])[0]
        if not check.compare(mine, theirs):
            check.note = f"{name}: {first_difference(a, b) or 'every layer agrees'}"
    return check


def twin_t5(reference: T5EncoderModel) -> T5Encoder:
    written = json.loads(reference.config.to_json_string())
    with torch.device("meta"):
        ours = T5Encoder(T5Config.from_dict(written))
    weights = {key: value for key, value in reference.state_dict().items() if key != TIED}
    ours.load_state_dict(weights, strict=True, assign=True)
    return ours.eval()


def reloaded(model: T5EncoderModel, dtype: torch.dtype) -> T5EncoderModel:
    """Through a file: only from_pretrained keeps wo in fp32 when the rest is fp16."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return T5EncoderModel.from_pretrained(folder, dtype=dtype).eval()


def to(device, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def cast(model: UNet2DConditionModel, dtype: torch.dtype) -> UNet2DConditionModel:
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model
