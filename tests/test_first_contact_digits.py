"""Part B as people call it: files under other names, t and digits of other kinds, wrong models."""

import gzip
import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from minidiff.errors import UserError
from minidiff.mnist import data
from minidiff.mnist.checkpoint import load_model
from minidiff.mnist.ddpm import (
    class_ddpm_forward,
    class_ddpm_sample,
    class_walk,
    ddpm_forward,
    ddpm_sample,
    ddpm_schedule,
    last,
)
from minidiff.mnist.unet import ClassConditionalUNet, TimeConditionalUNet, UnconditionalUNet

SCHEDULE = ddpm_schedule(num_ts=3)


@pytest.fixture(scope="module")
def nets():
    torch.manual_seed(0)
    kinds = (UnconditionalUNet, TimeConditionalUNet, ClassConditionalUNet)
    return [kind(num_hiddens=4).eval() for kind in kinds]


X = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(1))
T = torch.tensor([0.0, 0.5, 1.0])
C = torch.tensor([7, 0, 3])


@torch.no_grad()
@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (T[:, None], T), (T.double(), T), (T.half(), T), (T.numpy(), T), (T.tolist(), T),
        (torch.tensor(0.5), torch.full((3,), 0.5)), (0.5, torch.full((3,), 0.5)),
        (torch.tensor([0.5]), torch.full((3,), 0.5)),
    ],
)  # fmt: skip
def test_t_of_any_kind(nets, given, meant):
    _, time, classed = nets
    assert torch.equal(time(X, given), time(X, meant))
    assert torch.equal(classed(X, C, given), classed(X, C, meant))


@pytest.mark.parametrize(
    "t", [torch.tensor([0, 150, 299]), torch.tensor([1.0, 150.0, 299.0]), 150, torch.tensor(7),
          T - 1, torch.rand(2), "0.5", None, T.bool()],
)  # fmt: skip
def test_t_that_is_not_divided(nets, t):
    for call in (lambda: nets[1](X, t), lambda: nets[2](X, C, t)):
        with pytest.raises(UserError, match=r"\bt\b"):
            call()


ONE_HOT = torch.nn.functional.one_hot(C, 10)
DIGITS = [C.int(), C.to(torch.uint8), C.float(), C.tolist(), C.numpy(), C[:, None],
          ONE_HOT, ONE_HOT.float(), ONE_HOT.bool(), ONE_HOT.numpy()]  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize(
    "given", DIGITS, ids=lambda c: f"{type(c).__name__} {getattr(c, 'dtype', '')}"
)
def test_digits_of_any_kind(nets, given):
    assert torch.equal(nets[2](X, given, T), nets[2](X, C, T))
    drawn = class_ddpm_sample(nets[2], SCHEDULE, given, num_ts=3)
    assert torch.equal(drawn, class_ddpm_sample(nets[2], SCHEDULE, C, num_ts=3))


@pytest.mark.parametrize(
    "c", [C + 5, C - 1, C + 0.5, torch.rand(3, 10), torch.ones(3, 10), "7", None, C.bool(), C[:2]]
)
def test_no_digits(nets, c):
    with pytest.raises(UserError, match="digit"):
        nets[2](X, c, T)


@torch.no_grad()
def test_pictures_of_any_kind(nets):
    expected = nets[1](X, T)
    for given in (X[:, 0], X.numpy(), X.permute(0, 2, 3, 1), X.double()):
        torch.testing.assert_close(nets[1](given, T), expected)
    assert ddpm_forward(nets[1], SCHEDULE, X[:, 0].numpy(), num_ts=3).ndim == 0
    nets[1].eval()


@pytest.mark.parametrize("x", [X * 255, (X * 255).to(torch.uint8), X * float("nan"), X[:, :, :20]])
def test_pictures_that_are_not_0_to_1(nets, x):
    for call in (
        lambda: ddpm_forward(nets[1], SCHEDULE, x, num_ts=3),
        lambda: class_ddpm_forward(nets[2], SCHEDULE, x, C, num_ts=3),
    ):
        with pytest.raises(UserError, match="pictures"):
            call()


@pytest.mark.parametrize("p", [10, -0.1, 1.5, float("nan")])
def test_a_chance_is_0_to_1(nets, p):
    with pytest.raises(UserError, match="p_uncond is a chance from 0 to 1"):
        class_ddpm_forward(nets[2], SCHEDULE, X, C, p, num_ts=3)


def test_the_wrong_model(nets):
    denoiser, time, classed = nets
    for call in (
        lambda: class_ddpm_sample(time, SCHEDULE, C, num_ts=3),
        lambda: class_ddpm_sample(denoiser, SCHEDULE, C, num_ts=3),
        lambda: last(class_walk(time, SCHEDULE, C, [1, 2, 3])),
        lambda: ddpm_sample(classed, SCHEDULE, num_ts=3),
        lambda: ddpm_sample(denoiser, SCHEDULE, num_ts=3),
        lambda: ddpm_forward(classed, SCHEDULE, X, num_ts=3),
        lambda: class_ddpm_forward(time, SCHEDULE, X, C, num_ts=3),
    ):
        with pytest.raises(UserError, match="is it the model that this function is for"):
            call()


def test_a_students_own_file(nets, tmp_path):
    torch.save(nets[1].state_dict(), tmp_path / "mine.pth")
    with pytest.raises(UserError, match="save_model") as caught:
        load_model(tmp_path / "mine.pth")
    assert "restore it from the repository" not in str(caught.value)
    save_file(nets[1].state_dict(), tmp_path / "mine.safetensors")
    with pytest.raises(UserError, match="saved here, with a recipe: load your state dict"):
        load_model(tmp_path / "mine.safetensors")


@torch.no_grad()
def test_training_steps_compile_without_the_checks(nets):
    compiled = torch.compile(lambda x, t: nets[1](x, t), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(X, T), nets[1](X, T))


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        "{name}", "{name}.gz", "{dotted}", "{dotted}.gz", "{name}/{name}", "{dotted}/{dotted}",
        "{name}/{dotted}", "{dotted}/{name}", "{name}.gz/{name}", "MNIST/raw/{dotted}",
        "{name}/{name}.gz",
    ],
)  # fmt: skip
def test_idx_files_as_other_tools_call_them(tmp_path, monkeypatch, place):
    name = "train-labels-idx1-ubyte"
    content = bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 3])
    path = tmp_path / place.format(name=name, dotted="train-labels.idx1-ubyte")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(data.SHA256["mnist"], name, digest)
    assert data.read_idx(name, "mnist", tmp_path).tolist() == [7, 0, 3]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="not mnist's|damaged"):
        data.read_idx(name, "mnist", tmp_path)


def test_a_digit_as_pil_is_refused_or_read(nets):
    digit = Image.fromarray((X[0, 0] * 255).byte().numpy())
    with pytest.raises(UserError, match="pictures"):
        ddpm_forward(nets[1], SCHEDULE, np.asarray(digit), num_ts=3)
