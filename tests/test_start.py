"""What a start imports: nothing that most runs do without. Names of modules, never times."""

import json
import random
import string
import subprocess
import sys

import pytest

from minidiff.deepfloyd.captions import clean_caption, without_markup
from minidiff.io.paths import ROOT

# Each takes 0.05 s to over a second, and is imported where it is first of use.
HEAVY = {"torchvision", "matplotlib", "triton", "bs4", "ftfy", "sympy", "torch._dynamo"}
HEAVY |= {"diffusers", "transformers", "accelerate"}
INSTANT = ["import minidiff", "import minidiff.cli; minidiff.cli.make_parser()"]
STARTS = [
    "import minidiff.cli.draw",
    "import minidiff.figures.editions",
    "import minidiff.grade.runner",
    "import minidiff; minidiff.open(device='cpu').drawing(['a cat', 'a dog.'], [0])",
]


def imported(code: str, after: str = "") -> set[str]:
    """The modules that a new process has after `code` and had not after `after`."""
    lines = ["import json, sys", after, "had = set(sys.modules)", code]
    lines += ["print(json.dumps(sorted(set(sys.modules) - had)))"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("code", INSTANT)
def test_what_is_instant_imports_no_library(code):
    new = imported(code)
    assert "minidiff" in new
    assert sorted(new & (HEAVY | {"torch", "numpy", "PIL"})) == []


@pytest.mark.parametrize("code", STARTS)
def test_a_start_imports_nothing_heavy_beyond_torch_s_own(code):
    new = imported(code, after="import torch")
    assert "minidiff" in new
    assert sorted(new & HEAVY) == []


PLAIN = "".join(c for c in string.printable if c.isprintable() and c not in "<&")


def test_what_skips_the_libraries_would_pass_them_unchanged():
    """clean_caption spares plain prompts beautifulsoup4 and ftfy: neither would change them."""
    import ftfy

    draw = random.Random(180)
    for _ in range(2000):
        words = "".join(draw.choices(PLAIN + " " * 20, k=draw.randrange(1, 60))).strip()
        assert without_markup(words) == words, words
        assert ftfy.fix_text(words) == words, words


@pytest.mark.parametrize("caption", ["a <b>cat</b>", "a caf\u00c3\u00a9", "a&lt;b", "one\u2028two"])
def test_what_needs_the_libraries_gets_them(caption, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "minidiff.deepfloyd.captions.without_markup", lambda text: asked.append(text) or text
    )
    clean_caption(caption)
    assert asked
