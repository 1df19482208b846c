"""Interrupted, or out of disk: no half-written file, and a rerun ends as if nothing had happened.

Three programs are disturbed in the same ways: Part A, a training, a pull of weights.
"""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from children import KILLS, assert_whole, contents, finish, kill_sometime, seconds_of
from fake_hub import FakeHub
from programs import draw, learn, pull, start
from tiny_checkpoint import write_tiny_checkpoint

import minidiff
from minidiff.cli import main
from minidiff.errors import UserError


@dataclass
class Job:
    """A program, and what is the same whenever it has run to its end."""

    program: Callable
    arguments: tuple
    outcome: Callable[[Path], object]
    folder: Path  # of a run that nobody disturbed
    seconds: float = 0.0

    def start(self, folder: Path, **options):
        log = folder.with_name(folder.name + ".log")
        return start(self.program, folder, *self.arguments, log=log, **options)

    def ends_well(self, folder: Path) -> None:
        assert finish(self.start(folder)) == [0]
        assert_whole(folder)
        assert self.outcome(folder) == self.outcome(self.folder)
        assert contents(folder).keys() == contents(self.folder).keys()
        assert "Traceback" not in folder.with_name(folder.name + ".log").read_text()


def pictures(folder: Path) -> dict:
    return contents(folder, ".png", ".gif")


def trained(folder: Path) -> tuple:
    """The weights' bytes and the losses; the log also has seconds, which differ."""
    losses = [json.loads(log.read_text())["losses"] for log in folder.rglob("*-log.json")]
    return contents(folder, ".safetensors"), losses


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def hub(tiny):
    with FakeHub(contents(tiny), seconds_per_chunk=0.005) as hub:
        yield hub


@pytest.fixture(scope="module")
def jobs(tiny, hub, tmp_path_factory) -> dict[str, Job]:
    made = {
        "part-a": Job(draw, (tiny,), pictures, tmp_path_factory.mktemp("part-a")),
        "training": Job(learn, (), trained, tmp_path_factory.mktemp("training")),
        "pull": Job(pull, (hub.url, hub.token), contents, tmp_path_factory.mktemp("pull")),
    }
    for job in made.values():
        assert finish(job.start(job.folder / "first")) == [0]  # the fork server warms up
        job.folder = job.folder / "again"
        job.seconds = seconds_of(job.start(job.folder))
        assert job.outcome(job.folder)
    return made


NAMES = ["part-a", "training", "pull"]


@pytest.mark.parametrize("round", range(KILLS))
@pytest.mark.parametrize("name", NAMES)
def test_killed_thrice_and_run_again(jobs, tmp_path, name, round):
    job, folder = jobs[name], tmp_path / "run"
    for kill in range(3):  # one with each signal
        kill_sometime(job.start(folder), 3 * round + kill, within=0.7 * job.seconds)
        assert_whole(folder)
        if name == "pull":
            assert_honest(folder / "IF-I-M", job.folder / "IF-I-M")
    job.ends_well(folder)


def assert_honest(folder: Path, whole: Path) -> None:
    """A folder that is not complete has no manifest and cannot be opened."""
    here, needed = contents(folder), contents(whole)
    complete = all(here.get(name) == needed[name] for name in needed if name != "manifest.json")
    assert complete or "manifest.json" not in here
    assert opens(folder) == complete


def opens(folder: Path) -> bool:
    try:
        model = minidiff.load(folder, "cpu")
        model.encode(["a cat"])
        return bool(model.unet.conv_in.weight.isfinite().all())
    except UserError:
        return False


# --- two at once ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["part-a", "training"])
def test_two_at_once_in_one_folder(jobs, tmp_path, name):
    job, folder = jobs[name], tmp_path / "run"
    assert finish(job.start(folder), job.start(folder)) == [0, 0]
    assert_whole(folder)
    assert job.outcome(folder) == job.outcome(job.folder)
    job.ends_well(folder)


def test_two_pulls_at_once(jobs, hub, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    hub.requests.clear()
    hub.seconds_per_chunk = 0.1
    first = jobs["pull"].start(tmp_path / "run")
    while not hub.bytes_served("diffusion_pytorch_model"):
        assert first.is_alive()
    assert main(["weights", "pull", "IF-I-M", "--to", str(tmp_path / "run/IF-I-M")]) == 2
    assert "another pull is filling" in capsys.readouterr().err
    hub.seconds_per_chunk = 0.005
    assert finish(first) == [0]
    jobs["pull"].ends_well(tmp_path / "run")


# --- no room ----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(bytes): a folder on a file system of that size; again to resize it."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size: int) -> Path:
        again = ["remount,"] if folder.is_mount() else [""]
        command = ["mount", "-t", "tmpfs", "-o", f"{again[0]}size={size}", "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            pytest.skip(f"there is no mount: {error}")
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk(jobs, small_disk, name, share):
    job = jobs[name]
    size = sum(map(len, contents(job.folder).values()))
    folder = small_disk(max(1, int(share * size) // 4096) * 4096) / "run"
    log = folder.with_name("run.log")
    log.touch()
    assert finish(job.start(folder)) == [2]
    assert_whole(folder)
    small_disk(1 << 30)
    assert finish(job.start(folder)) == [0]
    job.ends_well(folder)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_may_not_grow(jobs, tmp_path, name, share):
    job, folder = jobs[name], tmp_path / "run"
    largest = max(map(len, contents(job.folder).values()))
    assert finish(job.start(folder, largest=int(share * largest))) == [2]
    said = (tmp_path / "run.log").read_text()
    assert "File too large" in said
    assert "Traceback" not in said
    assert_whole(folder)
    job.ends_well(folder)
