"""Fetching an official checkpoint: only the files that are needed, whole or not at all.

weights/IF-I-L-v1.0.part/   files on their way; a broken download is continued from here
weights/IF-I-L-v1.0/        files that arrived with the announced checksums, and last of all
                            manifest.json: while it is absent, the folder is not complete
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minidiff.errors import UserError
from minidiff.io import fetch
from minidiff.io.fetch import HubFile
from minidiff.io.files import locked
from minidiff.io.paths import HOME
from minidiff.weights.known import repository
from minidiff.weights.manifest import read_manifest, write_manifest

STEMS = {"unet": "diffusion_pytorch_model", "text_encoder": "model"}
SMALL_PARTS = ["unet", "scheduler", "tokenizer"]
PARTS_2 = ["unet", "scheduler", "image_noising_scheduler"]
SPARE = 100 * 2**20  # bytes that shall stay free on the disk


def pull(
    model: str, text_encoder: bool = False, to: str | None = None, revision: str | None = None
) -> None:
    """Fetch a model of the hub into weights/, and say what to run next.

    model         "IF-I-L" or, to enlarge its pictures, "IF-II-L"; or a repository's full name
    text_encoder  fetch T5 too (11.5 GB in half precision), which prompts of one's own need
    to            the folder, in place of weights/NAME
    revision      a branch, tag or commit of the repository
    """
    repo = repository(model)
    second = "/IF-II-" in repo
    if second and text_encoder:
        raise UserError(
            f"{repo} is a second stage and takes the text encoder of the first: pull that one with"
            " it, `python -m minidiff weights pull IF-I-M --text-encoder`"
        )
    parts = PARTS_2 if second else SMALL_PARTS + ["text_encoder"] * text_encoder
    folder = Path(to).expanduser() if to else HOME / "weights" / repo.split("/")[-1]
    manifest = read_manifest(folder) or {"repo": repo, "files": {}}
    if manifest.get("repo") != repo:
        raise UserError(f"{folder} holds {manifest.get('repo')}: choose another folder with --to")
    have = {name.split("/")[0] for name in manifest["files"]}
    if have >= set(parts):
        print(f"{folder} is complete: nothing to fetch")
    else:
        staging = folder.with_name(folder.name + ".part")
        with only_one(staging):
            fetch_parts(repo, revision or manifest.get("revision"), parts, folder, staging)
    print_next(folder, second or text_encoder or "text_encoder" in have, model)


def fetch_parts(
    repo: str, revision: str | None, parts: list[str], folder: Path, staging: Path
) -> None:
    revision, listed = fetch.hub_files(repo, revision)
    files = choose(repo, listed, parts)
    needed = [file for file in files if not arrived(folder / file.name, file)]
    show_plan(repo, revision, files, needed, staging)
    for file in needed:
        if not arrived(staging / file.name, file):
            part = staging / (file.name + ".part")
            fetch.hub_download(repo, revision, file, part)
            os.replace(part, staging / file.name)
    for file in needed:
        (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / file.name, folder / file.name)
    manifest = read_manifest(folder) or {"files": {}}
    sha256 = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    sha256 |= {f.name: f.sha256 or fetch.sha256_of(folder / f.name) for f in files}
    write_manifest(folder, sha256, {"repo": repo, "revision": revision})


def choose(repo: str, listed: list[HubFile], parts: list[str]) -> list[HubFile]:
    """The configs, and the half-precision safetensors where there are such."""
    chosen = []
    for part in parts:
        files = [file for file in listed if file.name.startswith(part + "/")]
        if part in STEMS:
            files = choose_weights(repo, part, files)
        elif not files:
            raise UserError(f"{repo} has no folder {part}: it is not in the layout of DeepFloyd IF")
        chosen += files
    return chosen


def choose_weights(repo: str, part: str, files: list[HubFile]) -> list[HubFile]:
    config = [file for file in files if file.name == f"{part}/config.json"]
    weights = [f for f in files if f.name.startswith(f"{part}/{STEMS[part]}")]
    weights = [f for f in weights if ".safetensors" in f.name]
    half = [file for file in weights if ".fp16" in file.name]
    if not config or not weights:
        raise UserError(
            f"{repo} has no {part}/config.json with .safetensors files: other formats, which can"
            " run code when opened, are not fetched"
        )
    return config + (half or weights)


def arrived(path: Path, file: HubFile) -> bool:
    return path.is_file() and fetch.is_intact(path, file)


def show_plan(
    repo: str, revision: str, files: list[HubFile], needed: list[HubFile], staging: Path
) -> None:
    """Say what will be fetched and how much room it takes. UserError if there is not enough."""
    print(f"{repo} at revision {revision[:12]}")
    for file in files:
        print(f"  {file.size / 1e6:>10,.1f} MB  {file.name}{'' if file in needed else '  (there)'}")
    begun = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    size = max(0, sum(file.size for file in needed) - begun)
    free = shutil.disk_usage(staging).free
    print(f"  {size / 1e6:>10,.1f} MB  to fetch; {free / 1e6:,.1f} MB are free on the disk")
    if size + SPARE > free:
        raise UserError(
            f"{size / 1e9:.1f} GB are to be fetched and {free / 1e9:.1f} GB are free in"
            f" {staging.parent}: free some space, or choose another disk with --to"
        )


@contextmanager
def only_one(staging: Path) -> Iterator[None]:
    """Two pulls into one folder would write into each other's files. Nothing fetched: no trace."""
    staging.mkdir(parents=True, exist_ok=True)
    with locked(staging / "lock") as alone:
        if not alone:
            raise UserError(f"another pull is filling {staging}: wait until it is done")
        try:
            yield
        finally:
            if not any(path.is_file() and path.name != "lock" for path in staging.rglob("*")):
                shutil.rmtree(staging, ignore_errors=os.name != "posix")  # Windows: it is open


def print_next(folder: Path, text_encoder: bool, model: str) -> None:
    print(f"next:  python -m minidiff weights check {folder}")
    if not text_encoder:
        print(
            "       For prompts of your own the text encoder (11.5 GB) is needed:\n"
            f"       python -m minidiff weights pull {model} --text-encoder\n"
            "       With precomputed embeddings it is not: give them with --embeddings FILE."
        )
