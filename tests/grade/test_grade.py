"""The grader: right answers pass, wrong ones are caught and named, and no code harms it."""

import json
import os
import resource
import shutil

import pytest
import torch

from minidiff.errors import UserError
from minidiff.grade import hints, mutants, runner, sandbox
from minidiff.grade.exercises import REFERENCE, all_exercises
from minidiff.grade.expect import Wrong, close, equal, same_dtype
from minidiff.grade.harness import Watched
from minidiff.grade.mistakes.catalogue import CATALOGUE
from minidiff.grade.solutions import solution_text, stub_text
from minidiff.grade.source import choose, from_text
from minidiff.io import shipped
from minidiff.io.paths import ROOT

EXERCISES = all_exercises()


def first_failure(exercise, code) -> tuple[str, Exception | None, str]:
    """The first check that fails, how, and the name of the hint; ("", None, "") if all pass."""
    code = Watched(code)
    for name, check in runner.checks_of(exercise).items():
        try:
            check(code)
        except Exception as error:
            if getattr(error, "mistake", ""):
                return name, error, error.mistake
            found = hints.find(exercise, code, check if name != REFERENCE else None)
            return name, error, found.name if found else ""
    return "", None, ""


# --- exercises and solutions --------------------------------------------------------------------


@pytest.mark.parametrize("name", EXERCISES)
def test_solution_passes(name):
    exercise = EXERCISES[name]
    right = from_text(exercise, solution_text(exercise))
    assert first_failure(exercise, right) == ("", None, "")


@pytest.mark.parametrize("name", EXERCISES)
def test_stub_asks_for_its_lines(name):
    exercise = EXERCISES[name]
    check, error, _ = first_failure(exercise, from_text(exercise, stub_text(exercise)))
    assert check == next(iter(exercise.checks))
    assert type(error).__name__ == "YourTurnError" and str(error).startswith("write ")


@pytest.mark.parametrize("name", EXERCISES)
def test_exercise_file_has_task_and_line_counts(name):
    text = (ROOT / "lessons" / "exercises" / f"{name}.py").read_text()
    assert f"make grade EX={name}" in text
    assert stub_text(EXERCISES[name]).count("raise YourTurnError") >= 1
    assert "in the package" in stub_text(EXERCISES[name])


def test_shipped_equations_are_a_module_of_their_own():
    import minidiff.equations

    apart = shipped.shipped_equations()
    assert apart is not minidiff.equations
    half = torch.tensor(0.5)
    assert float(apart.forward_process(half, half, half)) == pytest.approx(0.5**0.5)


def test_a_damaged_pack_is_refused(tmp_path, monkeypatch):
    whole = shipped.PACK.read_bytes()
    (tmp_path / "shipped.zip").write_bytes(whole[:500] + bytes(8) + whole[508:])
    monkeypatch.setattr(shipped, "PACK", tmp_path / "shipped.zip")
    shipped.shipped_texts.cache_clear()
    with pytest.raises(UserError, match="damaged"):
        shipped.shipped_texts()
    shipped.shipped_texts.cache_clear()


# --- the catalogue ------------------------------------------------------------------------------


def test_catalogue_is_large_and_says_what_one_sees():
    assert len(CATALOGUE) >= 60
    for mutation in CATALOGUE.values():
        assert mutation.hint.endswith((".", "?")) and mutation.picture.endswith(".")


@pytest.mark.parametrize("name", EXERCISES)
def test_every_exercise_has_wrong_versions_each_caught_by_its_check(name):
    exercise, text = EXERCISES[name], solution_text(EXERCISES[name])
    known = [m for m in CATALOGUE.values() if m.exercise == name]
    assert known
    for mutation in known:
        check, _, hint = first_failure(exercise, from_text(exercise, mutation.apply(text)))
        assert (check, hint) == (mutation.caught_by, mutation.name)


def test_a_mutant_of_the_package_is_caught_and_named(tmp_path):
    mutants.copy_package(tmp_path)
    mutation = CATALOGUE["mean-x_t-abar-for-abar_prev"]
    before = (tmp_path / mutation.file).read_text()
    result = mutants.try_one(mutation, tmp_path)
    assert mutants.fault_of(mutation, result) == ""
    assert (tmp_path / mutation.file).read_text() == before


def test_a_mutant_that_nobody_catches_is_reported():
    mutation = CATALOGUE["cfg-swapped"]
    passed = runner.Result("classifier_free_guidance", "1.6", "passed")
    assert mutants.fault_of(mutation, passed) == "every check passed"
    other = runner.Result("classifier_free_guidance", "1.6", "failed", failed_check="another")
    assert "caught by `another`" in mutants.fault_of(mutation, other)
    with pytest.raises(UserError, match="the catalogue has no 'x'"):
        mutants.choose_mutations("x")


