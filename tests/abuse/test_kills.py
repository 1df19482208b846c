"""Killed at random moments: no half-written file, and a rerun ends as if nothing had happened."""

import pytest
import torch
from children import KILLS, assert_whole, contents, finish, kill_sometime
from fake_hub import FakeHub
from mnist_tiny import tiny_trainer
from programs import draw, learn, pull, start
from tiny_checkpoint import write_tiny_checkpoint

import minidiff
from minidiff.cli import main
from minidiff.errors import UserError
from minidiff.mnist import samples, train


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "tiny")


# --- Part A -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("part-a")
    finish(start(draw, tiny, folder))
    return folder


@pytest.mark.parametrize("round", range(KILLS))
def test_part_a(tiny, undisturbed, tmp_path, round):
    for kill in range(3):
        kill_sometime(start(draw, tiny, tmp_path), 3 * round + kill, within=3.0)
        assert_whole(tmp_path)
    finish(start(draw, tiny, tmp_path))
    assert_whole(tmp_path)
    pictures = contents(undisturbed, ".png", ".gif")
    assert pictures
    assert contents(tmp_path, ".png", ".gif") == pictures
    assert contents(tmp_path).keys() == contents(undisturbed).keys()


def test_two_part_as_in_one_folder(tiny, undisturbed, tmp_path):
    finish(start(draw, tiny, tmp_path), start(draw, tiny, tmp_path))
    assert_whole(tmp_path)
    assert contents(tmp_path, ".png", ".gif") == contents(undisturbed, ".png", ".gif")


# --- training ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    samples.SAMPLE_EPOCHS["class"] = ()
    torch.set_num_threads(1)
    trainer = tiny_trainer("class")
    train.train(trainer, tmp_path_factory.mktemp("training"), 6)
    return trainer


@pytest.mark.parametrize("round", range(KILLS))
def test_training(learned, tmp_path, round):
    for kill in range(3):
        kill_sometime(start(learn, tmp_path), 3 * round + kill, within=1.0)
        if (tmp_path / "last.pt").exists():
            assert torch.load(tmp_path / "last.pt", weights_only=True)["epoch"] <= 6
    again = tiny_trainer("class")
    train.train(again, tmp_path, 6)
    ours, theirs = again.model.state_dict(), learned.model.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert again.losses == learned.losses


# --- pulling weights --------------------------------------------------------------------------


@pytest.fixture
def hub(tiny, monkeypatch):
    with FakeHub(contents(tiny), seconds_per_chunk=0.01) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        yield hub


def opens(folder) -> bool:
    try:
        model = minidiff.load(folder, "cpu")
        model.encode(["a cat"])
        return bool(model.unet.conv_in.weight.isfinite().all())
    except UserError:
        return False


@pytest.mark.parametrize("round", range(KILLS))
def test_pulling(hub, tiny, tmp_path, round):
    folder = tmp_path / "IF-I-M"
    needed = {k: v for k, v in contents(tiny).items() if k != "model_index.json"}
    for kill in range(3):
        kill_sometime(start(pull, folder, hub.url, hub.token), 3 * round + kill, within=3.0)
        here = contents(folder)
        complete = all(here.get(name) == content for name, content in needed.items())
        assert complete or not (folder / "manifest.json").exists()
        assert opens(folder) == complete
    assert main(["weights", "pull", "IF-I-M", "--text-encoder", "--to", str(folder)]) == 0
    assert contents(folder).keys() == needed.keys() | {"manifest.json"}
    assert all(contents(folder)[name] == content for name, content in needed.items())
    assert not (tmp_path / "IF-I-M.part").exists()


def test_two_pulls_at_once(hub, tmp_path, capsys):
    hub.seconds_per_chunk = 0.2
    first = start(pull, tmp_path / "x", hub.url, hub.token)
    while not hub.bytes_served("diffusion_pytorch_model"):
        assert first.is_alive()
    assert main(["weights", "pull", "IF-I-M", "--to", str(tmp_path / "x")]) == 2
    assert "another pull is filling" in capsys.readouterr().err
    hub.seconds_per_chunk = 0.0
    finish(first)
