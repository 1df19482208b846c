"""Finds what a wrong answer looks like.

The student's code and the shipped one run the exercise's trials; where the first difference is, all
that is known is tried on the very same inputs: first the catalogue, then what the numbers
themselves show (facts.py), then slips of the pen (slips.py), then pairs of those. A version
explains an answer if it gives the same up to the first difference in every round, that one
included, and is not wrong later where the answer is right. Where no trial shows a difference, the
check that failed is taken as a trial itself.

A hint belongs to the failure that is shown: where there are two mistakes, the trials may meet one
of them first and the check the other. A version that passes the check, or fails it with another
sentence, is not what failed there; then the check is the trial, and what only the trials show is
told as something else.

A wrong name is worse than none. Slips that explain an answer as well, in another place of the code,
are told beside the first; and where all that is known of an answer is the text of an error, only
those slips count that people see in such a text.
"""

import inspect
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from types import CodeType, FunctionType

from torch import Tensor

from minidiff.grade import facts
from minidiff.grade.exercises import Exercise
from minidiff.grade.harness import OWN_NOISE, TOLERANCE, Run, Watched, rounds_of, run_trial
from minidiff.grade.mistakes.catalogue import CATALOGUE
from minidiff.grade.slips import Slip, slips_of
from minidiff.grade.solutions import solution_text
from minidiff.grade.source import from_text, shipped_code

SECONDS = 12.0  # of processor time, for all that is tried
MOST_PAIRS = 2500
MORE = 400  # slips tried after one that explains, for others that do
BESIDE = "Not what failed above, but wrong as well: "
SEEN_IN_ERRORS = ("call-missing", "order", "step-missing", "another-call", "not-handed-on",
                  "bound-missing", "condition")  # fmt: skip


@dataclass(frozen=True)
class Hint:
    """What an answer looks like. name: of the catalogue's mistake, or the kind of a slip.

    version: the solution with that mistake in it, "" where the numbers alone have said it.
    """

    name: str
    text: str
    version: str = ""


