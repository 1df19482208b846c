"""What every exercise gets for free, and how a mistake gets its name."""

import json
import os
import time
from pathlib import Path

import pytest
import torch

from minidiff.grade import sandbox
from minidiff.grade.draw import ROUNDS, Draw
from minidiff.grade.exercises import all_exercises
from minidiff.grade.expect import Wrong, close
from minidiff.grade.harness import compare, run_trial, watch
from minidiff.grade.hints import BESIDE
from minidiff.grade.inputs import RuledNoise, ruled_torch
from minidiff.grade.mistakes import ddpm, equations, flow, networks, sampling
from minidiff.grade.mistakes.catalogue import CATALOGUE, mistakes_of
from minidiff.grade.runner import grade, grade_text
from minidiff.grade.slips import slips_of
from minidiff.grade.solutions import solution_text
from minidiff.grade.source import choose
from tests.grade.attack.__main__ import answer_text

EXERCISES = all_exercises()
FIRST = json.loads(Path(__file__).with_name("attack").joinpath("first.json").read_text())


def graded(name: str, *edits: str):
    """The result of a solution with some texts replaced."""
    return grade_text(name, answer_text(EXERCISES[name], edits))


# --- what is drawn --------------------------------------------------------------------------------


def test_draws_repeat_and_differ_by_round():
    first, again, other = Draw(0), Draw(0), Draw(1)
    assert torch.equal(first.picture("x"), again.picture("x"))
    assert first.picture("x").shape != other.picture("x").shape
    assert all(Draw(i).height != Draw(i).width for i in range(ROUNDS))


def test_every_option_of_a_choice_is_met():
    options = (1, 2, 3, 4, 5, 6)
    assert {Draw(i).choice("x", options) for i in range(ROUNDS)} == set(options)


def test_drawn_arguments_are_legal():
    for i in range(ROUNDS):
        draw = Draw(i)
        abar, prev = draw.levels("abar", "abar_prev")
        assert bool(((abar > 0) & (abar < prev) & (prev < 1)).all())
        pairs = draw.pairs()
        assert all(999 > t > t_prev >= -1 for t, t_prev in pairs) and len(pairs) >= 2
        rows = draw.rows("rows", 4)
        assert rows == sorted(set(rows)) and rows and max(rows) < 4


def test_noise_counts_rows():
    whole, single = RuledNoise(3, (1, 2, 2)), RuledNoise(3, (1, 2, 2))
    together = whole.draw([0, 2])
    assert torch.equal(together, torch.cat([single.draw([0]), single.draw([2])]))
    assert torch.equal(whole.draw([1]), single.draw([1])) and whole.drawn == 1


def test_ruled_draws_can_be_cut_and_know_their_generator():
    with ruled_torch():
        whole = torch.randn(4, 3)
    with ruled_torch() as streams:
        parts = torch.cat([torch.randn(1, 3), torch.randn(3, 3)])
        own = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(whole, parts) and not torch.equal(whole, own)
    assert streams.without == {"normal": 12}


def test_every_way_to_draw_follows_the_rule_and_honours_its_generator():
    def seeded():
        return torch.Generator().manual_seed(1)

    ways = [
        lambda g: torch.randn(4, 3, generator=g),
        lambda g: torch.empty(4, 3).normal_(generator=g),
        lambda g: torch.normal(0.0, 1.0, (4, 3), generator=g),
        lambda g: torch.normal(torch.zeros(4, 3), 1.0, generator=g),
        lambda g: torch.nn.init.normal_(torch.empty(4, 3), generator=g),
    ]
    state = torch.get_rng_state()
    with ruled_torch():
        normals, due = ways[0](seeded()), torch.rand(5, generator=seeded())
    for way in ways:
        with ruled_torch() as streams:
            assert torch.equal(way(seeded()), normals) and not streams.without
            assert not torch.equal(way(None), normals) and streams.without == {"normal": 12}
    with ruled_torch():
        assert torch.equal(torch.empty(5).uniform_(generator=seeded()), due)
    with ruled_torch():
        assert torch.equal(torch.empty(5).uniform_(1, to=3, generator=seeded()), 1 + 2 * due)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_ends_of_what_is_drawn():
    with ruled_torch(ends=True):
        drawn = torch.rand(64)
    assert sorted(set(drawn.tolist())) == [0.0, 1 - 2**-24]


