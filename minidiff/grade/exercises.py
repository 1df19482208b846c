"""What an exercise is. The table of them fills when the checks are imported: see `all_exercises`.

An exercise names parts of the package that a student is to write. The modules of checks/ declare
each one beside its checks:

    part = Part("minidiff/equations.py", "posterior_mean")
    mean = Exercise("posterior_mean", "1.4", "...", [part])

    @mean.check("end points")
    def end_points(code): ...      # raises Wrong with one sentence

    @mean.trial
    def trial(code, draw): ...     # random arguments: must give what the package gives

harness.py says more about trials. `code` gives the functions and classes under test by name,
wherever they come from.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module

REFERENCE = "same as the package, for random arguments"
CHECK_MODULES = (
    "equations",
    "guidance",
    "sampling",
    "samplers",
    "t5",
    "unet",
    "cascade",
    "mnist",
    "ddpm",
    "flow",
)


@dataclass(frozen=True)
class Part:
    """A function or class of the package that an exercise asks for.

    write: the methods of a class that are the student's; the rest of it is given. None means all
    of a function, or every method of a class.
    """

    file: str
    name: str
    write: tuple[str, ...] | None = None

    @property
    def module(self) -> str:
        return self.file.removesuffix(".py").replace("/", ".")


@dataclass
class Exercise:
    """What to write, and the checks that say whether it is right, in the order they run."""

    name: str
    section: str
    task: str
    parts: list[Part]
    checks: dict[str, Callable] = field(default_factory=dict)
    trials: list[Callable] = field(default_factory=list)

    def __post_init__(self):
        EXERCISES[self.name] = self

    def check(self, name: str) -> Callable:
        def add(function):
            self.checks[name] = function
            return function

        return add

    def trial(self, function: Callable) -> Callable:
        self.trials.append(function)
        return function


EXERCISES: dict[str, Exercise] = {}


def all_exercises() -> dict[str, Exercise]:
    """Every exercise by name, in the order of the course."""
    for name in CHECK_MODULES:
        import_module(f"minidiff.grade.checks.{name}")
    return EXERCISES
