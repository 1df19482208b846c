"""Reading the weights of an official folder: from the file to the device, a tensor at a time.

    unet/config.json
    unet/diffusion_pytorch_model.safetensors            one file, or shards with an index;
    unet/diffusion_pytorch_model.fp16.safetensors       `.fp16` marks the half-precision variant

A module is built without memory (on torch's "meta" device), its keys and shapes are compared with
the files' headers, and only then is each tensor read, converted and put where it belongs: at no
time is there a second copy of the model.
"""

import json
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from minidiff.errors import UserError
from minidiff.io.files import check_is_file

STORED_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}
# Convolutions run faster with the channels innermost, on CPUs and GPUs alike.
LAYOUTS = {4: torch.channels_last}  # of a tensor's number of axes; else as usual
JSON_BYTES = 16 * 2**20  # the largest official index has some 100 kB
SHOWN_KEYS = 5  # of each kind of complaint
CHECK_HINT = "`python -m minidiff weights check {folder}` says what is there and what is missing"


def read_json(path: Path) -> dict:
    """A JSON object from a file. UserError when it is absent, huge, not JSON or not an object."""
    try:
        check_is_file(path)
        if path.stat().st_size > JSON_BYTES:
            raise UserError(f"{path} is larger than {JSON_BYTES} bytes: that is no such JSON file")
        content = json.loads(path.read_bytes())  # a byte order mark says how it is encoded
    except OSError as error:
        hint = CHECK_HINT.format(folder=path.parent.parent)
        raise UserError(f"{path} cannot be read ({error.strerror}); {hint}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}, not a JSON object")
    return content


# --- which files ------------------------------------------------------------------------------


def choose_unet(
    folder: Path, device: torch.device, dtype: torch.dtype | None = None
) -> tuple[list[Path], torch.dtype]:
    """The UNet's files for a device, and the dtype to read them in: the one asked for, else
    float32, but on cuda as they are stored."""
    wide = dtype == torch.float32 or (dtype is None and device.type != "cuda")
    files = find_weights(folder / "unet", "diffusion_pytorch_model", fp16_first=not wide)
    return files, dtype or (torch.float32 if wide else stored_dtype(files[0]))


def find_weights(folder: Path, stem: str, fp16_first: bool) -> list[Path]:
    """The safetensors files of one model: a single file, or the shards that an index names.

    stem        "diffusion_pytorch_model" (UNet) or "model" (T5)
    fp16_first  which variant to take where both are there and whole; a warning tells when the
                other one had to do
    """
    try:
        names = sorted(
            p.name for p in folder.iterdir() if p.name.startswith((stem + ".", stem + "-"))
        )
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror})") from error
    faults = []
    for variant in ("fp16", "") if fp16_first else ("", "fp16"):
        try:
            files = files_of_variant(folder, [n for n in names if variant_of(n, stem) == variant])
        except UserError as error:
            faults.append(error)
            continue
        if files:
            if faults:
                warnings.warn(f"{faults[0]}; until then {', '.join(p.name for p in files)} is used")
            return files
    raise faults[0] if faults else UserError(no_weights_message(folder, stem, names))


def variant_of(name: str, stem: str) -> str:
    """ "fp16" of model.fp16-00001-of-00002.safetensors and of model.safetensors.index.fp16.json;
    "" for full precision."""
    words = re.sub(r"-\d+-of-\d+", "", name.removeprefix(stem)).split(".")
    return ".".join(word for word in words if word not in ("", "safetensors", "index", "json"))


def files_of_variant(folder: Path, names: list[str]) -> list[Path]:
    """The complete set of files among these names, none where there are no weights."""
    indexes = [n for n in names if ".safetensors.index" in n and n.endswith(".json")]
    single = [name for name in names if name.endswith(".safetensors")]
    if indexes:
        files = read_index(folder / indexes[0])
    else:
        check_shards(folder, single) if single else None
        files = [folder / name for name in single]
    for path in files:
        with open_weights(path):
            pass  # its header was read, and the file is as long as that says
    return files


def read_index(path: Path) -> list[Path]:
    """The shards that an index file names; each must lie beside it."""
    where = read_json(path).get("weight_map")
    if not isinstance(where, dict) or not all(isinstance(name, str) for name in where.values()):
        raise UserError(f"{path} has no weight_map of key -> file name: fetch it again")
    names = sorted(set(where.values()))
    outside = [name for name in names if name != Path(name).name or not name]
    if outside or not names:
        raise UserError(f"{path} must name files beside it, not {outside or 'nothing'}")
    absent = [name for name in names if not os.path.isfile(path.parent / name)]
    if absent:
        raise UserError(f"{path} names files that are not there: {', '.join(absent)}; fetch them")
    return [path.parent / name for name in names]


