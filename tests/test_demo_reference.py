"""The demo checkpoint draws with this code what it draws with the official pipeline."""

import pytest
import torch
from layers import relative_error
from reference_files import demo_weights, read_reference

from minidiff import load
from minidiff.guidance import CFG
from minidiff.io.paths import DEMO
from minidiff.noise import SeededNoise
from minidiff.sampling import denoise, last
from minidiff.schedule import pipeline_pairs

REFERENCE, TOLD = read_reference("demo")


@pytest.fixture(scope="module")
def model():
    return load(DEMO, "cpu", torch.float32)


def test_reference_was_made_with_the_weights_that_are_here():
    assert TOLD["weights"] == demo_weights(), "the demo's weights changed: run `make refresh`"


def test_text_states_are_the_reference_s(model):
    assert relative_error(model.encode(TOLD["prompts"]), REFERENCE["states"]) < 1e-5
    assert relative_error(model.encode([""]), REFERENCE["empty"]) < 1e-5


def test_pictures_are_the_reference_s(model):
    """Spacing and clipping as its scheduler_config.json says, CFG 7: every pixel within 2/255."""
    with torch.no_grad():
        cond = model.unet.prepare(model.encode([*TOLD["prompts"], ""]))
    noise = SeededNoise(TOLD["seeds"])
    steps = denoise(
        model.unet,
        model.schedule,
        noise.draw(),
        pipeline_pairs(model.scheduler.timesteps(TOLD["steps"])),
        CFG(cond.take([0]), cond.take([1]), 7.0),
        noise,
        threshold=model.scheduler.limit,
    )
    ours, reference = (x.clamp(-1, 1) for x in (last(steps), REFERENCE["pictures"]))
    assert float((ours - reference).abs().max()) / 2 <= 2 / 255
