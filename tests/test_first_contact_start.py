"""Installing and starting: what a host, a notebook or a thread brings does not break a command."""

import os
import re
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
import torch
from tiny_checkpoint import write_tiny_checkpoint

from minidiff.cli import fail_without, main
from minidiff.errors import UserError
from minidiff.figures.curves import loss_curve
from minidiff.io.devices import my_share, place_in_team
from minidiff.io.paths import DEMO, ROOT
from minidiff.lessons.notebooks import FIRST_CELL
from minidiff.noise import SeededNoise
from minidiff.schedule import cosine_schedule
from minidiff.weights.manifest import differences, read_manifest, seal

HOST = {  # what notebooks, clusters and shells leave behind
    "MPLBACKEND": "module://matplotlib_inline.nowhere",
    "MATPLOTLIBRC": "/nowhere/matplotlibrc",
    "TQDM_MININTERVAL": "soon",
    "PYTHONWARNINGS": "error",
    "LOCAL_RANK": "3",
    "HF_HOME": "/nowhere",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_ENABLE_HF_TRANSFER": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
    "OMP_NUM_THREADS": "1",
    "PYTHONUTF8": "0",
    "LC_ALL": "C",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
}
SAMPLE = ("sample", "a cat", "--steps", "1", "--scale", "1", "--device", "cpu")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_tiny_checkpoint(tmp_path / "tiny")


def test_no_variable_of_a_host_breaks_or_changes_a_command(tiny, tmp_path):
    clean = {k: v for k, v in os.environ.items() if k not in HOST}
    for name, more in (("clean", {"OMP_NUM_THREADS": "1"}), ("host", HOST)):
        command = [sys.executable, "-m", "minidiff", *SAMPLE, "--weights", tiny, "--out", name]
        environment = {**clean, "PYTHONPATH": str(ROOT), **more}
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
    drawn = [
        (tmp_path / name / "sample-a-cat-seed180.png").read_bytes() for name in ("clean", "host")
    ]
    assert drawn[0] == drawn[1]


def test_a_plot_where_the_backend_is_not_installed(tmp_path):
    weights = ROOT / "weights" / "mnist"
    program = (
        "from minidiff.figures.curves import loss_curve; from pathlib import Path;"
        f"loss_curve('time', Path({str(weights)!r}), Path('loss.png'));"
        "import os; assert os.environ['MPLBACKEND'] == 'inline_of_nowhere'"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "inline_of_nowhere"}
    subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, check=True)
    assert (tmp_path / "loss.png").is_file()
    assert callable(loss_curve)


def test_main_runs_in_a_thread_and_gives_everything_back(tiny):
    before = warnings.showwarning
    status = []
    thread = threading.Thread(target=lambda: status.append(main([*SAMPLE, "--weights", str(tiny)])))
    thread.start()
    thread.join()
    assert status == [0]
    assert warnings.showwarning is before


@pytest.mark.parametrize("given", [{"WORLD_SIZE": "4"}, {"RANK": "1"}, {"RANK": "0"}])
def test_half_of_torchruns_variables_is_an_error(monkeypatch, given):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert place_in_team() == (0, 1)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="is not: torchrun sets both"):
        place_in_team()