def check_shards(folder: Path, names: list[str]) -> None:
    """Without an index: one file, or all of the n that call themselves '-0000i-of-0000n'."""
    if len(names) == 1 and "-of-" not in names[0]:
        return
    counts = {name.split("-of-")[-1][:5] for name in names}
    if len(counts) > 1 or counts != {f"{len(names):05d}"}:
        raise UserError(
            f"{folder} has {', '.join(names)} and no index file: that is not one complete set;"
            " fetch what is missing, or move what is too much"
        )


def no_weights_message(folder: Path, stem: str, names: list[str]) -> str:
    bins = [p.name for p in folder.glob("*.bin")]
    if bins:
        return (
            f"{folder} holds only pickled weights ({', '.join(sorted(bins))}), which can run code"
            " when opened and are not read here; fetch the same repository's .safetensors files"
        )
    others = [name for name in names if variant_of(name, stem) and name.endswith(".safetensors")]
    if others:
        return (
            f"{folder} has only {', '.join(others)}, and read here are full precision and fp16, not"
            f" 8-bit weights: fetch {stem}.safetensors or {stem}.fp16.safetensors"
        )
    found = f"found {', '.join(names)}" if names else "found none"
    hint = CHECK_HINT.format(folder=folder.parent)
    return f"{folder} has no {stem}[.fp16].safetensors ({found}); {hint}"


# --- one file ---------------------------------------------------------------------------------


def open_weights(path: Path):
    """safetensors' own reader (a context manager), or one clear error if it is no such file."""
    try:
        check_is_file(path)
        with open(path, "rb") as file:
            start = file.read(64)
        if start.startswith(b"version https://git-lfs"):
            raise UserError(
                f"{path} is a git-lfs pointer, not the weights: run `git lfs pull` there, or fetch"
                " the file itself"
            )
        if start.lstrip().startswith(b"<"):
            raise UserError(
                f"{path} is a web page saved in the file's place: fetch the file itself"
            )
        return safe_open(path, framework="pt")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from error
    except SafetensorError as error:
        raise UserError(
            f"{path} is not a whole safetensors file ({error}); fetch it again"
        ) from error


def stored_dtype(path: Path) -> torch.dtype:
    """The dtype of the first tensor of a file."""
    with open_weights(path) as file:
        name = file.get_slice(next(iter(file.keys()))).get_dtype()
    if name not in STORED_DTYPES:
        raise UserError(f"{path} stores {name}; supported are {', '.join(STORED_DTYPES)}")
    return STORED_DTYPES[name]


def attends_to_text_alone(files: list[Path]) -> bool:
    """Whether a UNet's attention has no keys of the pixels' own: it was built so in stage II.

    The files decide. What official configs say here could not be seen, and one that contradicts
    its weights would only be in the way.
    """
    for path in files:
        with open_weights(path) as file:
            if any(key.endswith(".to_k.weight") for key in file.keys()):
                return False
    return True


# --- into a module ----------------------------------------------------------------------------


def build(make: Callable[[], nn.Module]) -> nn.Module:
    """make() without memory for the weights, which come from the file later."""
    with torch.device("meta"), NoRandomNumbers():
        return make()


