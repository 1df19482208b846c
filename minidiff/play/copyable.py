"""The call that makes the same picture elsewhere: in Python, and on the command line."""

import shlex
from collections.abc import Sequence


def python_call(verb: str, *given, opened: dict | None = None, **words) -> str:
    """`studio.draw("a cat", seeds=[180], ...)`, ready to run; opened: what minidiff.open takes."""
    told = [repr(value) for value in given]
    told += [f"{name}={value!r}" for name, value in words.items() if value not in (None, "")]
    where = ", ".join(f"{name}={value!r}" for name, value in (opened or {}).items())
    lines = ["import minidiff", "", f"studio = minidiff.open({where})"]
    return "\n".join([*lines, f"studio.{verb}({', '.join(told)})", ""])


def command(verb: str, *given: str, **words) -> str:
    """`python -m minidiff sample "a cat" --seeds 180 ...`, ready for a shell."""
    parts = ["python", "-m", "minidiff", verb, *map(str, given)]
    for name, value in words.items():
        if value is None or value == "":
            continue
        option = "--" + name.replace("_", "-")
        if value is True:
            parts.append(option)
            continue
        values = value if isinstance(value, list) else [value]
        # a text that begins with a dash would be taken for an option
        single = len(values) == 1 and str(values[0]).startswith("-")
        parts += [f"{option}={values[0]}"] if single else [option, *map(str, values)]
    return " ".join(map(shlex.quote, parts)) + "\n"


def seed_range(seeds: Sequence[int]) -> str:
    """Seeds that follow one another, as --seeds takes them."""
    first, last = min(seeds), max(seeds)
    return str(first) if first == last else f"{first}-{last}"
