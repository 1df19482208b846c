"""The rule that judges the demo's samples, and every measurement run once on a tiny model."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from minidiff.deepfloyd.scheduler import SchedulerConfig
from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.emoji import (
    evaluate,
    illusions,
    judge,
    measure_grounds,
    measure_noise,
    measure_phrase,
    measure_samples,
    measure_walks,
    prompts,
    sheets,
    workbench,
)
from minidiff.emoji.data import SETS, Record
from minidiff.errors import UserError
from minidiff.schedule import cosine_schedule, course_pairs

FULL = prompts.read_prompts()
DRAWN = {**FULL, **{key: FULL[key][::25] for key in ("naming", "pairs", "held_out")}}


def make_world() -> tuple[torch.Tensor, list[Record]]:
    """A picture per set of the first concepts asked for: a coloured block with a free border."""
    asked = {c["code"]: c for key in ("naming", "pairs", "held_out") for c in DRAWN[key]}
    generator = torch.Generator().manual_seed(0)
    images, records = [], []
    for art in SETS:
        for concept in asked.values():
            image = torch.zeros(64, 64, 4, dtype=torch.uint8)
            blocks = torch.randint(0, 256, (6, 6, 3), dtype=torch.uint8, generator=generator)
            image[8:56, 8:56, :3] = blocks.repeat_interleave(8, 0).repeat_interleave(8, 1)
            image[8:56, 8:56, 3] = 255
            images.append(image)
            fields = {key: concept[key] for key in ("code", "name", "family", "group")}
            records.append(Record(tags=(), set=art, **fields))
    return torch.stack(images), records


@pytest.fixture(scope="module")
def world():
    return make_world()


@pytest.fixture(scope="module")
def gallery(world):
    return judge.Gallery(*world, DRAWN)


# --- the judge -----------------------------------------------------------------------------------


def test_distance_is_the_mean_square_of_pooled_pictures():
    a, b = torch.rand(3, 3, 64, 64), torch.rand(2, 3, 64, 64)
    expected = (judge.pooled(a)[:, None] - judge.pooled(b)[None]).square().mean(-1)
    found = judge.mean_squared(judge.pooled(a), judge.pooled(b))
    assert torch.allclose(found, expected, atol=1e-5)


def test_held_out_pictures_are_not_in_the_gallery(world, gallery):
    held_out = {concept["code"] for concept in DRAWN["held_out"]}
    assert not held_out & {record.code for record in gallery.records}
    assert len(gallery.records) == sum(r.code not in held_out for r in world[1])


@pytest.mark.parametrize("move", [(0, 0), (1, -1), (-1, 0)])
def test_a_picture_is_recognised_when_moved_by_a_pixel(gallery, move):
    x = workbench.on_white(gallery.images[:20]).roll(move, dims=(-2, -1))
    distances = gallery.distances(x)
    families = [record.family for record in gallery.records[:20]]
    assert distances.argmin(1).tolist() == list(range(20))
    assert distances.diagonal().max() < 1e-5
    assert gallery.hits(distances, families, 1).all()
    assert (gallery.ranks(distances, families) == 0).all()
    assert (gallery.clarity(distances, families) > 1).all()
    assert gallery.sets(distances) == [record.set for record in gallery.records[:20]]


def test_a_picture_is_not_taken_for_another(gallery):
    x = workbench.on_white(gallery.images[:2])
    swapped = [gallery.records[1].family, gallery.records[0].family]
    distances = gallery.distances(x)
    assert not gallery.hits(distances, swapped, 1).any()
    assert (gallery.ranks(distances, swapped) > 0).all()
    assert (gallery.clarity(distances, swapped) < 1).all()


def test_top_five_counts_pictures_not_families(gallery):
    distances = torch.full((1, len(gallery.records)), 9.0)
    order = [0, 1, 2, 3, 4, 5]
    distances[0, order] = torch.arange(6.0)
    assert gallery.hits(distances, [gallery.records[4].family], 5).item()
    assert not gallery.hits(distances, [gallery.records[5].family], 5).item()


def test_the_background_asked_for_is_part_of_the_comparison(gallery):
    blue = prompts.COLOURS["blue"]
    rgb = torch.tensor(blue, dtype=torch.uint8).expand(3, 3)
    x = judge.composite(gallery.images[:3], rgb)
    assert gallery.distances(x, blue).diagonal().max() < 1e-5
    assert gallery.distances(x).min() > 0.05


@pytest.mark.parametrize("name", list(prompts.COLOURS))
def test_border_colour_ignores_what_touches_it(name):
    rgb = torch.tensor(prompts.COLOURS[name]) / 127.5 - 1
    x = rgb[None, :, None, None].repeat(1, 1, 64, 64)
    x[..., 10:50, 10:50] = 0.3
    x[..., 20:40, :4] = -0.7  # something that reaches the edge
    border = judge.border_colour(x)
    assert torch.allclose(border[0], torch.tensor(prompts.COLOURS[name]).float(), atol=0.01)
    assert judge.nearest_colour(border) == [name]
    assert judge.is_white(border).item() == (name == "white")


def test_a_tint_is_not_white():
    assert judge.is_white(torch.tensor([[255.0, 236, 250], [255, 234, 255]])).tolist() == [
        True,
        False,
    ]


# --- the workbench -------------------------------------------------------------------------------


def test_spread_is_even_and_never_repeats():
    assert workbench.spread(list(range(10)), 5) == [0, 2, 4, 6, 8]
    assert workbench.spread(list(range(3)), 5) == [0, 1, 2]


class TinyModel:
    """The interface of minidiff.load with random weights and a bag of words for a text encoder."""

    name = "tiny"
    folder = Path("no folder")
    scheduler = SchedulerConfig()
    device = torch.device("cpu")
    sample_size = 64

    def __init__(self):
        torch.manual_seed(0)
        kinds = ["ResnetDownsampleBlock2D"], ["ResnetUpsampleBlock2D"]
        self.unet = UNet(
            UNetConfig.from_dict(
                {
                    "sample_size": 64,
                    "in_channels": 3,
                    "out_channels": 6,
                    "block_out_channels": [32, 32, 32],
                    "layers_per_block": 1,
                    "down_block_types": kinds[0] * 2 + ["SimpleCrossAttnDownBlock2D"],
                    "up_block_types": ["SimpleCrossAttnUpBlock2D"] + kinds[1] * 2,
                    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
                    "attention_head_dim": 32,
                    "cross_attention_dim": 32,
                    "cross_attention_norm": "group_norm",
                    "encoder_hid_dim": 32,
                    "encoder_hid_dim_type": "text_proj",
                    "addition_embed_type": "text",
                    "addition_embed_type_num_heads": 4,
                    "resnet_time_scale_shift": "scale_shift",
                    "act_fn": "gelu",
                    "norm_num_groups": 8,
                    "norm_eps": 1e-05,
                }
            )
        )
        self.fast_unet = self.unet
        self.schedule = cosine_schedule()
        self.scheduler = SchedulerConfig(thresholding=False, clip_sample=True)

    def encode(self, texts: list[str]) -> torch.Tensor:
        states = [
            torch.randn(8, 32, generator=torch.Generator().manual_seed(len(t))) for t in texts
        ]
        return torch.stack(states)


@pytest.fixture(scope="module")
def bench(world):
    small = {"phrase": 3, "edits": 2, "grounds": 2, "illusions": 2}
    plan = replace(workbench.FAST, naming=3, pairs=3, styles=1, unseen=2, known=3, **small)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workbench, "read_prompts", lambda: DRAWN)
        return workbench.Workbench(TinyModel(), *world, plan)


def in_two_steps(monkeypatch):
    """The course's walk in two steps, whatever number is asked for."""
    walk = workbench.Workbench.walk

    def short(self, steps=33, scale=7.0, variance=None):
        return walk(self, 2, scale, variance)

    monkeypatch.setattr(workbench.Workbench, "walk", short)