# --- what is looked at ----------------------------------------------------------------------------


def test_a_changed_argument_is_named():
    def add(x, steps):
        steps.append(1)
        return x

    with pytest.raises(Wrong, match="add changes its argument steps in place"):
        watch(add)(torch.ones(2), [])

    def walk(x):
        yield x
        x += 1
        yield x

    steps = watch(walk)(torch.ones(2))
    next(steps)
    with pytest.raises(Wrong, match="walk changes its argument x in place"):
        next(steps)


def run(trial):
    return run_trial(lambda code, draw: trial(), None, 0)


@pytest.mark.parametrize(
    ("trial", "mistake"),
    [
        (lambda: torch.ones(2).requires_grad_() * 1, "graph-kept"),
        (lambda: torch.ones(2).double(), "another-dtype"),
        (lambda: torch.ones(2) + 0 * torch.randn(2), "own-random-numbers"),
        (lambda: (torch.manual_seed(3), torch.ones(2))[1], "own-random-numbers"),
    ],
)
def test_right_numbers_are_not_enough(trial, mistake):
    with pytest.raises(Wrong) as wrong:
        compare(run(trial), run(lambda: torch.ones(2)))
    assert wrong.value.mistake == mistake


def test_a_missing_graph_is_seen():
    with pytest.raises(Wrong, match="no gradient flows"):
        compare(run(lambda: torch.ones(2)), run(lambda: torch.ones(2).requires_grad_()))


def test_tuples_stand_for_lists():
    compare(run(lambda: ((1, 2), "a")), run(lambda: [[1, 2], "a"]))


