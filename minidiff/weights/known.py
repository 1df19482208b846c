"""The official models, recognised by the widths of their levels; which two belong together."""

from pathlib import Path

from minidiff.deepfloyd.checkpoint import read_json
from minidiff.errors import UserError

NAMES = {
    (192, 384, 576, 768): "IF-I-M",
    (320, 640, 960, 1280): "IF-I-L",
    (704, 1408, 2112, 2816): "IF-I-XL",
    (128, 256, 512, 768, 768): "IF-II-M",
    (160, 320, 640, 960, 1280): "IF-II-L",
}
REPOSITORIES = {name: f"DeepFloyd/{name}-v1.0" for name in NAMES.values()}


def name_of(config: dict) -> str:
    """The model of a unet/config.json, in words."""
    widths = config.get("block_out_channels")
    name = next((name for known, name in NAMES.items() if list(known) == widths), None)
    if name is None:
        kind = f"a stage {'II' if is_stage_2(config) else 'I'} model"
        return f"{kind} of widths {widths}, none of the official ones"
    return f"{name}, stage {'II' if is_stage_2(config) else 'I'}"


def is_stage_2(config: dict) -> bool:
    """Stage II enlarges 64 to 256 pixels: it also sees the small picture, hence 6 channels."""
    return config.get("in_channels") == 6 or config.get("class_embed_type") == "timestep"


def second_folder(first: Path) -> Path:
    """The second stage that lies beside a first one: IF-II-L beside IF-I-L, emoji-256 by emoji-64.

    The name decides, then the width of the text states: IF-I-XL takes IF-II-L, as published.
    UserError where there is none.
    """
    first, fitting = first.resolve(), []
    width = unet_config(first).get("encoder_hid_dim")
    for folder in sorted(first.parent.iterdir()):
        config = unet_config(folder)
        if config and is_stage_2(config) and config.get("encoder_hid_dim") == width:
            fitting.append(folder)
    named = first.name.replace("IF-I-", "IF-II-").replace("-64", "-256")
    official = [folder for folder in fitting if folder.name.startswith("IF-II-")]
    chosen = [folder for folder in fitting if folder.name == named] or official or fitting
    if not chosen:
        raise UserError(
            f"beside {first} there is no second stage that fits it: name its folder with"
            " --weights-2, or fetch one with `python -m minidiff weights pull IF-II-M`"
        )
    return chosen[0]


def has_second(first: Path) -> bool:
    """Whether a second stage that fits lies beside a first one."""
    try:
        return bool(second_folder(first))
    except UserError:
        return False


def unet_config(folder: Path) -> dict:
    """The unet/config.json of a folder; {} where there is none that can be read."""
    try:
        return read_json(folder / "unet" / "config.json")
    except UserError:
        return {}


def repository(model: str) -> str:
    """ "IF-I-L" in full: the hub's name. Anything else is taken as it is."""
    return REPOSITORIES.get(model.removesuffix("-v1.0").upper(), model)