def test_samples_depend_on_seed_and_text_not_on_the_batch(bench, monkeypatch):
    together = bench.draw(["cat", "a dog", "cat"], [1, 1, 2], steps=2)
    monkeypatch.setattr(bench, "batch", 1)
    alone = bench.draw(["cat", "a dog", "cat"], [1, 1, 2], steps=2)
    assert together.shape == (3, 3, 64, 64)
    assert torch.allclose(together, alone, rtol=1e-4, atol=1e-2)
    assert not torch.allclose(together[0], together[2], atol=0.1)


def test_every_measurement_gives_rows_with_counts(bench, monkeypatch, tmp_path):
    few = course_pairs([990, 500, 100, 0])
    in_two_steps(monkeypatch)
    for module in (measure_noise, measure_phrase):
        monkeypatch.setattr(module, "strided_timesteps", lambda: [990, 100, 0])
    monkeypatch.setattr(
        measure_phrase, "course_pairs", lambda t=None: course_pairs(t) if t else few
    )
    monkeypatch.setattr(measure_phrase, "I_STARTS", (1, 2))
    monkeypatch.setattr(measure_grounds, "STEPS", {2: "", 3: ""})
    rows = [row for measure in evaluate.MEASUREMENTS for row in measure(bench)]
    by_name = {row.what: row for row in rows}
    illusion_rows = 3 * len(illusions.KINDS)
    assert len(by_name) == len(rows) == 5 + 2 + 5 + 3 + 3 + 9 + 11 + 4 + 10 + illusion_rows
    assert by_name["naming, top-1"].count == 3 and by_name["style as asked"].count == 4
    scores = by_name["naming, top-1"].value, by_name["naming, top-1, fixed variance"].value
    assert by_name["naming, learned minus fixed"].value == pytest.approx(scores[0] - scores[1])
    assert all(0 <= row.value <= 1 for row in rows if "top-" in row.what or "style" in row.what)
    assert all(torch.isfinite(torch.tensor(row.value)) for row in rows)
    evaluate.write_report(rows, True, 1.0, tmp_path / "report.json")
    saved = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert [row["what"] for row in saved] == [row.what for row in rows]
    assert len(evaluate.format_table(rows).splitlines()) == len(rows) + 1