def test_numbers_that_print_alike_get_more_digits():
    with pytest.raises(Wrong, match=r"is 0\.30000001; it should be 0\.3 .*differ from digit 8"):
        close(torch.tensor([0.30000001]).double(), 0.3, "y", 1e-9)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "old", "new", "mistake"),
    [
        ("forward_process", "(1 - abar) ** 0.5", "(1 - abar**0.5)", "root-before"),
        ("classifier_free_guidance", "+ scale *", "+ 7 *", "hard-coded"),
        ("x0_from_eps", "/ abar**0.5", "/ (abar**0.5 + 1e-2)", "weights"),
        ("sdedit_start", "noise.draw()", "torch.randn_like(x0)", "own-random-numbers"),
        ("ddpm_loss", "t / len(abars)), eps", "(t + 1) / len(abars)), eps", "counted-from-1"),
        ("ddpm_loss", "def squared_error", "@torch.no_grad()\ndef squared_error", "no-gradient"),
        ("ddpm_loss", "noise_like(x_0, generator)", "torch.randn_like(x_0)", "generator-ignored"),
        ("rms_norm", "x.float().pow(2)", "x.pow(2)", "rms-half-precision-statistics"),
        ("timestep_embedding", "[angles.cos(), angles.sin()]", "[angles.sin(), angles.cos()]",
         "sinusoid-sines-first"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(name, old, new, mistake):
    result = graded(name, old, new)
    assert (result.state, result.mutation) == ("failed", mistake) and result.hint


def test_two_mistakes_are_both_named():
    body = "return abar * x0 - (1 - abar) ** 0.5 * eps"
    result = graded("forward_process", "return abar**0.5 * x0 + (1 - abar) ** 0.5 * eps", body)
    assert result.hint.startswith("There seem to be two mistakes.")


FLIP = ["return x.flip(-2)", "return x.flip(-1)"]
UNSHUFFLED = ["self.order(x).argsort())", "self.order(x))"]
CIRCLE = ["return self.turn(x, -1)", "return self.turn(x, 1)"]


@pytest.mark.parametrize(
    ("edits", "shown", "mistake"),
    [
        (FLIP + UNSHUFFLED, "Permute", "views-permutation-not-inverted"),
        (FLIP + CIRCLE, "InnerCircle", "views-circle-inverse-forward"),
        (CIRCLE + UNSHUFFLED, "Permute", "views-permutation-not-inverted"),
    ],
)
def test_of_two_mistakes_the_hint_is_of_the_one_that_is_shown(edits, shown, mistake):
    result = graded("views", *edits)
    assert (result.message.partition("(")[0], result.mutation) == (shown, mistake)


def test_a_hint_that_the_failure_does_not_show_says_so():
    odd = ["self.order(x).argsort())", "self.order(x)) * 3"]
    result = graded("views", *FLIP, *odd)
    assert result.message.startswith("Permute") and result.mutation == "views-flip-left-right"
    assert result.hint.startswith(BESIDE)


def test_what_nobody_does_gets_no_hint():
    result = graded("forward_process", "return abar**0.5", "return (7 * x0).sin() + abar**0.5")
    assert result.state == "failed" and result.hint == ""


def test_every_slip_changes_the_text_and_has_a_sentence():
    for name in ("posterior_mean", "denoise_step", "t5_attention"):
        text = solution_text(EXERCISES[name])
        slips = slips_of(EXERCISES[name], text)
        assert len(slips) > 100
        for slip in slips:
            assert slip.apply(text) != text and slip.sentence.endswith((".", "?"))


def test_mistakes_have_names_of_their_own():
    tables = [equations.EQUATIONS, sampling.SAMPLING_VERSIONS, networks.NETWORKS]
    tables += [ddpm.DDPM_VERSIONS, flow.FLOW_VERSIONS]
    assert sum(map(len, tables)) <= len(CATALOGUE)
    assert len({m.name for table in tables for m in table}) == sum(map(len, tables))


def test_mistakes_of_an_exercise_or_a_function():
    of_exercise, of_function = mistakes_of("denoise_step"), mistakes_of("step")
    assert of_exercise and {m.name for m in of_exercise} <= {m.name for m in of_function}
    text = solution_text(EXERCISES["denoise_step"])
    assert all(mistake.apply(text) != text for mistake in of_exercise)
    assert mistakes_of("nonsense") == []


# --- files, and time ------------------------------------------------------------------------------

RIGHT = solution_text(EXERCISES["forward_process"])


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + RIGHT.encode(),
        b"# -*- coding: latin-1 -*-\n# na\xefve\n" + RIGHT.encode(),
        RIGHT.replace("\n", "\r\n").encode(),
    ],
)
def test_a_file_is_read_as_python_reads_it(tmp_path, data):
    (tmp_path / "forward_process.py").write_bytes(data)
    assert grade(EXERCISES["forward_process"], choose(str(tmp_path))).state == "passed"


def test_a_helper_beside_the_file_is_imported(tmp_path):
    (tmp_path / "roots.py").write_text("def root(x):\n    return x**0.5\n")
    text = RIGHT.replace(
        "from torch import Tensor", "from roots import root\nfrom torch import Tensor"
    )
    text = text.replace("abar**0.5 * x0", "root(abar) * x0")
    (tmp_path / "forward_process.py").write_text(text)
    assert grade(EXERCISES["forward_process"], choose(str(tmp_path))).state == "passed"
    assert not (tmp_path / "__pycache__").exists()


def test_an_import_that_sleeps_ends(monkeypatch):
    call = sandbox.call
    monkeypatch.setattr(sandbox, "call", lambda function, **more: call(function, wait=2, **more))
    result = grade_text("forward_process", "import time\ntime.sleep(1000)\n" + RIGHT)
    assert (result.state, result.message) == ("failed", "did not finish within 2 seconds")