class NoRandomNumbers(TorchFunctionMode):
    """Skips the filling of new weights. On the meta device there is nothing to fill, but torch
    imports its whole compiler to find that out, which takes longer than reading the demo."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def load_weights(
    module: nn.Module,
    files: list[Path],
    device: torch.device,
    dtype: torch.dtype,
    *,
    aliases: dict[str, str] | None = None,
    fp32: Callable[[str], bool] = lambda key: False,
) -> nn.Module:
    """Fill a module made by `build` and return it in eval mode, its weights frozen.

    aliases  key in the file -> key in the module, for a tensor that goes by two names
    fp32     which keys stay in float32 when dtype is float16
    Raises UserError: keys missing, unexpected, twice, of another shape or type; NaN or infinity.
    """
    check_headers(module, files, aliases)
    fill(module, files, device, dtype, aliases=aliases, fp32=fp32)
    return module.eval()


def fill(
    module: nn.Module,
    files: list[Path],
    device: torch.device,
    dtype: torch.dtype,
    *,
    aliases: dict[str, str] | None = None,
    fp32: Callable[[str], bool] = lambda key: False,
    prefix: str = "",
) -> None:
    """Read the tensors whose keys begin with `prefix`; the headers have been checked before."""
    aliases = aliases or {}
    for path in files:
        extremes: dict[str, tuple[Tensor, Tensor]] = {}
        with open_weights(path) as file:
            for stored in file.keys():
                key = aliases.get(stored, stored)
                if not key.startswith(prefix):
                    continue
                wide = dtype == torch.float16 and fp32(key)
                read = file.get_tensor(stored)  # part of the file's mapping: nothing is copied yet
                tensor = read.to(
                    device=device,
                    dtype=torch.float32 if wide else dtype,
                    memory_format=LAYOUTS.get(read.ndim, torch.preserve_format),
                )
                extremes[stored] = tensor.aminmax()
                put(module, key, tensor)
        check_finite(extremes, dtype, path)


def put(module: nn.Module, key: str, tensor: Tensor) -> None:
    owner, _, name = key.rpartition(".")
    setattr(module.get_submodule(owner), name, nn.Parameter(tensor, requires_grad=False))


def check_finite(
    extremes: dict[str, tuple[Tensor, Tensor]], dtype: torch.dtype, path: Path
) -> None:
    """UserError for a tensor whose smallest or largest value is infinite, or NaN, which both are if
    any value is. Asked once a file: each answer from a GPU waits for all that was sent before."""
    ends = [value for pair in extremes.values() for value in pair]
    if not ends or bool(torch.stack(ends).isfinite().all()):
        return
    key = next(key for key, pair in extremes.items() if not all(x.isfinite() for x in pair))
    raise UserError(
        f"{key} of {path} has NaN or infinite values in {dtype}: the file is damaged"
        " (fetch it again), or its numbers need dtype float32"
    )


def check_headers(
    module: nn.Module, files: list[Path], aliases: dict[str, str] | None = None
) -> None:
    """Compare every key, shape and type of the files with the module; all faults in one UserError.

    Two names for one tensor may both be there: the second one read simply replaces the first.
    """
    aliases = aliases or {}
    wanted = {key: tuple(p.shape) for key, p in module.named_parameters()}
    seen: set[str] = set()
    strange: list[str] = []  # the dtypes that are not read here, one for each tensor
    faults: dict[str, list[str]] = {"missing": [], "unexpected": [], "wrong": []}
    for path in files:
        with open_weights(path) as file:
            for stored in file.keys():
                header = file.get_slice(stored)
                shape, kind = tuple(header.get_shape()), header.get_dtype()
                strange += [kind] if kind not in STORED_DTYPES else []
                expected = wanted.get(aliases.get(stored, stored))
                if expected is None or stored in seen:
                    faults["unexpected"].append(stored + " (again)" * (stored in seen))
                elif shape != expected or kind not in STORED_DTYPES:
                    faults["wrong"].append(f"{stored} is {kind} {shape}, not {expected}")
                seen.add(stored)
    found = {aliases.get(stored, stored) for stored in seen}
    if len(strange) > SHOWN_KEYS:
        raise UserError(
            f"{len(strange)} tensors in {files[0].parent} are {' and '.join(sorted(set(strange)))}"
            " (8-bit weights are not read here), and read here are"
            f" {', '.join(STORED_DTYPES)}: fetch the repository's full or half precision files"
        )
    if added := added_to_keys(seen, wanted):
        raise UserError(
            f"the keys in {files[0].parent} all have {added!r} in them (`module.` comes from"
            " DataParallel, `_orig_mod.` from torch.compile): save the state_dict() of the model"
            f" inside that wrapper, or take {added!r} off the keys"
        )
    faults["missing"] = [key for key in wanted if key not in found]
    if any(faults.values()):
        raise UserError(faults_message(files, faults))


def added_to_keys(seen: set[str], wanted: dict[str, tuple]) -> str:
    """What some wrapper has put into the keys, at their beginning or further in; "" for nothing."""
    longest = max(wanted, key=len)
    before = {key.removesuffix(longest) for key in seen if key.endswith("." + longest)}
    for text in (*sorted(before), "_orig_mod.", "module."):
        fit = [key for key in seen if text in key and key.replace(text, "") in wanted]
        if len(fit) > len(wanted) / 2:
            return text
    return ""


def faults_message(files: list[Path], faults: dict[str, list[str]]) -> str:
    folder = files[0].parent
    parts = []
    for kind, keys in faults.items():
        if keys:
            more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
            parts.append(f"{len(keys)} {kind}: {', '.join(keys[:SHOWN_KEYS])}{more}")
    return (
        f"the weights in {folder} do not fit {folder / 'config.json'}: {'; '.join(parts)}."
        " Both must come from one repository and one revision: fetch them again"
    )
