"""No module knows of one above it: a reader of any file needs only what stands below.

The layers are listed from the ground up; a module may import its own layer and those under it.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = [
    ["errors"],
    ["io"],
    ["equations", "schedule", "views", "noise", "ode"],
    ["deepfloyd", "mnist", "weights.manifest"],
    ["guidance", "samplers", "fast", "weights"],
    ["sampling"],
    ["model"],
    ["plan"],
    ["course", "studio", "stage2", "flow"],
    ["figures"],
    ["digits", "emoji"],
    [
        "figures.part_a",
        "figures.part_b",
        "figures.part_a_flow",
        "figures.part_b_flow",
        "figures.editions",
        "figures.banner",
    ],
    ["lessons", "grade"],
    ["play"],
    ["cli", "__main__"],
]
MODULES = sorted((ROOT / "minidiff").rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "minidiff").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(module) for module in MODULES}


def layer_of(name: str) -> int:
    """The layer of a module: that of the longest listed name that it is or lies under."""
    found = [
        (len(listed), number)
        for number, layer in enumerate(LAYERS)
        for listed in layer
        if name == listed or name.startswith(listed + ".")
    ]
    assert found, f"minidiff.{name} stands on no layer: give it a place in LAYERS"
    return max(found)[1]


def imported(path: Path) -> set[str]:
    """The modules of the package that a file imports, those inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner.removeprefix("minidiff.") in NAMES else node.module)
    return {n.removeprefix("minidiff.") for n in names if n.startswith("minidiff.")}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_import_runs_upwards(path):
    name = name_of(path)
    if not name:
        return  # `import minidiff` gives a shortcut to model.load
    here = layer_of(name)
    above = sorted(other for other in imported(path) if layer_of(other) > here)
    assert above == [], f"minidiff.{name} imports what stands above it"


REFERENCE = {"diffusers", "transformers", "accelerate"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_reference_library_is_imported(path):
    """Anywhere, inside functions too: what they do is written out here."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not REFERENCE & {name.split(".")[0] for name in names}