def test_measurements_are_chosen_by_name():
    assert evaluate.choose(["grounds", "phrase"])[0] is measure_grounds.grounds
    assert evaluate.choose(None) == list(evaluate.MEASUREMENTS)
    with pytest.raises(UserError, match="no measurement 'phrases'; there are naming"):
        evaluate.choose(["phrases"])


def test_a_plan_of_another_size():
    plan = evaluate.resized(workbench.FULL, 5)
    assert (plan.phrase, plan.edits, plan.seeds, plan.curve, plan.styles) == (5, 5, 1, 5, 2)
    assert evaluate.resized(workbench.FAST, 5).curve == 0
    with pytest.raises(UserError, match="at least 2"):
        evaluate.resized(workbench.FULL, 1)


def test_a_training_picture_is_a_thing_and_noise_is_none(bench, monkeypatch):
    """Samples that are training pictures pass whatever the limit is, samples of noise never."""
    pictures = workbench.on_white(bench.gallery.images[:3])
    monkeypatch.setattr(measure_phrase, "thing_limit", lambda bench, picked: 1e-3)
    for samples, share in ((pictures, 1), (torch.randn(3, 3, 64, 64), 0)):
        monkeypatch.setattr(measure_phrase, "draw_phrase", lambda *_, x=samples: x)
        rows = {row.what: row.value for row in measure_phrase.phrase(bench)}
        for scale in measure_phrase.SCALES:
            assert rows[f"the phrase, guidance {scale:g}, things"] == share


def test_grain_sees_neighbours_and_not_the_picture():
    x = torch.ones(2, 3, 64, 64)
    x[:, :, 10:50, 10:50] = torch.rand(2, 3, 40, 40)
    x[1, :, :2, ::2] = 0.8
    rough = judge.grain(x)
    assert rough[0] == 0 and rough[1] > 0.05


def test_a_difference_comes_with_its_error():
    """8 pictures, two gained and one lost: 1/8, with a standard deviation of 0.6409."""
    ours = torch.tensor([1, 1, 1, 1, 0, 0, 1, 1], dtype=torch.bool)
    theirs = torch.tensor([1, 1, 1, 1, 0, 1, 0, 0], dtype=torch.bool)
    row = measure_samples.paired_row("ours minus theirs", ours, theirs)
    assert (row.value, row.count) == (0.125, 8)
    assert row.goal.startswith(f">= {-2 * 0.6409 / 8**0.5:.4f}")


def test_curves_ask_for_each_setting_once(bench, monkeypatch):
    settings = []

    def draw(texts, seeds=None, steps=33, scale=7.0, plan=None):
        settings.append((steps, scale))
        return torch.ones(len(texts), 3, 64, 64)

    monkeypatch.setattr(bench, "draw", draw)
    monkeypatch.setattr(bench, "plan", replace(bench.plan, curve=2))
    rows = measure_samples.curves(bench)
    assert settings == list(measure_samples.CURVES) and len(rows) == len(settings)


def test_each_way_to_walk_is_drawn_once_from_the_same_seeds(bench, monkeypatch):
    asked = []

    def draw(texts, seeds=None, plan=None):
        asked.append((texts, seeds, plan))
        return torch.ones(len(texts), 3, 64, 64)

    monkeypatch.setattr(bench, "draw", draw)
    monkeypatch.setattr(bench.studio, "plan", lambda steps, **words: (steps, *words.items()))
    assert measure_walks.walks(bench) == []  # a few of each leaves the long table out
    monkeypatch.setattr(bench, "plan", replace(bench.plan, curve=2))
    rows = measure_walks.walks(bench)
    assert len(asked) == len({plan for *_, plan in asked}) == 5 * 7 * 3 * 2
    assert all(seeds is None and texts == asked[0][0] for texts, seeds, _ in asked)
    assert len({row.what for row in rows}) == len(rows) == 3 * len(asked)
    assert {row.value for row in rows if row.what.startswith("white border")} == {1.0}


def test_a_walk_has_no_more_calls_than_its_cell_says():
    for calls, steps in ((4, 2), (6, 3), (9, 5), (10, 5), (33, 17)):
        assert measure_walks.Cell("heun", calls, 5.0).steps == steps
        assert measure_walks.Cell("dpm++", calls, 5.0).steps == calls
    cell = measure_walks.Cell("ddim", 8, 5.0, eta=1.0)
    assert str(cell) == "ddim eta 1, clip, 8 calls, guidance 5"