def find(exercise: Exercise, code: object, check: Callable | None = None) -> Hint | None:
    """What the code looks like, or None. check: the one that failed, if it is not the trials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of the versions tried are odd Python
        return looked_for(exercise, code, check)


def looked_for(exercise: Exercise, code: object, check: Callable | None) -> Hint | None:
    end = time.process_time() + SECONDS
    trials = [*exercise.trials, *([as_trial(check)] if check else [])]
    package = Watched(shipped_code(exercise))
    passed: list[Evidence] = []
    for trial in trials:
        evidence = Evidence.of(trial, code, package)
        if evidence.differs:
            numbers = numbers_in(exercise, code)
            found = Search(exercise, evidence, passed, end, numbers).best()
            return of_failure(exercise, code, check, found, end) if found and check else found
        passed.append(evidence)
    return None


def of_failure(exercise: Exercise, code: object, check: Callable, hint: Hint, end: float) -> Hint:
    """The hint if its version fails the check as the code does; else one that belongs there."""
    if not hint.version:
        return hint
    due, got = (failure(check, c) for c in (from_text(exercise, hint.version), code))
    if shape_of(due) == shape_of(got):
        return hint
    package = Watched(shipped_code(exercise))
    evidence = Evidence.of(as_trial(check), code, package)
    if evidence.differs:
        found = Search(exercise, evidence, [], end, numbers_in(exercise, code)).best()
        if found:
            return found
    return hint if due else replace(hint, text=BESIDE + hint.text)


def failure(check: Callable, code: object) -> str:
    """The sentence with which some code fails a check, "" if it passes."""
    try:
        check(code)
    except Exception as error:
        return said(error)
    return ""


def shape_of(sentence: str) -> str:
    """A sentence without its numbers, which a second mistake may change; not those of a name."""
    return re.sub(r"[\[(][^A-Za-z\])]*,[^A-Za-z\])]*[\])]|(?<![\w(])-?\d[\d.e+-]*", "#", sentence)


def as_trial(check: Callable) -> Callable:
    """A check as a trial of one round: what its calls gave, up to its end, and how it failed."""

    def trial(code, draw):
        given: list = []
        sentence = failure(check, Recording(code, given))
        return {str(i): value for i, value in enumerate(given)} | {"the failure": sentence}

    trial.rounds = 1
    return trial


class Recording:
    """Some code that remembers what its functions gave."""

    def __init__(self, code: object, given: list):
        self._code, self._given = code, given

    def __getattr__(self, name: str):
        found = getattr(self._code, name)
        if isinstance(found, type) or not callable(found):
            return found

        def recorded(*args, **kwargs):
            result = found(*args, **kwargs)
            self._given.append(result)
            return result

        return recorded


# --- what there is to explain -----------------------------------------------------------------


@dataclass
class Evidence:
    """A trial, what the package and the student gave in each round, and how many outputs count.

    depth: in each round, the number of outputs up to the first that differs; None: all are alike.
    """

    trial: Callable
    due: list[Run]
    got: list[Run]
    depth: list[int | None]

    @classmethod
    def of(cls, trial: Callable, code: object, package: object) -> "Evidence":
        rounds = range(rounds_of(trial))
        due = [run_trial(trial, package, i) for i in rounds]
        if any(run.error for run in due):  # the trial itself is at fault
            return cls(trial, [], [], [])
        got = [run_trial(trial, code, i) for i in rounds]
        return cls(trial, due, got, [first_difference(g, d) for g, d in zip(got, due)])

    @property
    def differs(self) -> bool:
        return any(depth is not None for depth in self.depth)

    @property
    def only_errors(self) -> bool:
        """Whether every difference is an error that was raised: no numbers can be explained."""
        return not any(self.depth)

    def explained_by(self, code: object, wholly: bool = False) -> bool:
        """Whether some code gives what the student's gave, up to the first difference or wholly."""
        order = sorted(range(len(self.depth)), key=lambda i: self.depth[i] is None)
        return all(self.same_in(i, code, wholly) for i in order)

    def same_in(self, i: int, code: object, wholly: bool) -> bool:
        run, got = run_trial(self.trial, code, i), self.got[i]
        if got.error or run.error:
            return said(got.error) == said(run.error)
        depth = self.depth[i] if self.depth[i] and not wholly else len(self.due[i].outputs)
        for number, (key, due) in enumerate(self.due[i].outputs.items(), start=1):
            mine, theirs = run.outputs.get(key), got.outputs.get(key)
            if not alike(mine, theirs) and (number <= depth or alike(theirs, due)):
                return False  # another answer; or a mistake that this one does not show
        return True


def first_difference(got: Run, due: Run) -> int | None:
    if got.error:
        return 0
    for depth, key in enumerate(due.outputs, start=1):
        if not alike(got.outputs.get(key), due.outputs[key]):
            return depth
    return None if not got.touched or due.touched else len(due.outputs)


def said(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}" if error else ""


