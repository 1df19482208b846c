"""The recipes, the loop, and that an interrupted run ends like an uninterrupted one."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mnist_tiny import CHILD, tiny_recipe, tiny_trainer

from minidiff.digits import samples, train
from minidiff.digits import trainer as trainer_module
from minidiff.digits.trainer import Trainer
from minidiff.errors import UserError
from minidiff.mnist.checkpoint import RECIPES, load_model
from minidiff.mnist.data import shipped_digits

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def no_samples(monkeypatch):
    """Training draws no sample sheets: 300 steps each would take most of the time here."""
    monkeypatch.setattr(samples, "SAMPLE_EPOCHS", dict.fromkeys(RECIPES, ()))


def test_recipes_are_the_courses():
    denoiser, timed, classed = RECIPES["denoiser"], RECIPES["time"], RECIPES["class"]
    assert (denoiser.batch, denoiser.epochs, denoiser.lr, denoiser.sigma) == (256, 5, 1e-4, 0.5)
    assert (denoiser.num_hiddens, denoiser.lr_decay) == (128, 1.0)
    for recipe in (timed, classed):
        assert (recipe.num_hiddens, recipe.batch, recipe.epochs, recipe.lr) == (64, 128, 20, 1e-3)
        assert recipe.lr_decay**20 == pytest.approx(0.1)
    assert classed.p_uncond == 0.1


def test_an_epoch_sees_every_picture_once_and_decays_the_rate_once():
    trainer = tiny_trainer("time")
    seen = []
    step = trainer.run_step
    trainer.run_step = lambda rows: (seen.append(rows), step(rows))[1]
    trainer.run_epoch(lambda _: None)
    assert [len(rows) for rows in seen] == [40, 40, 20]
    assert torch.cat(seen).sort().values.tolist() == list(range(100))
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 * 0.1 ** (1 / 20))
    assert len(trainer.losses) == 3 and trainer.epoch == 1
    first = seen[0]
    trainer.run_epoch(lambda _: None)
    assert not torch.equal(first, seen[3])  # another order


def test_first_losses_are_those_of_an_untrained_model():
    """About 1 for a model that estimates noise of variance 1, and batches are not all alike."""
    trainer = tiny_trainer("class")
    losses = [trainer.step(torch.arange(30) + 30 * i).item() for i in range(3)]
    assert 0.9 < losses[0] < 1.6
    assert len(set(losses)) == 3


@pytest.mark.parametrize("name", RECIPES)
def test_training_lowers_the_loss(name):
    trainer = tiny_trainer(name, batch=20, num_hiddens=8, lr=2e-3)
    means = [trainer.run_epoch(lambda _: None) for _ in range(6)]
    assert means[-1] < 0.8 * means[0]


@pytest.mark.parametrize("name", RECIPES)
def test_resumed_run_ends_with_the_same_bits(name, tmp_path):
    whole = tiny_trainer(name)
    train.train(whole, tmp_path / "whole" / "run", 3)
    train.train(tiny_trainer(name), tmp_path / "parts" / "run", 1)
    resumed = tiny_trainer(name)
    train.train(resumed, tmp_path / "parts" / "run", 3)
    assert_same_state(resumed.model.state_dict(), whole.model.state_dict())
    assert resumed.losses == whole.losses


class Killed(Exception):
    pass


@pytest.mark.parametrize("name", ["time", "flow-class"])
def test_run_killed_within_an_epoch_goes_on_from_its_last_checkpoint(name, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "SAVE_EVERY", 2)
    whole, killed, resumed = (tiny_trainer(name, batch=10) for _ in range(3))
    train.train(whole, tmp_path / "whole" / "run", 2)
    step, calls = killed.run_step, []

    def run_step(rows):
        calls.append(rows)
        if len(calls) > 15:  # in the second epoch, after the checkpoint of step 14
            raise Killed
        return step(rows)

    killed.run_step = run_step
    with pytest.raises(Killed):
        train.train(killed, tmp_path / "killed" / "run", 2)
    train.resume(resumed, tmp_path / "killed" / "run")
    assert len(resumed.losses) == 14
    train.train(resumed, tmp_path / "killed" / "run", 2)
    assert_same_state(resumed.model.state_dict(), whole.model.state_dict())
    assert resumed.losses == whole.losses and resumed.tenths == whole.tenths


def test_flow_recipe_is_the_courses():
    for name in ("flow-time", "flow-class"):
        recipe = RECIPES[name]
        assert (recipe.num_hiddens, recipe.batch, recipe.epochs, recipe.lr) == (64, 64, 10, 1e-2)
        assert recipe.lr_decay**10 == pytest.approx(0.1) and recipe.p_uncond == 0.1
    constant, noise = RECIPES["flow-class-constant"], RECIPES["pure-noise"]
    assert constant.lr_decay == 1 and constant.kind == "flow-class" and constant.epochs == 10
    assert (noise.num_hiddens, noise.batch, noise.epochs, noise.lr) == (128, 256, 5, 1e-4)


def test_short_flow_run_makes_the_whole_decay(tmp_path):
    """Two epochs in place of ten: ten stages of two steps each, an epoch being ten steps here."""
    recipe = replace(tiny_recipe("flow-time", batch=10), epochs=10)
    trainer = Trainer(recipe, shipped_digits()[:100], 180, "cpu", "plain", epochs=2)
    assert trainer.per_epoch == 10 and trainer.stage_steps == 2
    train.train(trainer, tmp_path / "run", train.stages_of(recipe, 2))
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)
    log = json.loads((tmp_path / "flow-time-log.json").read_text())
    assert log["epochs"] == 2 and len(log["losses"]) == 20
    with pytest.raises(UserError, match="whole epochs"):
        train.stages_of(RECIPES["time"], 1.5)


def test_loss_is_noted_per_tenth_of_t():
    trainer = tiny_trainer("flow-time")
    trainer.run_epoch(lambda _: None)
    (tenths,) = trainer.tenths
    assert len(tenths) == 10 and all(0.3 < loss < 5 for loss in tenths)
    assert sum(tenths) / 10 == pytest.approx(sum(trainer.losses) / 3, rel=0.3)
    denoiser = tiny_trainer("denoiser")
    denoiser.run_epoch(lambda _: None)
    assert denoiser.tenths == []  # it knows no time


def assert_same_state(state: dict, other: dict) -> None:
    assert state.keys() == other.keys()
    assert all(torch.equal(state[key], other[key]) for key in state)


def test_killed_run_ends_with_the_same_bits(tmp_path):
    """kill -9 at some moment inside the run, then the same command again.

    All runs are processes of their own: bits are promised for the same state of the process.
    """
    assert train_in_child(tmp_path / "whole").wait() == 0
    child = train_in_child(tmp_path / "killed")
    checkpoint = tmp_path / "killed" / "run" / "last.pt"
    while not checkpoint.exists() and child.poll() is None:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert 0 < torch.load(checkpoint, weights_only=True)["epoch"] < 6
    assert train_in_child(tmp_path / "killed").wait() == 0
    whole, killed = (
        torch.load(tmp_path / name / "run" / "last.pt", weights_only=True)
        for name in ("whole", "killed")
    )
    assert_same_state(killed["model"], whole["model"])
    assert killed["losses"] == whole["losses"] and killed["epoch"] == 6


def train_in_child(folder: Path) -> subprocess.Popen:
    """Six short epochs of the class model in a process of its own."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder / "run")],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_another_run_in_the_folder_is_refused(tmp_path):
    train.train(tiny_trainer("time"), tmp_path / "run", 1)
    other = Trainer(tiny_recipe("time"), shipped_digits()[:100], 181, "cpu", "plain")
    with pytest.raises(UserError, match="other settings.*'seed': 180"):
        train.train(other, tmp_path / "run", 2)