@pytest.mark.parametrize("detached", ["", ", start_new_session=True"])
def test_a_process_that_the_code_has_started_ends_with_it(tmp_path, detached):
    note = tmp_path / "pid"
    begin = "import subprocess, pathlib\n"
    begin += f"child = subprocess.Popen(['sleep', '1000']{detached})\n"
    begin += f"pathlib.Path({str(note)!r}).write_text(str(child.pid))\n"
    assert grade_text("forward_process", begin + RIGHT).state == "passed"
    pid, end = int(note.read_text()), time.monotonic() + 5
    while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < end:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return  # ended; whoever adopted it has not looked yet
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_line_of_an_error_is_told():
    result = grade_text("forward_process", RIGHT.replace("return abar", "return ebar"))
    assert "NameError" in result.message
    assert RIGHT.splitlines()[result.line - 1].startswith("    return abar")
    assert grade_text("forward_process", "x = 1\ny = (\n").line == 2


# --- flow matching --------------------------------------------------------------------------------

NOISE = "x_0 = noise_like(x_1, generator)"
TIME = "t = torch.rand(len(x_1), device=x_1.device, generator=generator)"
WHOLE = "whole = int((1 - t_start) / step_size - 1e-9)"
LIST = "return [t_start + i * step_size for i in range(whole + 1)] + [1.0]"


@pytest.mark.parametrize(
    ("name", "edits"),
    [
        ("flow_velocity", [NOISE, "x_0 = torch.empty_like(x_1).normal_(generator=generator)"]),
        ("flow_velocity", [NOISE, "x_0 = torch.normal(0.0, 1.0, x_1.shape, generator=generator)"]),
        ("flow_velocity", [TIME, "t = torch.empty(len(x_1)).uniform_(generator=generator)"]),
        (
            "euler_sample",
            [WHOLE, "times, t = [], t_start", LIST, "while t < 1 - 1e-9:\n        times.append(t)\n"
             "        t += step_size\n    return times + [1.0]"],
        ),
        (
            "euler_sample",
            [WHOLE, "import numpy as np",
             LIST, "return list(np.arange(t_start, 1 - 1e-9, step_size)) + [1.0]"],
        ),
    ],
)  # fmt: skip
def test_another_right_way_is_accepted(name, edits):
    result = graded(name, *edits)
    assert result.state == "passed", result.message


LOSS = "squared_error(unet, flow_example(x_1))"
STEP = "euler_step(x, velocity(x, t), t_next - t)"
TOLD = "told = torch.cat([torch.zeros_like(c), torch.ones_like(c)])"
DIGITS = "torch.cat([c, c])"
DROPPED = "mask = torch.rand(len(c), device=x_0.device, generator=generator) >= p_uncond"
QUANTILE = "s = torch.quantile(x0.flatten(1).abs().float(), ratio, dim=1)"


