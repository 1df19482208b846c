"""What the benchmark takes for Part A's work is what Part A does; its parts need what they need."""

import importlib
import json
import sys

import pytest

from minidiff.errors import UserError
from tests import bench
from tests.bench import __main__ as command
from tests.bench.part_a_calls import part_a_calls


def test_part_a_s_calls():
    calls = part_a_calls()
    # 0: 10 and 80 steps of three prompts, guided; 1.3: three pictures; 1.4: 23 steps of one
    assert calls[:114] == [6] * 90 + [3] + [1] * 23
    # 1.5 and 1.6: 33 steps of five, plain and guided
    assert calls[114:180] == [5] * 33 + [10] * 33
    # 1.8: three anagrams, one after the other (their views differ), four questions each; 1.9: three
    # hybrids at once, three questions each
    assert calls[-132:] == [4] * 99 + [9] * 33
    # 1.7, 1.7.1, 1.7.3: three pictures from six levels, guided; 1.7.2: nine pictures, guided
    levels = sum(33 - start for start in (1, 3, 5, 7, 10, 20)) * 3 * 2
    assert sum(calls[180:-132]) == 3 * levels + 33 * 18


PARTS = "cold cpu loading loop norm report text two_gpus unet_step".split()


@pytest.mark.parametrize("part", PARTS)
def test_no_part_needs_a_reference_library_to_be_imported(part, monkeypatch):
    for name in PARTS:
        monkeypatch.delitem(sys.modules, f"tests.bench.{name}", raising=False)
        monkeypatch.delattr(bench, name, raising=False)
    for library in ("diffusers", "transformers"):
        monkeypatch.setitem(sys.modules, library, None)  # importing it raises ImportError
    importlib.import_module(f"tests.bench.{part}")


def test_what_cannot_be_measured_says_so_and_stops_nothing(monkeypatch, tmp_path, capsys):
    def run(part, options):
        if part == "mnist":
            raise UserError("there is no train-images-idx3-ubyte; fetch it")
        return {"ratio": 2.0}

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "missing", lambda: ["diffusers"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    monkeypatch.setattr(
        sys, "argv", ["bench", "mnist", "step", "two", "--out", f"{tmp_path}/o.json"]
    )
    assert command.main() == 2
    said = capsys.readouterr().err
    assert "mnist was not measured: there is no train-images" in said
    assert "step was not measured: it compares with diffusers: pip install '.[parity]'" in said
    assert json.loads((tmp_path / "o.json").read_text()) == {"two": {"ratio": 2.0}}


def test_without_a_gpu_the_parts_that_need_none_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "run", lambda part, options: {"part": part})
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["bench", "norm", "cpu", "--out", f"{tmp_path}/o.json"])
    assert command.main() == 2
    assert "norm was not measured: it needs an NVIDIA GPU" in capsys.readouterr().err
    assert json.loads((tmp_path / "o.json").read_text()) == {"cpu": {"part": "cpu"}}
