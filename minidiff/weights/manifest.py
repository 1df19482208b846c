"""manifest.json: the size and SHA-256 of every file of a checkpoint, and where it came from.

A pull writes it last, so a folder that has one was complete. `weights check` compares all files
with it; opening a checkpoint compares the small ones, which takes no time.
"""

import hashlib
import json
import os
from pathlib import Path

from minidiff.deepfloyd.checkpoint import read_json
from minidiff.errors import UserError
from minidiff.io.fetch import sha256_of
from minidiff.io.files import save_atomically
from minidiff.io.paths import expanded

NAME = "manifest.json"
TEXTS = (".json", ".txt", ".md")  # which git may check out with other line endings
PARTS = ("image_noising_scheduler", "scheduler", "text_encoder", "tokenizer", "unet")


def seal(folder: str | Path) -> Path:
    """Write the manifest of a checkpoint as it is now; notes and the like do not count."""
    folder = expanded(folder)
    if not (folder / "unet").is_dir():
        raise UserError(f"{folder} is no checkpoint: it has no folder unet")
    paths = sorted(p for part in PARTS for p in (folder / part).rglob("*") if p.is_file())
    changed = [p for p in paths if is_text(p.name) and b"\r\n" in p.read_bytes()]
    for path in changed:  # or the seal would hold in this clone alone
        text = path.read_bytes().replace(b"\r\n", b"\n")
        save_atomically(path, lambda file, text=text: file.write(text))
    return write_manifest(folder, {p.relative_to(folder).as_posix(): sha256_of(p) for p in paths})


def write_manifest(folder: Path, sha256: dict[str, str], origin: dict | None = None) -> Path:
    """sha256: of every file, by its name in the folder. origin: the repository and revision."""
    files = {
        name: {"size": (folder / name).stat().st_size, "sha256": digest}
        for name, digest in sha256.items()
    }
    content = json.dumps({**(origin or {}), "files": files}, indent=2) + "\n"
    return save_atomically(folder / NAME, lambda file: file.write(content.encode()))


def read_manifest(folder: Path) -> dict | None:
    """The manifest, or None where there is none. UserError for one that is damaged."""
    if not (folder / NAME).exists():
        return None
    manifest = read_json(folder / NAME)
    files = manifest.get("files")
    origin = [manifest[key] for key in ("repo", "revision") if key in manifest]
    whole = len(origin) != 1 and all(isinstance(text, str) for text in origin)
    if not (whole and isinstance(files, dict) and all(map(is_entry, files.values()))):
        raise UserError(f"{folder / NAME} is damaged: `weights seal {folder}` writes it anew")
    return manifest


def is_entry(entry) -> bool:
    return (
        isinstance(entry, dict)
        and type(entry.get("size")) is int
        and isinstance(entry.get("sha256"), str)
    )


def is_text(name: str) -> bool:
    return name.endswith(TEXTS)


def in_unix_lines(path: Path) -> tuple[int, str]:
    """(size, SHA-256) of a text file with LF line endings, however they were checked out."""
    content = path.read_bytes().replace(b"\r\n", b"\n")
    return len(content), hashlib.sha256(content).hexdigest()


def differences(folder: Path, manifest: dict, largest: int | None = None) -> list[str]:
    """What is not as the manifest says, one phrase a file.

    largest  files above this number of bytes are compared by size alone
    """
    found = []
    for name, entry in manifest["files"].items():
        path = folder / name
        if not os.path.isfile(path):  # also for names that no file can have
            found.append(f"{name} is missing")
        elif is_text(name) and in_unix_lines(path) == (entry["size"], entry["sha256"]):
            continue  # a clone with CRLF line endings
        elif path.stat().st_size != entry["size"]:
            found.append(f"{name} has {path.stat().st_size} bytes, not {entry['size']}")
        elif largest is not None and entry["size"] > largest:
            continue
        elif sha256_of(path) != entry["sha256"]:
            found.append(f"{name} has changed (SHA-256)")
    return found
