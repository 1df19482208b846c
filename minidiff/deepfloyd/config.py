"""Reading an official config.json into a dataclass, strictly: nothing wrong is passed over."""

import warnings
from dataclasses import fields

from minidiff.errors import UserError


def read_fields(cls, raw: dict, fixed: dict, ignored: set[str], file: str = "config.json") -> dict:
    """The entries of `raw` that are fields of the dataclass `cls`.

    fixed    official fields this code supports one value of: any other value is an error
    ignored  official fields that do not change a forward pass
    file     the name that messages give it
    Keys that nobody knows are named in a warning.
    """
    for key, only in fixed.items():
        if key in raw and raw[key] != only:
            raise UserError(f"{file}: {key} is {raw[key]!r}; this code supports only {only!r}")
    names = {field.name for field in fields(cls)}
    unknown = [k for k in raw if k not in names | fixed.keys() | ignored and not k.startswith("_")]
    if unknown:
        warnings.warn(f"{file}: unknown keys are not used: {', '.join(sorted(unknown))}")
    return {key: value for key, value in raw.items() if key in names and value is not None}
