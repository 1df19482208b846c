"""`make grade`: the checks of each exercise in order, the first failure in words, and a hint."""

import difflib
import json as json_format
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from minidiff.errors import UserError
from minidiff.grade import hints, sandbox
from minidiff.grade.exercises import REFERENCE, Exercise, all_exercises
from minidiff.grade.harness import Watched, same_as_package
from minidiff.grade.hints import Hint
from minidiff.grade.sandbox import Outcome
from minidiff.grade.source import Source, choose, of_text
from minidiff.io.paths import need_clone

WITH_TORCHVISION = {  # the files of the package that import it, or import one that does
    "minidiff/guidance.py",
    "minidiff/sampling.py",
    "minidiff/views.py",
    "minidiff/mnist/ddpm.py",
}


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
    line: int = 0


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
            near = difflib.get_close_matches(name, known, 3, 0.5)
            which = f"near it: {', '.join(near)}" if near else f"they are: {', '.join(known)}"
            raise UserError(f"no exercise is called {name!r}; {which}")
    return preload([known[name] for name in wanted])


def preload(exercises: list[Exercise]) -> list[Exercise]:
    """Import torchvision, which takes seconds, only if one of the exercises will need it."""
    if any(part.file in WITH_TORCHVISION for exercise in exercises for part in exercise.parts):
        sandbox.preload("torchvision.transforms.functional")
    return exercises


def grade(exercise: Exercise, source: Source) -> Result:
    """Run the checks of an exercise up to the first that fails, and look for a hint."""
    result, told = Result(exercise.name, exercise.section, "passed"), []
    outcome = sandbox.call(lambda tell: work(exercise, source, tell), told=told)
    result.printed = outcome.printed
    begun = [value for kind, value in told if kind == "begin"]
    failures = [value for kind, value in told if kind == "failed"]
    if outcome.kind == "ok" and not failures:
        result.passed = begun
        return result
    failure: Outcome = failures[0] if failures else outcome
    result.passed, result.failed_check = begun[:-1], begun[-1]
    result.message, result.line = failure.sentence, failure.line
    result.state = "not written" if failure.error == "YourTurnError" else "failed"
    if result.state == "not written":
        result.message = f"{failure.sentence.partition(': ')[2]}; the file says how"
    elif failure.hint:
        result.hint, result.mutation = failure.hint, failure.mistake
    elif outcome.kind == "ok" and outcome.value:
        result.hint, result.mutation = outcome.value.text, outcome.value.name
    return result


def grade_text(name: str, text: str) -> Result:
    """Grade a text as the file of the exercise `name`: what a page or an autograder calls.

    Result.state says the verdict, failed_check and message what is wrong, hint and mutation what it
    looks like, line where in the text an error was raised (0: none was). UserError for a name that
    is no exercise.
    """
    return grade(choose_exercises(name)[0], of_text(text))


def work(exercise: Exercise, source: Source, tell) -> Hint | None:
    """Inside the sandbox: checks in their order; a hint for the first that fails."""
    checks = checks_of(exercise)
    tell(("begin", next(iter(checks))))
    try:
        code = Watched(source.load(exercise))
    except BaseException as error:
        tell(("failed", sandbox.describe(error)))
        return None
    for number, (name, check) in enumerate(checks.items()):
        if number:
            tell(("begin", name))
        try:
            check(code)
        except BaseException as error:
            outcome = sandbox.describe(error)
            tell(("failed", outcome))
            if outcome.hint or outcome.error in ("YourTurnError", "SystemExit"):
                return None
            sys.stdout.enough()
            sandbox.more_time(sandbox.TIME_LIMIT)
            return hints.find(exercise, code, check if name != REFERENCE else None)
        sys.stdout.enough()
    return None


def checks_of(exercise: Exercise) -> dict[str, Callable]:
    """An exercise's checks in their order; the last compares with the package."""
    return {**exercise.checks, REFERENCE: lambda code: same_as_package(exercise, code)}


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