def test_a_member_of_a_team_says_its_share(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.warns(UserWarning, match=r"process 2 of 4 .* does 2 of 8 pictures"):
        assert my_share(list("abcdefgh"), "pictures") == ["b", "f"]


def test_a_python_without_a_library_gets_the_remedy(capsys):
    error = ModuleNotFoundError("No module named 'torch'", name="torch")
    assert fail_without(error) == 2
    assert "torch cannot be imported" in (said := capsys.readouterr().err)
    assert "run make without PY" in said
    with pytest.raises(ImportError):  # an import of ours that fails is a fault of ours
        fail_without(ImportError("cannot import name x", name="minidiff.schedule"))


def test_the_start_is_readable_for_older_pythons():
    """No syntax newer than Python 2.7's before the version is looked at."""
    text = (ROOT / "minidiff" / "__main__.py").read_text(encoding="utf-8")
    before = text[: text.index("from minidiff.cli")]
    assert "sys.version_info < OLDEST" in before
    assert not re.search(r"\bf[\"']|->|: \w+ =|print", before)
    assert "def load(folder=None" in (ROOT / "minidiff/__init__.py").read_text(encoding="utf-8")


def test_the_folder_that_holds_the_clone_is_a_place_to_work_in(tmp_path):
    """There the folder minidiff/ is the clone and not the package, and Python looks at it first."""
    (tmp_path / "minidiff").symlink_to(ROOT, target_is_directory=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    code = "import minidiff, minidiff.weights.check as check; print(minidiff.open, check.__file__)"
    for command in (["-c", code], ["-m", "minidiff", "names", "fish"]):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_a_notebook_runs_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(FIRST_CELL, {})
    assert Path("minidiff/figures/inputs/tower.png").is_file()


def test_the_seeds_keep_their_bits_whatever_torchs_defaults_are():
    expected, abars = SeededNoise([180]).draw(), cosine_schedule().abars
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        drawn, again = SeededNoise([180]).draw(), cosine_schedule()
        abar = again.abar(500, like=expected)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert drawn.dtype == torch.float32
    assert torch.equal(drawn, expected)
    assert torch.equal(again.abars, abars)
    assert abar.item() == pytest.approx(abars[500].item())


@pytest.mark.parametrize("name", ["unet/config.json", "tokenizer/tokenizer_config.json"])
def test_a_manifest_holds_with_either_line_ending(tiny, name):
    seal(tiny)
    path = tiny / name
    unix = path.read_bytes()
    path.write_bytes(unix.replace(b"\n", b"\r\n"))
    assert path.read_bytes() != unix
    assert differences(tiny, read_manifest(tiny)) == []
    path.write_bytes(unix.replace(b"\n", b"\r\n").replace(b"{", b"{ ", 1))
    assert differences(tiny, read_manifest(tiny)) != []


def test_a_seal_made_among_crlf_files_holds_elsewhere(tiny):
    path = tiny / "unet/config.json"
    unix = path.read_bytes()
    path.write_bytes(unix.replace(b"\n", b"\r\n"))
    seal(tiny)
    path.write_bytes(unix)
    assert differences(tiny, read_manifest(tiny)) == []


def test_git_checks_text_out_with_lf():
    rules = (ROOT / ".gitattributes").read_text(encoding="utf-8")
    assert "* text=auto eol=lf" in rules
    for script in ("tools/setup.sh", ".ci/run", "Makefile"):
        assert b"\r" not in (ROOT / script).read_bytes()


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["only=1.1"], "nothing reads only=: write it in capitals, ONLY="),
        (["Ex=views"], "nothing reads Ex=: write it in capitals, EX="),
        (["weights_2=x"], "WEIGHTS_2="),
        (["CUDA_VISIBLE_DEVICES=0", "colour=red", "ONLY=1.1"], ""),
    ],
)
def test_a_variable_of_make_in_another_case_is_told(given, says):
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    command = ["make", "-n", "help", *given]
    done = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True)
    assert done.returncode == (2 if says else 0)
    assert says in done.stderr


def test_make_knows_each_variable_that_it_reads():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = text.partition("known := ")[2].partition("\nothers")[0].replace("\\", "").split()
    read = re.findall(r"\$\(call (?:opt|flag|given),([A-Z_0-9]+)|\$\(or \$\(([A-Z]+)\)", text)
    assert sorted(known) == sorted({one or other for one, other in read} | {"PY"})


def test_every_text_is_read_as_utf_8():
    """Windows reads texts in its own encoding unless told otherwise."""
    careless = re.compile(
        r"\.read_text\(\)|\.write_text\((?!.*encoding)|(?<![.\w])open\([^)b]*\)\s"
    )
    found = [
        f"{path.name}: {line.strip()}"
        for path in (ROOT / "minidiff").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if careless.search(line) and "Image." not in line and "encoding=" not in line
        and '"rb"' not in line and '"wb"' not in line and "def open" not in line
        and path.name != "source.py"  # students' files are read as Python reads them
    ]  # fmt: skip
    assert found == []


def test_an_installed_copy_carries_the_demo():
    names = (ROOT / "setup.py").read_text(encoding="utf-8")
    data = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert DEMO.is_dir()
    assert 'SHIPPED = "minidiff.shipped_weights"' in names
    assert '"emoji-*/**/*"' in data


def test_tilde_is_the_home_folder_everywhere(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert main([*SAMPLE, "--weights=~/tiny", "--out=~/pics"]) == 0
    assert (tmp_path / "pics/sample-a-cat-seed180.png").is_file()
    assert not Path("~").exists()
    edit = ("edit", "~/pics/sample-a-cat-seed180.png", "a dog", *SAMPLE[2:])
    assert main([*edit, "--weights=~/tiny", "--out=~/pics"]) == 0
    assert main(["weights", "check", "~/tiny"]) == 0
    assert main(["weights", "seal", "~/tiny"]) == 0
    capsys.readouterr()
