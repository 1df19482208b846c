"""Reading tests/reference/ and tests/keys/."""

import gzip
import hashlib
import json
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

HERE = Path(__file__).parent
DEMO = HERE.parent / "weights" / "emoji-64"


def read_reference(file: str) -> tuple[dict[str, Tensor], dict]:
    """The tensors of tests/reference/{file}.safetensors, and its metadata decoded."""
    with safe_open(HERE / "reference" / f"{file}.safetensors", "pt") as content:
        tensors = {key: content.get_tensor(key) for key in content.keys()}
        return tensors, {key: json.loads(value) for key, value in content.metadata().items()}


def read_layers(file: str, name: str) -> dict[str, Tensor]:
    """Fingerprints of the layers of one shape: layer -> (SAMPLES,), in the order they ran."""
    tensors, metadata = read_reference(file)
    return dict(zip(metadata["layers"][name], tensors[f"{name}/layers"]))


def read_texts() -> dict:
    """ "ids": [string, ids] pairs; "captions": [string, cleaned once] pairs; "versions"."""
    return json.loads((HERE / "reference" / "text.json").read_text(encoding="utf-8"))


def read_keys(model: str) -> dict[str, tuple[int, ...]]:
    """Official state-dict keys and shapes: "if-i-m", "if-i-l", "if-i-xl", "t5-xxl-encoder"."""
    packed = (HERE / "keys" / f"{model}.json.gz").read_bytes()
    return {key: tuple(shape) for key, shape in json.loads(gzip.decompress(packed)).items()}


def demo_weights() -> dict[str, str]:
    """SHA-256 of the demo's weight files: what demo.safetensors was made with."""
    files = sorted(DEMO.glob("*/*.safetensors"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