def test_a_blind_model_scores_one_on_overall_colour(bench, monkeypatch):
    def predict(x_t, t, cond):
        return torch.zeros_like(x_t), torch.zeros_like(x_t)

    monkeypatch.setattr(bench, "predict", predict)
    assert [row.value for row in measure_noise.overall_colour(bench)] == pytest.approx([1, 1, 1])


def test_a_perfect_model_has_no_variance_term_at_the_posterior(bench):
    x0 = torch.rand(2, 3, 64, 64) * 2 - 1
    eps = torch.randn(2, 3, 64, 64)
    assert measure_noise.one_step_kl(bench, x0, eps, eps, torch.ones_like(x0), 1) > 0.1
    for t in (20, 500, 950):
        small = measure_noise.one_step_kl(bench, x0, eps, eps, torch.full_like(x0, -1), t)
        large = measure_noise.one_step_kl(bench, x0, eps, eps, torch.full_like(x0, 1), t)
        assert abs(small) < 1e-3 and large >= small
    assert large < 1e-3  # near t = 999 the two bounds are the same variance


def test_best_blur_does_not_blur_a_clean_picture():
    x0 = torch.rand(1, 3, 64, 64) * 2 - 1
    blur = measure_noise.best_blur(x0, x0, torch.ones(1, 1, 1, 1))
    assert blur.sigma == measure_noise.SIGMAS[0] and blur.error < 0.01
    assert torch.allclose(blur.picture, x0, atol=0.3)


# --- illusions and sheets ------------------------------------------------------------------------


def test_the_two_bands_of_a_hybrid_add_up():
    x = torch.rand(1, 3, 64, 64)
    whole = illusions.course_low_pass(x) + illusions.high_pass(x)
    assert torch.allclose(whole, x, atol=1e-6)


def test_a_drawn_anagram_is_recognised_both_ways(bench, monkeypatch):
    """The upper half of one picture over the flipped lower half of another passes for neither;
    a picture that is really both, does."""
    a, b = bench.gallery.records[0], bench.gallery.records[1]
    x = workbench.on_white(bench.gallery.images[:1])
    bench_b = bench.gallery.images.clone()
    bench_b[1] = bench.gallery.images[0].flip(0)
    changed = judge.Gallery(bench_b, bench.gallery.records, DRAWN)
    monkeypatch.setattr(bench, "gallery", changed)
    monkeypatch.setattr(bench, "draw_guided", lambda guide, seeds: x)
    found, _ = illusions.score_pairs(bench, "anagram", [(a, b)], [7])
    assert found[0].ranks == (0, 0) and found[0].score > 1 and found[0].seed == 7
    found, _ = illusions.score_pairs(bench, "anagram", [(b, a)], [7])
    assert min(found[0].ranks) > 0 and found[0].score < 1


@pytest.mark.parametrize("kind", ["anagram", "negative", "hybrid"])
def test_find_illusions_writes_what_it_kept(bench, monkeypatch, tmp_path, kind):
    in_two_steps(monkeypatch)
    kept = illusions.find_illusions(
        bench, kind, tmp_path, pairs=3, seeds=1, finalists=1, final_seeds=2, keep=2
    )
    report = json.loads((tmp_path / f"{kind}.json").read_text())
    assert (report["pairs_tried"], report["samples_tried"]) == (3, 5)
    assert [row["seed"] for row in report["kept"]] == [illusion.seed for illusion in kept]
    assert kept[0].score >= kept[1].score
    assert Image.open(tmp_path / f"{kind}.png").width > 200


def test_unknown_illusion(bench, tmp_path):
    with pytest.raises(UserError, match="anagram, half-turn, rotation, circle, negative, hybrid"):
        illusions.find_illusions(bench, "mirage", tmp_path)


def test_contact_sheet_has_every_sample(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(sheets, "SHEET_PROMPTS", 3)
    drawn = SimpleNamespace()

    def draw(texts, seeds, plan):
        drawn.texts, drawn.seeds, drawn.steps = texts, seeds, len(plan)
        return torch.zeros(len(texts), 3, 64, 64)

    monkeypatch.setattr(bench, "draw", draw)
    path = sheets.contact_sheet(bench, tmp_path / "sheet.png")
    assert drawn.seeds == [0, 1, 2, 3] * 3 and len(set(drawn.texts)) == 3
    assert drawn.steps == len(bench.studio.plan())  # as recommended, not the course's 33
    counts = {colour: count for count, colour in Image.open(path).convert("RGB").getcolors(9999)}
    assert counts[128, 128, 128] >= 12 * 64 * 64  # mid-grey pictures; letters have such pixels, too
