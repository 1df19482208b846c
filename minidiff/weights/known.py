"""The official models, recognised by the widths of their levels."""

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


def repository(model: str) -> str:
    """ "IF-I-L" in full: the hub's name. Anything else is taken as it is."""
    return REPOSITORIES.get(model.removesuffix("-v1.0").upper(), model)
