"""What a path given as a checkpoint is, where it is none: the sentence that helps."""

from pathlib import Path

from minidiff.errors import UserError
from minidiff.weights.known import REPOSITORIES, is_stage_2, unet_config

CONFIG = Path("unet") / "config.json"


def need_checkpoint(folder: Path, stage: int | None = None) -> None:
    """UserError unless `folder` has the official layout's unet/config.json.

    stage: 1 or 2, which of them is wanted here; None: either
    """
    if (folder / CONFIG).is_file():
        return
    if not folder.is_dir():
        raise UserError(no_folder(folder))
    around = [above for above in folder.absolute().parents if (above / CONFIG).is_file()]
    if around:
        raise UserError(f"{folder} is one part of a checkpoint: give {around[0]} instead")
    inner = sorted([*folder.glob(f"*/{CONFIG}"), *folder.glob(f"snapshots/*/{CONFIG}")])
    if inner:
        raise UserError(what_it_holds(folder, [path.parents[1] for path in inner], stage))
    if folder.name.endswith(".part"):
        raise UserError(f"{folder} is a pull that is not done: run the same pull again")
    names = sorted(path.name for path in folder.iterdir())
    if "config.yml" in names or "pytorch_model.bin" in names:
        raise UserError(
            f"{folder} holds the original release's format (config.yml, pytorch_model.bin), which"
            " is not read here; the same repository has the folders unet, scheduler, tokenizer and"
            " text_encoder: fetch those, or use `python -m minidiff weights pull`"
        )
    raise UserError(
        f"{folder} is no checkpoint in the official layout: it has no unet/config.json, but "
        + (", ".join(names[:8]) or "is empty")
    )


def what_it_holds(folder: Path, inner: list[Path], stage: int | None) -> str:
    """Of a folder around checkpoints: those of the wanted stage, for the other would be refused."""
    fitting = [p for p in inner if stage is None or is_stage_2(unet_config(p)) == (stage == 2)]
    listed = " or ".join(map(str, (fitting or inner)[:8]))
    if not fitting:
        wanted, other = ("first", "second") if stage == 1 else ("second", "first")
        return (
            f"{folder} is no checkpoint, and holds no {wanted} stage, which is wanted here, only"
            f" {other} ones ({listed}): give the folder of a {wanted} stage"
        )
    count = "one" if len(fitting) == 1 else str(len(fitting))
    of_stage = {1: " of the first stage", 2: " of the second stage"}.get(stage, "")
    of_stage = of_stage if len(inner) > 1 else ""
    return f"{folder} is no checkpoint, but it holds {count}{of_stage}: give {listed}"


def no_folder(path: Path) -> str:
    """Of a file, the folder above; of a model's name, the command that fetches it."""
    if path.exists():
        around = [above for above in path.absolute().parents if (above / CONFIG).is_file()]
        remedy = f"give {around[0]}" if around else "give the folder of a whole checkpoint"
        return f"{path} is a file, and a checkpoint is a folder: {remedy}"
    for name, repo in REPOSITORIES.items():
        if path.name.upper().removesuffix("-V1.0") == name:
            return (
                f"there is no folder {path}; {repo} is fetched by `python -m minidiff weights pull"
                f" {name}`, into weights/{repo.split('/')[1]}"
            )
    return f"there is no folder {path}: give that of a checkpoint, or none to use the demo"