@pytest.mark.parametrize(
    ("name", "mistake", "edits"),
    [
        ("flow_velocity", "not-a-tensor", [LOSS, f"{LOSS}.item()"]),
        ("flow_velocity", "not-a-tensor", [LOSS, f"{LOSS}.detach().numpy()"]),
        ("flow_velocity", "sum-for-mean", [LOSS, f"{LOSS} * x_1.numel()"]),
        ("flow_velocity", "sum-for-mean", [LOSS, f"{LOSS} * x_1[0].numel()"]),
        ("flow_velocity", "time-as-index", [TIME, "t = torch.randint(0, 50, (len(x_1),))"]),
        ("flow_velocity", "time-on-a-grid", [TIME, "t = torch.linspace(0, 1, len(x_1))"]),
        (
            "flow_velocity",
            "one-time-per-batch",
            [TIME, "t = torch.rand((), generator=generator).repeat(len(x_1))"],
        ),
        ("flow_velocity", "time-kept-from-the-ends", [TIME, f"{TIME} * 0.99 + 0.005"]),
        ("flow_velocity", "own-random-numbers", [TIME, f"torch.manual_seed(0)\n    {TIME}"]),
        ("flow_velocity", "generator-ignored", [TIME, "t = torch.empty(len(x_1)).uniform_()"]),
        ("euler_sample", "one-tensor-in-place", [f"x = {STEP}", f"x = x.copy_({STEP})",
                                                 "    yield x", "    x = x + 0\n    yield x"]),
        ("euler_sample", "several-velocities-a-step",
         [STEP, "x + (t_next - t) / 2 * (velocity(x, t) + velocity(x, t_next))"]),
        ("euler_sample", "asked-with-a-tensor",
         ["velocity(x, t)", "velocity(x, x.new_tensor([t]))"]),
        ("euler_sample", "only-the-last-picture",
         ["    yield x\n    for", "    for", "        yield x", "    return x"]),
        ("euler_sample", "one-step-too-many", ["zip(times[:-1], times[1:])",
                                               "zip(times, [*times[1:], 1.02])"]),
        ("flow_conditioning", "mask-on-the-digits",
         ["return (x_t, c, t, mask)", "return (x_t, torch.where(mask, c, 10), t, mask)"]),
        ("flow_conditioning", "target-of-another-noise",
         ["mask), velocity", "mask), x_1 - torch.randn(x_1.shape, generator=generator)"]),
        ("flow_conditioning", "mask-not-drawn",
         [">= p_uncond", ">= 0\n    mask = torch.arange(len(c)) >= p_uncond * len(c)"]),
        ("flow_conditioning", "flow-mask-of-time",
         [">= p_uncond", ">= 0\n    mask = (t * 7) % 1 >= p_uncond"]),
        ("flow_conditioning", "own-random-numbers",
         ["flow_example(x_1, generator)", "flow_example(x_1, torch.Generator().manual_seed(0))"]),
        ("class_dropout", "dropout-whole-batch",
         [DROPPED, "mask = (torch.rand(1, generator=generator) >= p_uncond).expand(len(c)) * 1.0"]),
        ("class_dropout", "dropout-whole-batch",
         [DROPPED, "mask = torch.ones(len(c))\n    if torch.rand(1).item() < p_uncond:\n"
                   "        mask = torch.zeros(len(c))"]),
        ("class_dropout", "dropout-whole-batch",
         [DROPPED, "mask = 1.0 if torch.rand(()).item() >= p_uncond else 0.0"]),
        ("class_dropout", "dropout-not-drawn",
         [DROPPED, "mask = torch.arange(len(c)) >= p_uncond * len(c)"]),
        ("dynamic_threshold", "threshold-one-for-the-batch",
         [QUANTILE, "s = torch.quantile(x0.abs().flatten(), ratio).reshape(1)"]),
        ("dynamic_threshold", "threshold-one-for-the-batch",
         [QUANTILE, "s = torch.quantile(x0.flatten(1).abs(), ratio, dim=1).mean().reshape(1)"]),
        ("flow_guidance", "a-digit-for-the-mask",
         [TOLD, "told = torch.ones(2 * len(c))", DIGITS, "torch.cat([0 * c + 10, c])"]),
        ("flow_guidance", "a-digit-for-the-mask", [DIGITS, "torch.cat([0 * c - 1, c])"]),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_what_it_does(name, mistake, edits):
    result = graded(name, *edits)
    assert (result.state, result.mutation) == ("failed", mistake), result.message


@pytest.mark.parametrize(
    "edits",
    [
        [TOLD, f"{TOLD}[:, None]"],
        ["times, told", "t=times, mask=told"],
        [DIGITS, "torch.cat([0 * c, c])"],
    ],
)
def test_a_call_that_the_unet_takes_is_accepted(edits):
    result = graded("flow_guidance", *edits)
    assert result.state == "passed", result.message


# --- the imagined students' answers ---------------------------------------------------------------


@pytest.mark.parametrize("kind", FIRST)
def test_the_answers_still_fit_the_solutions(kind):
    for name, _, *edits in FIRST[kind]:
        compile(answer_text(EXERCISES[name], edits), name, "exec")


@pytest.mark.slow
@pytest.mark.parametrize("answer", FIRST["right"], ids=lambda a: f"{a[0]}: {a[1]}")
def test_right_answers_are_accepted(answer):
    assert graded(answer[0], *answer[2:]).state == "passed"


def test_what_is_imported_from_the_package_is_not_written():
    result = grade_text("forward_process", "from minidiff.equations import forward_process\n")
    assert result.state == "failed"
    assert "`forward_process` is imported from minidiff.equations" in result.message
