"""The committed reference outputs are an independent witness, small, and say who made them."""

import ast
from pathlib import Path

import pytest
from reference_files import read_keys, read_reference, read_texts

HERE = Path(__file__).parent
# What tests/make_reference.py is made of.
WITNESS = [
    "make_reference",
    "by_rule",
    "configs",
    "layers",
    "libraries",
    "reference_files",
    "reference_samplers",
    "strings",
]


def imports(path: Path) -> set[str]:
    """Top-level names of all packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("name", WITNESS)
def test_the_witness_does_not_know_minidiff(name):
    assert "minidiff" not in imports(HERE / f"{name}.py")


def test_make_test_needs_no_reference_library():
    allowed = {"make_reference.py", "reference_samplers.py", "libraries.py"}
    for path in sorted(HERE.glob("*.py")):
        if path.name not in allowed:
            assert not imports(path) & {"diffusers", "transformers"}, path.name


def test_files_are_small_and_name_the_versions():
    files = [*(HERE / "reference").iterdir(), *(HERE / "keys").iterdir()]
    assert sum(file.stat().st_size for file in files) < 2_000_000
    told = [
        read_reference(f)[1]["versions"] for f in ("unet", "t5", "schedule", "samplers", "demo")
    ]
    for versions in [*told, read_texts()["versions"]]:
        assert set(versions) == {"torch", "diffusers", "transformers"}


def test_key_lists_are_whole():
    for model, tensors in {
        "if-i-m": 775,
        "if-i-l": 775,
        "if-i-xl": 775,
        "t5-xxl-encoder": 220,
    }.items():
        assert len(read_keys(model)) == tensors