def alike(a: object, b: object) -> bool:
    """Whether two outputs are the same thing, up to rounding, NaN and infinities included."""
    if isinstance(b, Tensor) or isinstance(a, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and alike_tensors(a, b)
    if isinstance(b, (list, tuple)) and isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(alike(x, y) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-5 * max(1.0, abs(b)) or (a != a and b != b)
    if type(a).__module__ in ("builtins", "NoneType"):
        return a == b
    return True  # objects of the code itself: what they do is seen elsewhere


def alike_tensors(a: Tensor, b: Tensor) -> bool:
    if (a.shape, a.dtype, a.requires_grad) != (b.shape, b.dtype, b.requires_grad):
        return False
    a, b, tolerance = a.detach().double(), b.detach().double(), TOLERANCE.get(b.dtype, 0.0)
    scale = max(1.0, float(b.nan_to_num(0, 0, 0).abs().max())) if b.numel() else 1.0
    near = (a - b).abs() <= tolerance * scale
    return bool((near | (a == b) | (a.isnan() & b.isnan())).all())


# --- the search -------------------------------------------------------------------------------


@dataclass
class Search:
    """Tries what is known on the evidence, the likeliest first, until the time is over."""

    exercise: Exercise
    evidence: Evidence
    passed: list[Evidence]
    end: float
    numbers: set[float]  # those that stand in the student's code

    def best(self) -> Hint | None:
        if any(g.touched and not d.touched for g, d in zip(self.evidence.got, self.evidence.due)):
            return Hint("own-random-numbers", OWN_NOISE)
        text = solution_text(self.exercise)
        catalogue = [m for m in CATALOGUE.values() if m.exercise == self.exercise.name]
        known = (Hint(m.name, m.hint, m.apply(text)) for m in catalogue)
        if found := self.first_of(known):
            return found
        if fact := facts.of(self.evidence, facts.FACTS):
            return Hint(*fact)
        slips = self.slips(text)
        if found := self.likely(text, slips):
            return found
        if fact := facts.of(self.evidence, facts.LATE_FACTS):
            return Hint(*fact)
        found = self.pair(text, [*located(catalogue, text), *slips])
        fact = None if found else facts.at_last(self.evidence)
        return found or (Hint(*fact) if fact else None)

    def slips(self, text: str) -> list[Slip]:
        """The slips in functions that the trial runs, the commoner first."""
        ran = functions_run(self.evidence.trial, from_text(self.exercise, text, MADE))
        slips = [s for s in slips_of(self.exercise, text) if s.function in ran and self.has(s)]
        return sorted(slips, key=lambda slip: KINDS.index(slip.kind) if slip.kind in KINDS else -1)

    def has(self, slip: Slip) -> bool:
        """Whether the number that a slip writes stands in the code that it is to explain."""
        numbers = [number for number in map(read, slip.number.split(", ")) if number is not None]
        free = (0, 1) if slip.kind == "hard-coded" else ()  # what is left out acts like these
        return all(number in free or abs(number) in self.numbers for number in numbers)

    def likely(self, text: str, slips: list[Slip]) -> Hint | None:
        """The first slip that explains the answer, and one in another place if that does too."""
        if self.evidence.only_errors:
            slips = [slip for slip in slips if slip.kind in SEEN_IN_ERRORS]
        wholly, beginning, more = [], [], MORE
        for slip in slips:
            if self.late() or not more:
                break
            more -= bool(wholly or beginning)
            if how_far := self.explains(slip.apply(text)):
                (wholly if how_far == "all" else beginning).append(slip)
        found = wholly or beginning
        if not found:
            return None
        first, *rest = found
        about = first.subject(text)
        others = [s for s in rest if s.subject(text) != about and s.apart_from(first)]
        version = first.apply(text)
        if not others:
            return Hint(first.kind, f"It looks like this: {first.sentence}", version)
        if self.evidence.only_errors:
            return None
        return Hint(first.kind, f"It looks like one of these, which give the same numbers. "
                    f"{first.sentence} Or: {others[0].sentence}", version)  # fmt: skip

    def first_of(self, versions: Iterator[Hint]) -> Hint | None:
        """The first version that explains everything; else the first that explains the beginning.

        After one that explains the beginning only, so many more are tried for a better one.
        """
        found, more = None, 300
        for hint in versions:
            if self.late() or not more:
                break
            more -= found is not None
            how_far = self.explains(hint.version)
            if how_far == "all":
                return hint
            found = found or (hint if how_far else None)
        return found

    def pair(self, text: str, slips: list[Slip]) -> Hint | None:
        """Two mistakes at once."""
        if not facts.informative(self.evidence) or sum(map(bool, self.evidence.depth)) < 2:
            return None
        for a, b in likely_pairs(slips):
            if self.late():
                return None
            first, second = sorted((a, b), key=lambda slip: -slip.begin)
            version = second.apply(first.apply(text))
            if self.explains(version):
                return Hint(f"{a.kind}+{b.kind}", f"There seem to be two mistakes. {a.sentence} "
                            f"And: {b.sentence}", version)  # fmt: skip
        return None

    def late(self) -> bool:
        return time.process_time() > self.end

    def explains(self, text: str) -> str:
        """Whether a version explains the student's answer, and passes what that passes.

        "all" if it gives the same everywhere, "beginning" up to the first difference, or "".
        """
        try:
            code = from_text(self.exercise, text)
        except Exception:
            return ""
        if not self.evidence.explained_by(code):
            return ""
        if not all(evidence.explained_by(code) for evidence in self.passed):
            return ""
        return "all" if self.evidence.explained_by(code, wholly=True) else "beginning"


MADE = "<made>"


def read(text: str) -> float | None:
    """The number that a text writes, if it is one."""
    try:
        return float(text)
    except ValueError:
        return None


def numbers_in(exercise: Exercise, code: object) -> set[float]:
    """The numbers in the bodies of the asked functions, their helpers' and the module's own."""
    found: set[float] = set()
    for part in exercise.parts:
        try:
            value = getattr(code, part.name)
        except Exception:  # it is not there
            continue
        methods = vars(value).values() if isinstance(value, type) else [value]
        for method in map(inspect.unwrap, filter(callable, methods)):
            if isinstance(method, FunctionType):
                found |= numbers_of_module(method)
    return found


def numbers_of_module(function: FunctionType) -> set[float]:
    """The numbers of a function, and of what stands beside it in its file."""
    beside = function.__globals__.values()
    beside = [inspect.unwrap(v) for v in beside if isinstance(v, FunctionType)] + [function]
    found = {abs(v) for v in function.__globals__.values() if isinstance(v, (int, float))}
    todo = [f.__code__ for f in beside]
    todo = [c for c in todo if c.co_filename == function.__code__.co_filename]
    while todo:
        for constant in todo.pop().co_consts:
            for value in constant if isinstance(constant, tuple) else (constant,):
                if isinstance(value, (int, float)):
                    found.add(abs(value))
                elif isinstance(value, CodeType):
                    todo.append(value)
    return found


def functions_run(trial: Callable, code: object) -> set[str]:
    """The names of the functions of a text that a trial runs, in any of its rounds."""
    names: set[str] = set()

    def note(frame, event, argument):
        if frame.f_code.co_filename == MADE:
            names.add(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        for i in range(rounds_of(trial)):
            run_trial(trial, code, i)
    finally:
        sys.setprofile(None)
    return names


def located(catalogue: list, text: str) -> Iterator[Slip]:
    """The catalogue's mistakes as slips, so that they can be one of a pair."""
    for mutation in catalogue:
        begin = text.index(mutation.old)
        end = begin + len(mutation.old)
        yield Slip(mutation.name, "", begin, end, mutation.new, mutation.hint)


def likely_pairs(slips: list[Slip]) -> Iterator[tuple[Slip, Slip]]:
    """Pairs of slips in different places, the commoner kinds first."""
    ranked = sorted(slips, key=lambda slip: RANK.get(slip.kind, 0))
    pairs = (p for total in range(2 * len(RANK)) for p in pairs_of_rank(ranked, total))
    for count, (a, b) in enumerate(pairs):
        if count == MOST_PAIRS:
            return
        if a.apart_from(b) and not (a.begin == a.end == b.begin == b.end):
            yield a, b


def pairs_of_rank(slips: list[Slip], total: int) -> Iterator[tuple[Slip, Slip]]:
    for a, b in combinations(slips, 2):
        if RANK.get(a.kind, 0) + RANK.get(b.kind, 0) == total:
            yield a, b


KINDS = [  # the commoner first
    "another-equation", "bound-missing", "hard-coded", "root-missing", "parentheses",
    "root-before", "arguments-swapped", "order",
    "another-operator", "left-out", "sides-swapped", "call-missing", "off-by-one",
    "not-handed-on", "first-rows", "another-call", "step-missing", "noise-of-others",
    "argument-changed", "truth", "comparison",
    "condition", "sign", "index", "slice", "result-changed", "no-grad-missing", "another-number",
    "one-plus", "squared", "root-added", "root-inverted", "another-name", "name-changed",
    "something-added",
]  # fmt: skip
RANK = {kind: 1 + i // 6 for i, kind in enumerate(KINDS)}
