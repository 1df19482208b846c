"""`make grade`: the checks of each exercise in order, the first failure in words, and a hint."""

import json as json_format
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors.torch import load_file

from minidiff.errors import UserError
from minidiff.grade import hints, sandbox
from minidiff.grade.exercises import REFERENCE, Exercise, all_exercises
from minidiff.grade.expect import same_outputs
from minidiff.grade.sandbox import Outcome
from minidiff.grade.source import Source, choose
from minidiff.io.paths import need_clone

WITH_TORCHVISION = {  # the files of the package that import it, or import one that does
    "minidiff/guidance.py",
    "minidiff/sampling.py",
    "minidiff/views.py",
    "minidiff/mnist/ddpm.py",
}
REFERENCES = Path(__file__).parent / "reference.safetensors"


@dataclass
class Result:
    """How one exercise did. state is "passed", "failed" or "not written"."""

    name: str
    section: str
    state: str
    passed: list[str] = field(default_factory=list)
    failed_check: str = ""
    message: str = ""
    hint: str = ""
    mutation: str = ""
    printed: str = ""


def main(ex: str | None = None, source: str = "exercises", json: bool = False) -> None:
    """Grade some exercises or all; print the result. SystemExit(1) unless all are right.

    ex: names with commas between. source: see minidiff/grade/source.py.
    """
    need_clone("the exercises and their grader")
    chosen, code = choose_exercises(ex), choose(source)
    results = []
    for exercise in chosen:
        results.append(grade(exercise, code))
        if not json and len(chosen) > 1:
            print(line(results[-1]), flush=True)
    if json:
        print(as_json(results, code))
    else:
        report(results, code)
    if any(result.state != "passed" for result in results):
        raise SystemExit(1)


def choose_exercises(names: str | None) -> list[Exercise]:
    """The exercises of these names. UserError for a name that is not one."""
    known = all_exercises()
    wanted = [name.strip() for name in names.split(",")] if names is not None else list(known)
    for name in wanted:
        if name not in known:
            raise UserError(f"no exercise is called {name!r}; they are: {', '.join(known)}")
    return preload([known[name] for name in wanted])


def preload(exercises: list[Exercise]) -> list[Exercise]:
    """Import torchvision, which takes seconds, only if one of the exercises will need it."""
    if any(part.file in WITH_TORCHVISION for exercise in exercises for part in exercise.parts):
        sandbox.preload("torchvision.transforms.functional")
    return exercises


def grade(exercise: Exercise, source: Source) -> Result:
    """Run the checks of an exercise up to the first that fails."""
    result = Result(exercise.name, exercise.section, "passed")
    for name in [*exercise.checks, REFERENCE]:
        outcome = run_check(exercise, name, source)
        result.printed = result.printed or outcome.printed
        if outcome.kind == "ok":
            result.passed.append(name)
            continue
        result.failed_check, result.message = name, outcome.sentence
        result.state = "not written" if outcome.error == "YourTurnError" else "failed"
        if result.state == "not written":
            result.message = f"{outcome.sentence.partition(': ')[2]}; the file says how"
        elif outcome.kind != "timeout" and (mutation := hints.find(exercise, source)):
            result.hint, result.mutation = mutation.hint, mutation.name
        break
    return result


def run_check(exercise: Exercise, name: str, source: Source) -> Outcome:
    """One check in the sandbox, on freshly loaded code."""

    def check() -> None:
        code = source.load(exercise)
        if name == REFERENCE:
            same_outputs(exercise.outputs(code), reference(exercise))
        else:
            exercise.checks[name](code)

    return sandbox.call(check)


def reference(exercise: Exercise) -> dict:
    """The committed outputs of an exercise's probe."""
    prefix = f"{exercise.name}/"
    tensors = load_file(REFERENCES)
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


# --- the report -------------------------------------------------------------------------------

MARKS = {"passed": "ok", "failed": "WRONG", "not written": "-"}


def line(result: Result) -> str:
    return f"  {MARKS[result.state]:6}{result.name:26}{result.section:10}{summary(result)}"


def summary(result: Result) -> str:
    if result.state == "passed":
        return f"{len(result.passed)} checks"
    return result.state if result.state == "not written" else result.failed_check


def report(results: list[Result], source: Source) -> None:
    """Print what there is to say beyond a line per exercise: the first failure, and the score."""
    wrong = [r for r in results if r.state == "failed"] or [
        r for r in results if r.state == "not written"
    ]
    if wrong:
        explain(wrong[0])
    right = sum(r.state == "passed" for r in results)
    print(f"\n{right} of {len(results)} exercises right ({source.name})")


def explain(result: Result) -> None:
    """Print what passed, what failed, and the hint."""
    print(f"\n{result.name} (course {result.section})")
    for name in result.passed:
        print(f"  passed  {name}")
    if result.state == "not written":
        print(f"  to do   {result.message}")
    else:
        print(f"  WRONG   {result.failed_check}")
        print(f"          {result.message}")
    if result.hint:
        print(f"  hint    {result.hint}")
    if result.printed:
        print(f"  your code printed:\n{result.printed.rstrip()}")


def as_json(results: list[Result], source: Source) -> str:
    right = sum(r.state == "passed" for r in results)
    summary = {
        "source": source.name,
        "passed": right == len(results),
        "score": right,
        "out_of": len(results),
        "exercises": [asdict(result) for result in results],
    }
    return json_format.dumps(summary, indent=2)