def test_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "last.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"last\.pt"):
        train.resume(tiny_trainer("time"), tmp_path)


def test_results_can_be_loaded_and_are_half_the_size(tmp_path):
    trainer = tiny_trainer("class", num_hiddens=16)
    train.train(trainer, tmp_path / "run", 1)
    model = load_model(tmp_path / "class.safetensors")
    x, c, t = torch.rand(3, 1, 28, 28), torch.arange(3), torch.rand(3)
    torch.testing.assert_close(model(x, c, t), trainer.model.eval()(x, c, t), rtol=0.02, atol=0.002)
    assert (tmp_path / "class.safetensors").stat().st_size < 2.5 * sum(
        p.numel() for p in model.parameters()
    )
    names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["class-log.json", "class.safetensors", "last.pt"]


@pytest.mark.parametrize(
    "wrong", [{"models": ["flow"]}, {"mode": "quick"}, {"epochs": 0}, {"mode": "fast"}]
)
def test_wrong_arguments_are_refused(wrong, tmp_path):
    with pytest.raises(UserError):
        train.main(out=tmp_path, device="cpu", **wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "capability, compiler, reason",
    [((8, 0), "/usr/bin/gcc", None), ((7, 5), "/usr/bin/gcc", "bfloat16"), ((9, 0), None, "gcc")],
)
def test_fast_mode_is_chosen_where_it_runs(capability, compiler, reason, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    monkeypatch.setattr(train.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(train.shutil, "which", lambda name: compiler)
    mode = train.choose_mode(None, "cuda:0")
    assert mode == ("plain" if reason else "fast")
    assert (reason or "") in capsys.readouterr().out
    if reason:
        with pytest.raises(UserError, match=reason):
            train.choose_mode("fast", "cuda:0")
    assert train.choose_mode("deterministic", "cuda:0") == "deterministic"


# --- on a GPU ---------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize("name", RECIPES)
def test_graphs_and_bf16_train_as_well_as_the_plain_loop(name):
    recipe = replace(tiny_recipe(name), num_hiddens=32, batch=64, lr=1e-3)
    losses = {}
    for mode in ("plain", "fast"):
        trainer = Trainer(recipe, shipped_digits(), 180, "cuda", mode)
        losses[mode] = [trainer.run_epoch(lambda _: None) for _ in range(12)]
    assert losses["fast"][0] == pytest.approx(losses["plain"][0], rel=0.02)
    assert losses["fast"][-1] == pytest.approx(losses["plain"][-1], rel=0.1)


@pytest.mark.gpu
def test_fast_run_resumes_within_tolerance(tmp_path):
    recipe = replace(tiny_recipe("class"), num_hiddens=32)
    whole, first, second = (
        Trainer(recipe, shipped_digits(), 180, "cuda", "fast") for _ in range(3)
    )
    train.train(whole, tmp_path / "whole" / "run", 10)
    train.train(first, tmp_path / "parts" / "run", 5)
    train.train(second, tmp_path / "parts" / "run", 10)
    assert second.losses == pytest.approx(whole.losses, rel=0.1)


@pytest.mark.gpu
def test_deterministic_run_resumes_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    recipe = replace(tiny_recipe("class"), num_hiddens=32)
    train.configure("cuda", "deterministic")
    try:
        whole, first, second = (
            Trainer(recipe, shipped_digits(), 180, "cuda", "deterministic") for _ in range(3)
        )
        train.train(whole, tmp_path / "whole" / "run", 4)
        train.train(first, tmp_path / "parts" / "run", 2)
        train.train(second, tmp_path / "parts" / "run", 4)
    finally:
        train.configure("cuda", "plain")
    assert_same_state(second.model.state_dict(), whole.model.state_dict())
    assert second.losses == whole.losses


@pytest.fixture(autouse=True)
def no_gpu_no_gpu_tests(request):
    if request.node.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