# --- what students' code may do -----------------------------------------------------------------

HEAD = """import os, sys, time
import torch

def classifier_free_guidance(eps_uncond, eps_cond, scale):
"""


def grade_body(tmp_path, body: str) -> runner.Result:
    """Grade a file whose function has this body."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    (tmp_path / "classifier_free_guidance.py").write_text(HEAD + lines)
    return runner.grade(EXERCISES["classifier_free_guidance"], choose(str(tmp_path)))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("return 1 / 0", "raised ZeroDivisionError: division by zero (classifier_free_guidance.py"),
        ("return eps_unknown", "raised NameError"),
        ("return None", "is nothing (None); it should be a tensor"),
        ("return eps_cond * float('nan')", "is NaN in 96 of 96 places"),
        ("return eps_cond[:1]", "has shape (1, 3, 4, 4); it should have (2, 3, 4, 4)"),
        ("sys.exit(0)", "raised SystemExit"),
        ("os._exit(3)", "ended the whole program (status 3)"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("return classifier_free_guidance(eps_uncond, eps_cond, scale)", "raised RecursionError"),
        ("return torch.zeros(1 << 40)", "raised RuntimeError"),
        ("return 'x' * (1 << 40)", "raised MemoryError"),
    ],
)
def test_what_goes_wrong_is_one_sentence(tmp_path, body, sentence):
    result = grade_body(tmp_path, body)
    assert result.state == "failed"
    assert sentence in result.message and "\n" not in result.message


@pytest.mark.parametrize(
    ("body", "limits"),
    [
        ("while True: pass", {"limit": 1}),
        ("try:\n    while True: pass\nexcept BaseException: return eps_cond", {"limit": 1}),
        ("while True: time.sleep(0.01)", {"wait": 1}),
    ],
)
def test_code_without_end_is_stopped(tmp_path, monkeypatch, body, limits):
    call = sandbox.call
    monkeypatch.setattr(sandbox, "call", lambda function, **more: call(function, **more, **limits))
    result = grade_body(tmp_path, body)
    assert result.state == "failed" and result.message == "did not finish within 1 seconds"


def test_a_limit_that_the_machine_has_set_stays():
    def lowered():
        resource.setrlimit(resource.RLIMIT_CPU, (10, 12))
        sandbox.restrict(resource.RLIMIT_CPU, 20)
        return resource.getrlimit(resource.RLIMIT_CPU)

    assert sandbox.call(lowered).value == (12, 12)


def test_without_fork_there_is_a_sentence(monkeypatch):
    monkeypatch.setattr(sandbox.multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    with pytest.raises(UserError, match="use Linux, macOS, or WSL"):
        sandbox.call(lambda: None)


def test_much_output_is_cut(tmp_path):
    result = grade_body(tmp_path, "for i in range(10**5): print('again', i)\nreturn eps_cond")
    assert len(result.printed) < 1100 and "characters more" in result.printed


def test_syntax_error_and_missing_names(tmp_path):
    result = grade_body(tmp_path, "return (")
    assert "SyntaxError" in result.message
    (tmp_path / "classifier_free_guidance.py").write_text("x = 1\n")
    source = choose(str(tmp_path))
    result = runner.grade(EXERCISES["classifier_free_guidance"], source)
    assert "there is no `classifier_free_guidance` in the file" in result.message
    result = runner.grade(EXERCISES["posterior_mean"], source)
    assert "there is no file posterior_mean.py" in result.message


def test_another_way_to_write_it_passes(tmp_path):
    body = "print('hello')\nreturn torch.lerp(eps_uncond, eps_cond, scale)"
    result = grade_body(tmp_path, body)
    assert result.state == "passed" and result.printed == "hello\n"


def test_known_mistake_gets_its_hint(tmp_path):
    body = "difference = eps_cond - eps_uncond\nreturn eps_cond + scale * difference"
    result = grade_body(tmp_path, body)
    assert result.mutation == "cfg-one-plus-w"
    assert result.failed_check == "scale 0 ignores the prompt"


# --- the command --------------------------------------------------------------------------------


def test_report_and_exit_status(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        runner.main(ex="posterior_mean", source=str(stubs(tmp_path, "posterior_mean")))
    assert stop.value.code == 1
    out = capsys.readouterr().out
    assert "to do   write posterior_mean" in out and "0 of 1 exercises right" in out
    runner.main(ex="posterior_mean", source="solutions")
    assert "1 of 1 exercises right" in capsys.readouterr().out


def stubs(folder, *names):
    """A folder with these exercises as a fresh checkout has them."""
    for name in names:
        (folder / f"{name}.py").write_text(stub_text(EXERCISES[name]))
    return folder


def test_a_fresh_checkout_has_everything_to_do(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        runner.main(source=str(stubs(tmp_path, *EXERCISES)))
    assert stop.value.code == 1
    table, _, rest = capsys.readouterr().out.partition("\n\n")
    assert [line.split()[1] for line in table.splitlines()] == list(EXERCISES)
    assert all(line.endswith("not written") for line in table.splitlines())
    assert "write forward_process (forward_process.py, line 19); the file says how" in rest
    assert f"0 of {len(EXERCISES)} exercises right" in rest


def test_a_folder_without_the_files_says_how_to_get_them(tmp_path, capsys):
    with pytest.raises(SystemExit):
        runner.main(ex="posterior_mean", source=str(tmp_path))
    assert "`make lessons-sync` writes the missing ones" in capsys.readouterr().out


def test_json_for_an_autograder(capsys):
    runner.main(ex="x0_from_eps, posterior_mean", source="minidiff", json=True)
    summary = json.loads(capsys.readouterr().out)
    assert summary["passed"] and summary["score"] == summary["out_of"] == 2
    assert [e["name"] for e in summary["exercises"]] == ["x0_from_eps", "posterior_mean"]


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="no exercise is called 'nonsense'"):
        runner.main(ex="nonsense")
    with pytest.raises(UserError, match="there is no folder 'nowhere' to grade"):
        runner.main(source="nowhere")


def test_grading_the_package_leaves_this_process_alone():
    before = torch.get_default_dtype(), os.getcwd()
    import minidiff.equations as mine

    runner.grade(EXERCISES["posterior_mean"], choose("minidiff"))
    import minidiff.equations as again

    assert again is mine and before == (torch.get_default_dtype(), os.getcwd())


# --- sentences ----------------------------------------------------------------------------------


def test_sentences_have_the_numbers():
    with pytest.raises(Wrong, match=r"y is 3 at \[1\]; it should be 2"):
        close(torch.tensor([2.0, 3.0]), 2.0, "y")
    with pytest.raises(Wrong, match=r"y is 0.3000\d+ \(it is float16, which rounds\); it should"):
        close(torch.tensor([0.3]).half(), torch.tensor([0.3]), "y")
    with pytest.raises(Wrong, match="y is a float; it should be a tensor"):
        close(1.0, torch.ones(2), "y")
    with pytest.raises(Wrong, match="y is float64; it should stay float32"):
        same_dtype(torch.zeros(1).double(), torch.float32, "y")


def test_floats_may_differ_by_rounding_and_the_first_that_does_not_is_shown():
    equal([0.1 + 0.2, 1.0], (0.3, 1.0), "the times")
    due = [i / 20 for i in range(21)]
    with pytest.raises(Wrong, match=r"at \[7\], is 0.36 where 0.35 is due"):
        equal([t + 0.01 * (i == 7) for i, t in enumerate(due)], due, "the times")


@pytest.mark.slow
def test_gallery_draws_a_mistake_and_leaves_the_package_alone():
    from minidiff.grade.gallery import draw

    before = (ROOT / "minidiff" / "equations.py").read_text()
    right, wrong = draw(None, "forward"), draw("forward-swapped")
    assert right.size == wrong.size and right.tobytes() != wrong.tobytes()
    assert (ROOT / "minidiff" / "equations.py").read_text() == before


def test_what_the_gallery_cannot_draw_is_one_sentence(monkeypatch):
    from minidiff.grade import gallery

    with pytest.raises(UserError, match="the catalogue has no 'nonsense'"):
        gallery.draw("nonsense")
    with pytest.raises(UserError, match="no picture shows"):
        gallery.draw("timesteps-ascending")
    with pytest.raises(UserError, match="no scene is called 'walk'; they are: forward, onestep"):
        gallery.draw(None, "walk")
    with pytest.raises(UserError, match="'forward' took longer than 0 seconds"):
        gallery.draw(None, "forward", timeout=0.01)
    monkeypatch.setattr(gallery.sys, "executable", shutil.which("false"))
    with pytest.raises(UserError, match="'forward' could not be drawn: ended with status 1"):
        gallery.draw(None, "forward")
    assert gallery.draw("forward-swapped").size[0] >= 192  # the error, as a picture
