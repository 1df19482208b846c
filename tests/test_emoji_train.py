"""Training of the demo: made-up pictures, a network of a few thousand weights."""

import json

import pytest
import torch
from tiny_checkpoint import TEXT_ENCODER, UNET

import minidiff
from minidiff.emoji import train as trainer
from minidiff.emoji.data import Record
from minidiff.emoji.muon import Muon, orthogonalize
from minidiff.errors import UserError

TINY = {"unet": UNET, "text_encoder": TEXT_ENCODER, "batch": 4, "warmup_steps": 2,
        "caption_variants": 3, "ema_decays": [0.5]}  # fmt: skip


@pytest.fixture
def pictures(monkeypatch):
    """Two concepts in two sets, one of them held out of training."""
    records = [
        Record(code, name, name, ("tag",), "objects", art)
        for code, name in (("1f600", "grinning face"), ("1f5fc", "tokyo tower"))
        for art in ("noto", "openmoji")
    ]
    images = torch.randint(0, 256, (4, 64, 64, 4), dtype=torch.uint8)
    monkeypatch.setattr(trainer, "load_emoji", lambda packed: (images, records))
    return images


def lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_run_exports_a_checkpoint_that_opens(pictures, tmp_path):
    folder = trainer.train(tmp_path, steps=2, changes=TINY)
    model = minidiff.load(folder, device="cpu")
    out = model.unet(torch.randn(1, 3, 64, 64), 500, model.encode(["grinning face"]))
    assert out.shape == (1, 6, 64, 64) and out.isfinite().all()
    assert [line["step"] for line in lines(tmp_path)] == [1, 2]


def test_a_run_goes_on_where_it_stopped(pictures, tmp_path):
    trainer.train(tmp_path, steps=2, changes=TINY)
    before = torch.load(tmp_path / "last.pt", weights_only=True)
    assert before["clock"][0] == 2
    trainer.train(tmp_path, steps=3, changes=TINY)
    after = torch.load(tmp_path / "last.pt", weights_only=True)
    assert after["clock"][0] == 3 and after["clock"][2] == 12  # steps, pictures
    name = "unet.mid_block.resnets.0.conv1.weight"
    assert not torch.equal(before["params"][name], after["params"][name])


def test_saving_and_restoring_is_exact(pictures, tmp_path):
    recipe = {**json.loads(trainer.RECIPE.read_text()), **TINY}
    first = trainer.Run(recipe, torch.device("cpu"), trainer.Clock(10, None))
    batches = trainer.EmojiBatches(recipe, torch.device("cpu"), seed=1)
    for _ in range(2):
        one_step(first, batches, recipe)
    first.save(tmp_path / "last.pt")
    second = trainer.Run(recipe, torch.device("cpu"), trainer.Clock(10, None))
    second.restore(tmp_path / "last.pt")
    state = batches.generator.get_state()
    one_step(first, batches, recipe)
    batches.generator.set_state(state)
    one_step(second, batches, recipe)
    for name in first.params:
        assert torch.equal(first.params[name], second.params[name]), name
        assert torch.equal(first.averages[0][name], second.averages[0][name]), name


def one_step(run, batches, recipe):
    run.set_rate()
    x0, ids, mask = batches.draw(4, recipe["drop_prompt"])
    t = trainer.draw_timesteps(batches, 4, recipe["noisy_half_from"])
    run.loss(x0, t, batches.noise(x0), ids, mask)["total"].backward()
    run.update()
    run.clock.step += 1


def test_held_out_concepts_are_never_drawn(pictures):
    recipe = {**json.loads(trainer.RECIPE.read_text()), **TINY}
    batches = trainer.EmojiBatches(recipe, torch.device("cpu"), seed=1)
    assert torch.equal(batches.images, pictures[:2])  # the tower's two pictures are left out


def test_the_variance_loss_does_not_train_the_mean():
    recipe = {**json.loads(trainer.RECIPE.read_text()), **TINY}
    run = trainer.Run(recipe, torch.device("cpu"), trainer.Clock(1, None))
    torch.nn.init.normal_(run.unet.conv_out.weight, std=0.1)
    x0, t = torch.rand(2, 3, 64, 64) * 2 - 1, torch.tensor([400, 800])
    ids, mask = torch.ones(2, 77, dtype=torch.long), torch.ones(2, 77)
    run.loss(x0, t, torch.randn_like(x0), ids, mask)["kl"].backward()
    grad = run.unet.conv_out.weight.grad
    assert not grad[:3].any() and grad[3:].any()


def test_the_variance_kl_is_0_for_the_true_posterior():
    recipe = {**json.loads(trainer.RECIPE.read_text()), **TINY}
    loss = trainer.Run(recipe, torch.device("cpu"), trainer.Clock(1, None)).loss
    x0, eps, t = torch.rand(1, 3, 8, 8), torch.randn(1, 3, 8, 8), torch.tensor([600])
    abar, abar_prev = loss.abars[t][:, None, None, None], loss.abars_prev[t][:, None, None, None]
    x_t = trainer.forward_process(x0, abar, eps)
    kl = loss.variance_kl(x_t, x0, eps, torch.full_like(eps, -1.0), abar, abar_prev)
    assert kl.abs().max() < 1e-4
    assert loss.variance_kl(x_t, x0, eps, torch.ones_like(eps), abar, abar_prev).min() > 0


def test_the_rate_rises_stays_and_falls_to_0():
    clock = trainer.Clock(steps=100, seconds=None)
    rates = []
    for clock.step in range(101):
        rates.append(clock.rate(warmup=10, cooldown=0.5))
    assert rates[0] == pytest.approx(0.1) and rates[9:51] == [1.0] * 42
    assert rates[75] == pytest.approx(0.5) and rates[100] == 0


def test_orthogonalize_brings_all_singular_values_near_1():
    shapes = [(16, 40), (40, 16), (16, 16), (24, 70)]
    matrices = [torch.randn(shape) for shape in shapes]
    for matrix, result in zip(matrices, orthogonalize(matrices)):
        assert result.shape == matrix.shape
        values = torch.linalg.svdvals(result.float())
        assert 0.4 < values.min() and values.max() < 1.3


def test_muon_lowers_a_quadratic_loss_and_keeps_the_shape_of_convolutions():
    weight = torch.nn.Parameter(torch.randn(8, 4, 3, 3))
    optimizer = Muon([weight], lr=0.05)
    losses = []
    for _ in range(100):
        loss = weight.square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 0}, "at least 1 step"),
        ({"seconds": float("nan")}, "at least 1 step"),
        ({"seconds": -1.0}, "at least 1 step"),
        ({"steps": 1, "batch": 0}, "at least 1 picture"),
    ],
)
def test_a_run_without_end_or_pictures_is_refused(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        trainer.train(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_damaged_starts_are_one_sentence(pictures, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no checkpoint of this recipe"):
        trainer.train(tmp_path / "a", steps=1, changes=TINY, start_from=tmp_path / "empty")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "last.pt").write_bytes(b"junk")
    with pytest.raises(UserError, match="is damaged or of another recipe"):
        trainer.train(tmp_path / "b", steps=1, changes=TINY)


def test_train_wants_one_length_of_time(tmp_path):
    for options in ({}, {"steps": 1, "seconds": 1.0}):
        with pytest.raises(UserError, match="how long to train"):
            trainer.train(tmp_path, **options)
