"""Text states made beforehand, so that no text encoder is needed: the course's own way.

Two kinds of file hold prompt -> (77, d) states:

    .safetensors    what `python -m minidiff encode` writes: the prompts are the keys
    .pth, .pt       the course's prompt_embeds_dict.pth: a pickled dict of (1, 77, 4096) tensors,
                    opened so that nothing in it can run
"""

import difflib
import pickle
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from minidiff.deepfloyd.captions import check_unicode
from minidiff.deepfloyd.checkpoint import open_weights
from minidiff.errors import UserError
from minidiff.io.files import check_is_file, save_atomically
from minidiff.io.paths import expanded

LENGTH = 77
Embeddings = dict[str, Tensor]  # prompt -> (77, d)
PICTURE = rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|BM|II\*\0|MM\0\*|....ftyp"
OF_TORCH = (b"PK\x03\x04", b"l\xfc\x9cF\xf9 j\xa8P\x19")  # torch.save's archives, new and old
WANTED = (
    "what `python -m minidiff encode` writes is wanted, or the course's prompt_embeds_dict.pth, a"
    " torch.save of a dict of tensors"
)
SAVE = (
    "save plain tensors, torch.save({prompt: torch.as_tensor(x) for prompt, x in embeds.items()},"
    " path)"
)


@dataclass
class PrecomputedText:
    """Stands in for deepfloyd/text.py's TextEncoder: prompts -> (B, 77, d), from a file."""

    path: Path
    embeddings: Embeddings
    device: torch.device
    dtype: torch.dtype

    def free(self) -> None:
        """There is no encoder to let go."""

    def check(self, prompts: list[str]) -> None:
        """UserError for a prompt that the file does not have, naming those that are like it."""
        for prompt in prompts:
            if prompt not in self.embeddings:
                known = list(self.embeddings)
                if not prompt:
                    raise UserError(
                        f"{self.path} has no embedding of '', the empty prompt, which guidance"
                        " compares with: add one (`python -m minidiff encode` does), give a"
                        " --negative prompt of the file, or use --guidance 1"
                    )
                near = difflib.get_close_matches(prompt, known, n=3, cutoff=0.3) or known[:8]
                raise UserError(
                    f"{self.path} has no embedding of {prompt!r}; like it are"
                    f" {', '.join(map(repr, near))} ({len(known)} prompts in all)"
                )

    def __call__(self, prompts: list[str]) -> Tensor:
        if isinstance(prompts, str) or not prompts:
            raise UserError(f"prompts must be a non-empty list of texts, not {prompts!r}")
        self.check(prompts)
        states = torch.stack([self.embeddings[prompt] for prompt in prompts])
        return states.to(self.device, self.dtype)


def read_embeddings(path: str | Path) -> Embeddings:
    """The prompts and states of a file of either kind, checked. UserError for anything else."""
    path = expanded(path)
    found = read_pickle(path) if is_pickle(path) else read_safetensors(path)
    if not found:
        raise UserError(f"{path} holds no embeddings")
    embeddings = {prompt: check_states(path, prompt, x) for prompt, x in found.items()}
    widths = {x.shape[1] for x in embeddings.values()}
    if len(widths) > 1:
        raise UserError(f"{path} mixes embeddings of widths {sorted(widths)}: of different models")
    return embeddings


def is_pickle(path: Path) -> bool:
    """Whether a file is torch's or Python's, by its first bytes: names tell nothing."""
    try:
        check_is_file(path)
        start = start_of(path)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}: check the name") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}); {WANTED}") from error
    header = start[8:9] == b"{"  # safetensors: the header's length in 8 bytes, then JSON
    if header or start.startswith((b"version https://git-lfs", b"<")):
        return False  # open_weights has a sentence for these
    if not start or re.match(PICTURE, start, re.DOTALL):
        raise UserError(f"{path} is {'a picture' if start else 'an empty file'}: {WANTED}")
    named = path.suffix.lower() in (".pth", ".pt", ".pkl")  # the oldest pickles begin as any text
    if not named and not start.startswith((b"PK\x03\x04", b"\x80")) and no_length(start):
        raise UserError(f"{path} is no file of text states: {WANTED}")
    return named or start.startswith((b"PK\x03\x04", b"\x80"))


def start_of(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(64)


def no_length(start: bytes) -> bool:
    """Whether these are not the 8 bytes of a header's length, though the rest may be cut off."""
    return len(start) >= 8 and int.from_bytes(start[:8], "little") > 100_000_000


def read_safetensors(path: Path) -> dict[str, Tensor]:
    with open_weights(path) as file:
        # the copies do not lean on the file, which may be replaced meanwhile
        return {key: file.get_tensor(key).clone() for key in file.keys()}


def read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        # opened here: by its name, torch would choose another reader
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # "please file an issue"
            found = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged archive, or what is none, fails in any way
        raise UserError(why_not_opened(path, error)) from error
    if not isinstance(found, dict):
        raise UserError(f"{path} holds a {type(found).__name__}, not a dict of prompt -> tensor")
    return found


def why_not_opened(path: Path, error: Exception) -> str:
    """The sentence for a pickle with more than tensors, not of torch.save, or cut short."""
    start = start_of(path)
    safety = "and was not opened, for such a file can run code"
    if named := re.search(r"GLOBAL (\S+)", str(error)):
        return f"{path} holds {named[1]}, more than tensors, {safety}: {SAVE}"
    ours = any(sign in start for sign in OF_TORCH)
    if ours and isinstance(error, pickle.UnpicklingError):
        return f"{path} holds more than tensors, or is damaged, {safety}: {SAVE}"
    if ours:
        return f"{path} is not a whole .pth file ({type(error).__name__}): fetch or save it again"
    if start.startswith(b"\x80"):
        return f"{path} is a pickle, but none that torch.save has made, {safety}: {SAVE}"
    return f"{path} is no file that torch.save has made, {safety}: {SAVE}"


def check_states(path: Path, prompt: object, states: object) -> Tensor:
    """(1, 77, d) or (77, d) numbers of one prompt, as (77, d)."""
    if not isinstance(prompt, str) or not isinstance(states, Tensor):
        raise UserError(f"{path} holds {prompt!r}, which is not a prompt with its tensor")
    check_unicode(prompt)
    shape = tuple(states.shape)
    if states.ndim == 3 and shape[0] == 1:
        states = states[0]
    plain = states.layout is torch.strided and states.device.type == "cpu"
    right = states.ndim == 2 and states.shape[0] == LENGTH and states.shape[1] > 0
    if not (plain and right and states.is_floating_point()):
        raise UserError(
            f"{path}: {prompt!r} has {states.dtype} of shape {shape}, not plain numbers of shape"
            f" (1, {LENGTH}, width)"
        )
    if not bool(states.isfinite().all()):
        raise UserError(f"{path}: {prompt!r} has NaN or infinite values: make it again")
    return states.clone()


def save_embeddings(embeddings: Embeddings, path: str | Path) -> Path:
    """Write a .safetensors file whose keys are the prompts."""
    if "__metadata__" in embeddings:
        raise UserError("'__metadata__' cannot be a prompt: the file format keeps that name")
    content = save({prompt: states.cpu().contiguous() for prompt, states in embeddings.items()})
    return save_atomically(path, lambda file: file.write(content))
