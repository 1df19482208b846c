"""Fetching gated weights from a hub on this machine that refuses, cuts, slows down and lies."""

import shutil

import fake_hub
import pytest
import torch
from fake_hub import REPO, FakeHub
from tiny_checkpoint import write_tiny_checkpoint, write_tiny_second

import minidiff
from minidiff.cli import main
from minidiff.weights.pull import only_one

UNET = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> dict[str, bytes]:
    """The files of an official repository: also those that nobody needs here."""
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("hub"), shards=1)
    whole = write_tiny_checkpoint(tmp_path_factory.mktemp("full"), dtype=torch.float32)
    name = "unet/diffusion_pytorch_model.safetensors"
    shutil.copy(whole / name, folder / name)
    (folder / "pytorch_model.bin").write_bytes(b"x" * 5000)
    (folder / "unet/diffusion_pytorch_model.fp16.bin").write_bytes(b"x" * 5000)
    (folder / "README.md").write_text("gated")
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@pytest.fixture
def hub(repository, monkeypatch, tmp_path):
    with FakeHub(dict(repository)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        monkeypatch.chdir(tmp_path)
        yield hub


@pytest.fixture
def pull(hub, tmp_path, capsys, caplog):
    """pull(...) -> status, all that was said; the token is in none of it."""

    def pull(*options: str):
        status = main(["weights", "pull", "IF-I-M", "--to", str(tmp_path / "IF-I-M"), *options])
        said = capsys.readouterr()
        text = said.out + said.err
        assert hub.token not in text + caplog.text
        return status, text

    return pull


def files_below(folder) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def nothing_left(tmp_path) -> bool:
    return files_below(tmp_path) == set()


# --- what works -------------------------------------------------------------------------------


def test_a_pull_brings_only_what_is_needed(pull, hub, tmp_path, repository):
    status, text = pull()
    assert status == 0
    folder = tmp_path / "IF-I-M"
    assert files_below(folder) == {
        UNET, "unet/config.json", "scheduler/scheduler_config.json", "manifest.json",
        "tokenizer/spiece.model", "tokenizer/tokenizer_config.json",
        "tokenizer/special_tokens_map.json",
    }  # fmt: skip
    assert all(
        (folder / name).read_bytes() == repository[name]
        for name in files_below(folder) - {"manifest.json"}
    )
    for words in (hub.revision[:12], UNET, "MB are free", "weights check", "--text-encoder"):
        assert words in text
    assert not (tmp_path / "IF-I-M.part").exists()
    assert minidiff.load(folder, "cpu").unet.config.block_out_channels == (8, 16)


def test_the_text_encoder_comes_on_request_and_later(pull, hub, tmp_path):
    pull()
    hub.requests.clear()
    status, _ = pull("--text-encoder")
    assert status == 0
    assert not hub.bytes_served(UNET)
    assert minidiff.load(tmp_path / "IF-I-M", "cpu").encode(["a cat"]).shape == (1, 77, 32)


def test_what_is_there_is_never_fetched_again(pull, hub):
    pull()
    hub.requests.clear()
    status, text = pull()
    assert status == 0
    assert "complete: nothing to fetch" in text
    assert hub.requests == []


def test_a_copy_made_by_hand_is_taken_over(pull, hub, tmp_path, repository):
    (tmp_path / "IF-I-M/unet").mkdir(parents=True)
    (tmp_path / "IF-I-M" / UNET).write_bytes(repository[UNET])
    assert pull()[0] == 0
    assert not hub.bytes_served(UNET)


def test_the_token_goes_to_the_hub_and_nowhere_else(pull, hub):
    pull()
    assert hub.cdn_tokens
    assert set(hub.cdn_tokens) == {None}


def test_a_slow_and_a_cut_connection_are_sat_out(pull, hub, tmp_path):
    hub.cut_after, hub.cuts, hub.seconds_per_chunk = 50_000, 2, 0.001
    assert pull()[0] == 0
    assert len(hub.bytes_served(UNET)) == 3
    assert (tmp_path / "IF-I-M" / UNET).read_bytes() == hub.files[UNET]


# --- what does not ----------------------------------------------------------------------------


def test_without_a_token(pull, hub, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.setattr("huggingface_hub.utils._auth.get_token", lambda: None, raising=False)
    monkeypatch.setattr("huggingface_hub.utils._headers.get_token", lambda: None, raising=False)
    status, text = pull()
    assert status == 2
    assert f"{hub.url}/{REPO}" in text
    assert "hf auth login" in text
    assert nothing_left(tmp_path)


def test_refused_tokens_and_licences(pull, hub, monkeypatch, tmp_path):
    hub.licensed = False
    status, text = pull()
    assert status == 2
    assert f"accept its licence at {hub.url}/{REPO}" in text
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    status, text = pull()
    assert status == 2
    assert "hf auth login" in text
    assert "somebody" not in text
    assert nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("status", "says"),
    [(404, "no such repository"), (500, "status 500"), (503, "status 503"), (429, "status 429")],
)
def test_the_hubs_own_troubles(pull, hub, tmp_path, monkeypatch, status, says):
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.status = status
    code, text = pull()
    assert code == 2
    assert says in text
    assert nothing_left(tmp_path)


def test_no_network(pull, monkeypatch, tmp_path):
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    status, text = pull()
    assert status == 2
    assert "http://127.0.0.1:9 cannot be reached" in text
    assert nothing_left(tmp_path)


def test_names_and_revisions_that_are_none(pull, capsys, hub):
    assert "no such revision" in pull("--revision", "0" * 40)[1]
    assert main(["weights", "pull", "a/b/c", "--to", "x"]) == 2
    assert "is no repository name" in capsys.readouterr().err
    assert main(["weights", "pull", "nobody/nothing", "--to", "x"]) == 2
    assert f"{hub.url}/nobody/nothing" in capsys.readouterr().err


def test_a_download_that_breaks_off_goes_on_where_it_was(pull, hub, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.cut_after = 60_000
    original = hub.files[UNET]
    hub.cuts = 1
    hub.status = None
    broken = tmp_path / "IF-I-M.part" / (UNET + ".part")
    broken.parent.mkdir(parents=True)
    broken.write_bytes(original[:70_000])
    assert pull()[0] == 0
    assert "bytes=70000-" in hub.bytes_served(UNET)
    assert (tmp_path / "IF-I-M" / UNET).read_bytes() == original


def test_bytes_damaged_on_the_way_are_not_kept(pull, hub, tmp_path):
    hub.corrupt = UNET
    status, text = pull()
    assert status == 2
    assert "another checksum" in text
    assert not (tmp_path / "IF-I-M").exists()
    assert not any("diffusion" in name for name in files_below(tmp_path))
    hub.corrupt = None
    assert pull()[0] == 0


def test_a_file_that_changes_upstream_meanwhile(pull, hub, tmp_path):
    listing = hub.listing()
    hub.listing = lambda: listing
    hub.files["unet/config.json"] = hub.files["unet/config.json"] + b" "
    status, text = pull()
    assert status == 2
    assert "revision" in text or "checksum" in text
    assert not (tmp_path / "IF-I-M").exists()


def test_a_full_disk(pull, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1000))
    status, text = pull()
    assert status == 2
    assert "free some space" in text
    assert nothing_left(tmp_path)


def test_a_second_stage(repository, monkeypatch, tmp_path, capsys):
    """It is fetched without tokenizer and text encoder, which are the first stage's."""
    monkeypatch.setattr(fake_hub, "REPO", "DeepFloyd/IF-II-M-v1.0")
    second = write_tiny_second(tmp_path / "hub")
    files = {p.relative_to(second).as_posix(): p.read_bytes() for p in second.rglob("*.*")}
    files |= {name: b for name, b in repository.items() if name.startswith(("text_", "tokenizer"))}
    with fake_hub.FakeHub(files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        folder = tmp_path / "IF-II-M"
        assert main(["weights", "pull", "IF-II-M", "--to", str(folder)]) == 0
        assert "text encoder" not in capsys.readouterr().out
        parts = {name.split("/")[0] for name in files_below(folder)}
        assert parts == {"unet", "scheduler", "image_noising_scheduler", "manifest.json"}
        assert main(["weights", "check", str(folder)]) == 0
        assert main(["weights", "pull", "IF-II-M", "--text-encoder"]) == 2
        assert "takes the text encoder of the first" in capsys.readouterr().err


def test_repositories_of_another_kind(pull, hub):
    for name in [name for name in hub.files if name.endswith(".safetensors")]:
        del hub.files[name]
    assert "other formats" in pull()[1]
    for name in [name for name in hub.files if name.startswith("scheduler")]:
        del hub.files[name]
    hub.files |= {UNET: b"x"}
    assert "no folder scheduler" in pull()[1]


def test_another_models_folder(pull, capsys, tmp_path):
    pull()
    assert main(["weights", "pull", "IF-I-L", "--to", str(tmp_path / "IF-I-M")]) == 2
    assert f"holds {REPO}" in capsys.readouterr().err


def test_two_pulls_at_once(pull, hub, tmp_path):
    with only_one(tmp_path / "IF-I-M.part"):
        status, text = pull()
    assert status == 2
    assert "another pull is filling" in text
    assert hub.requests == []
