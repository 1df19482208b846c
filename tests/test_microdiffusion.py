"""lessons/microdiffusion.py: all in one file of numpy, and the same numbers as the package."""

import ast
import importlib.util
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from minidiff import equations
from minidiff.digits.classifier import load_classifier
from minidiff.io.paths import ROOT
from minidiff.mnist.checkpoint import load_model
from minidiff.mnist.data import WEIGHTS
from minidiff.mnist.ddpm import class_walk, ddpm_schedule, last
from minidiff.noise import SeededNoise
from minidiff.schedule import cosine_schedule

FILE = ROOT / "lessons" / "microdiffusion.py"


@pytest.fixture(scope="module")
def micro():
    spec = importlib.util.spec_from_file_location("microdiffusion", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def unets(micro):
    path = WEIGHTS / "class.safetensors"
    return micro.UNet(micro.read_safetensors(path)), load_model(path)


def test_it_is_short_and_needs_only_numpy():
    text = FILE.read_text()
    assert len(text.splitlines()) <= 250
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"numpy"}


def test_schedules_and_equations_are_the_packages(micro):
    np.testing.assert_allclose(micro.linear_abars(), ddpm_schedule()["alpha_bars"], rtol=1e-5)
    np.testing.assert_allclose(micro.cosine_abars(1000), cosine_schedule().abars, rtol=1e-9)
    x, y = np.random.default_rng(0).normal(size=(2, 4, 1, 5, 5))
    ours = micro.posterior_mean(x, y, 0.3, 0.6), micro.x0_from_eps(x, y, 0.3)
    as_tensors = [torch.from_numpy(a) for a in (x, y)]
    theirs = (
        equations.posterior_mean(*as_tensors, torch.tensor(0.3).double(), torch.tensor(0.6)),
        equations.x0_from_eps(*as_tensors, torch.tensor(0.3).double()),
    )
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_gradient_is_the_slope_of_the_loss(micro):
    rng = np.random.default_rng(0)
    net = micro.PointNet(30, 8, rng)
    x, eps, t = rng.normal(size=(16, 2)), rng.normal(size=(16, 2)), rng.integers(30, size=16)
    _, grads = net.loss_and_gradient(x, t, eps)
    parameters = [p for pair in zip(net.weights, net.biases) for p in pair]
    for p, g in zip(parameters, grads):
        place = tuple(rng.integers(n) for n in p.shape)
        losses = []
        for shift in (1e-5, -2e-5):
            p[place] += shift
            losses.append(net.loss_and_gradient(x, t, eps)[0])
        p[place] += 1e-5
        assert g[place] == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-4, abs=1e-9)


def test_the_unet_answers_as_the_package_does(micro, unets):
    ours, theirs = unets
    x = SeededNoise([1, 2], (1, 28, 28)).draw()
    c, mask = torch.tensor([3, 8]), torch.tensor([1.0, 0.0])
    t = torch.tensor([0.1, 0.9])
    told = np.eye(10, dtype=np.float32)[c] * mask.numpy()[:, None]
    with torch.no_grad():
        expected = theirs(x, c, t, mask)
    np.testing.assert_allclose(ours(x.numpy(), told, t.numpy()[:, None]), expected, atol=1e-4)


def drawn_by_both(micro, unets, steps):
    ours, theirs = unets
    noise = SeededNoise([180, 181], (1, 28, 28))
    schedule = ddpm_schedule(num_ts=steps)
    labels = [7, 2]
    digits = micro.draw_digits(
        ours, labels, lambda: noise.draw().numpy(), micro.linear_abars(steps), 5.0
    )
    return digits, last(class_walk(theirs, schedule, torch.tensor(labels), [180, 181], 5.0))


def test_a_short_walk_ends_where_the_packages_does(micro, unets):
    ours, theirs = drawn_by_both(micro, unets, 8)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.slow
def test_a_digit_is_the_packages_digit(micro, unets):
    ours, theirs = drawn_by_both(micro, unets, 300)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    judge = load_classifier()
    assert judge(torch.from_numpy(ours).float().clamp(0, 1)).argmax(1).tolist() == [7, 2]


@pytest.mark.slow
def test_points_learn_the_spiral(micro):
    rng = np.random.default_rng(0)
    data, abars = micro.spiral(5000, rng), micro.cosine_abars()
    net = micro.PointNet(len(abars), 128, rng)
    before = micro.walk(net, abars, lambda: rng.normal(size=(500, 2)))
    micro.train(net, data, abars, rng, steps=1500)
    after = micro.walk(net, abars, lambda: rng.normal(size=(500, 2)))
    real = micro.spiral(500, rng)
    assert micro.energy_distance(after, real) < 0.02 < micro.energy_distance(before, real)


def test_it_writes_a_picture_that_others_can_open(micro, tmp_path):
    levels = np.arange(6 * 5, dtype=np.uint8).reshape(6, 5)
    micro.save_png(levels, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), levels)
