"""What a path given as a checkpoint is, where it is none: the sentence that helps."""

from pathlib import Path

from minidiff.errors import UserError
from minidiff.weights.known import REPOSITORIES

CONFIG = Path("unet") / "config.json"


def need_checkpoint(folder: Path) -> None:
    """UserError unless `folder` has the official layout's unet/config.json."""
    if (folder / CONFIG).is_file():
        return
    if not folder.is_dir():
        raise UserError(no_folder(folder))
    around = [above for above in folder.absolute().parents if (above / CONFIG).is_file()]
    if around:
        raise UserError(f"{folder} is one part of a checkpoint: give {around[0]} instead")
    inner = sorted([*folder.glob(f"*/{CONFIG}"), *folder.glob(f"snapshots/*/{CONFIG}")])
    if inner:
        raise UserError(f"{folder} is no checkpoint, but it holds one: give {inner[0].parents[1]}")
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
