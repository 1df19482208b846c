"""What a stranger copies from a page works: Python blocks run, commands are understood."""

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from tiny_checkpoint import write_json, write_tiny_checkpoint

from minidiff import studio
from minidiff.cli import make_parser
from minidiff.io.paths import ROOT

PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("weights/**/README.md")),
    *sorted(ROOT.glob("lessons/*.md")),
]
RULES = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
VARIABLES = set(
    re.findall(r"(?:opt|flag|given),([A-Z]+)|or \$\(([A-Z]+)\)", (ROOT / "Makefile").read_text())
)
WORDS = {word for pair in VARIABLES for word in pair if word} | {"PY", "COMPARE"}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def commands(start: str) -> list[tuple[str, str]]:
    """(page, line) of every line in an unnamed block of the pages that begins so."""
    return [
        (page.name, line)
        for page in PAGES
        for block in blocks(page, "(?:sh|bash|console)?")
        for line in block.splitlines()
        if line.startswith(start)
    ]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with the pictures that the examples name, and a small model to open."""
    monkeypatch.chdir(tmp_path)
    folder = write_tiny_checkpoint(tmp_path / "tiny")
    write_json(folder / "sampling.json", {"sampler": "ddim", "steps": 2})
    monkeypatch.setenv("MINIDIFF_WEIGHTS", str(folder))
    Image.effect_noise((80, 70), 60).convert("RGB").save("me.jpg")
    mask = Image.new("L", (80, 70))
    mask.paste(255, (30, 20, 60, 50))
    mask.save("mask.png")
    return tmp_path


@pytest.mark.parametrize("code", blocks(ROOT / "README.md", "python"))
def test_the_readme_s_python_runs(code, desk):
    exec(compile(code, "README.md", "exec"), {})
    assert (desk / "cat.png").exists()


def test_the_studio_s_own_example_runs(desk):
    example = studio.__doc__.split("pictures: a loaded model at work.\n\n")[1].split("\n\n")[0]
    lines = [line.removeprefix("    ") for line in example.splitlines()]
    assert sum("studio." in line for line in lines) >= 6
    exec(compile("\n".join(lines), "studio.py", "exec"), {})


@pytest.mark.parametrize(("page", "line"), commands("python -m minidiff "))
def test_a_command_is_understood(page, line):
    words = shlex.split(line, comments=True)[3:]
    assert make_parser().parse_args(words).verb


@pytest.mark.parametrize(("page", "line"), commands("make "))
def test_a_target_and_its_variables_exist(page, line):
    target, *given = shlex.split(line, comments=True)[1:]
    assert target in RULES
    assert {word.split("=")[0] for word in given if "=" in word} <= WORDS
