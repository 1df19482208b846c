"""What every exercise gets for free: watched calls, and random arguments against the package.

An exercise states its random arguments in a trial beside its checks, and that is all:

    @mean.trial
    def mean_trial(code, draw):
        x_t, x0 = draw.picture("x_t"), draw.picture("x0")
        return code.posterior_mean(x_t, x0, *draw.levels("abar", "abar_prev"))

It runs with the student's code and with the package as it was shipped, for ROUNDS draws of the same
arguments, and whatever it returns must be equal: numbers, shapes, dtypes, and whether a graph of
gradients hangs on it. A dict of results, causes before effects, gives better sentences than one
result; several parts are best tried in several trials. Draw (draw.py) makes pictures, levels,
pairs, rows, noise and generators; arguments that a picture of its own needs are drawn by `tensor`,
`whole`, `number` and `choice`, where `choice` meets each of up to six edge cases. Return what the
student is free in (list or tuple, bool or float) in one form. An exercise that draws with torch's
own functions runs its calls under `ruled_torch()`.

Every call of the student's functions and methods, in trials and in checks, is watched: its
arguments must be as they were afterwards. In trials, torch's and numpy's global random states must
be untouched where the package leaves them alone.
"""

import functools
import inspect
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType, GeneratorType

import numpy as np
import torch
from torch import Tensor, nn

from minidiff.grade.draw import ROUNDS, Draw
from minidiff.grade.exercises import Exercise
from minidiff.grade.expect import Wrong, be, close, equal, name, same_kind
from minidiff.grade.facts import OTHER_DTYPE
from minidiff.grade.source import Code, shipped_code

A_GENERATOR = "a generator"  # a choice in which False says that none is handed in
TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}


# --- watched calls ----------------------------------------------------------------------------


class Watched:
    """The code under test, each of its functions and methods watched: see `watch`."""

    def __init__(self, code: Code):
        self._code, self._made = code, {}

    def __getattr__(self, wanted: str):
        if wanted not in self._made:
            found = getattr(self._code, wanted)
            if isinstance(found, FunctionType):
                found = watch(found)
            elif isinstance(found, type):
                watch_methods(found)
            self._made[wanted] = found
        return self._made[wanted]


def watch_methods(kind: type) -> None:
    """Watch the methods that a class defines itself; a module's are called by its __call__."""
    for key, method in list(vars(kind).items()):
        if isinstance(method, FunctionType) and not key.startswith("__"):
            setattr(kind, key, watch(method))


def watch(function: Callable) -> Callable:
    """The same function; it raises Wrong if a call has changed an argument in place."""
    if hasattr(function, "watched"):
        return function

    @functools.wraps(function)
    def watched(*args, **kwargs):
        before = snapshot(function, args, kwargs)
        mode = torch.is_grad_enabled(), torch.get_default_dtype()
        result = function(*args, **kwargs)
        unchanged(function, before)
        if isinstance(result, GeneratorType):
            return each(function, result, before)
        if isinstance(result, FunctionType):  # a function that it made, to be called later
            result = watch(result)
        if mode != (torch.is_grad_enabled(), torch.get_default_dtype()):
            torch.set_default_dtype(mode[1])
            raise Wrong(f"{function.__name__} leaves a global setting of torch changed")
        return result

    watched.watched = True
    return watched


def each(function: Callable, steps, before):
    """The same generator, its arguments and what it yielded looked at after each step."""
    last: list = []
    for step in steps:
        unchanged(function, before)
        kept(function, last)
        last = [(part, copied(part)) for part in parts_of(step) if isinstance(part, Tensor)]
        yield step
    unchanged(function, before)
    kept(function, last)


def kept(function: Callable, yielded: list[tuple[Tensor, Tensor]]) -> None:
    """Raise Wrong if a tensor that a generator has yielded is another one by now."""
    if not all(torch.equal(now.nan_to_num(), then.nan_to_num()) for now, then in yielded):
        raise Wrong(
            f"{function.__name__} changes in place what it has yielded",
            hint="Every yield hands out the same tensor, so that all states become the last one. "
            "Make a new one in each step, as x = x + a does, and x += a or x.copy_(a) does not.",
            mistake="one-tensor-in-place",
        )


def snapshot(function: Callable, args, kwargs) -> list[tuple[str, object, object]]:
    """(name, the argument, a copy of it) for every argument that could be changed in place."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):  # the call itself will say so
        return []
    named = [(k, part) for k, v in bound.items() for part in parts_of(v)]
    return [(k, part, copied(part)) for k, part in named]


def parts_of(value: object) -> list:
    """The tensors, lists and dicts in an argument."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, nn.Module):
        return list(value.parameters())
    if isinstance(value, (list, tuple)):
        own = [value] if isinstance(value, list) else []
        return own + [part for v in value for part in parts_of(v)]
    if isinstance(value, dict):
        return [value, *(part for v in value.values() for part in parts_of(v))]
    return []


def copied(part: object) -> object:
    return part.detach().clone() if isinstance(part, Tensor) else part.copy()


def unchanged(function: Callable, before: list) -> None:
    for key, now, then in before:
        if isinstance(now, Tensor):
            same = now.shape == then.shape and torch.equal(
                now.detach().nan_to_num(), then.nan_to_num()
            )
        else:
            same = len(now) == len(then) and all(
                a is b or (not isinstance(a, Tensor) and a == b) for a, b in zip(now, then)
            )
        if not same:
            what = "the module's own weights" if key == "self" else f"its argument {key}"
            raise Wrong(
                f"{function.__name__} changes {what} in place; the caller's {key} {be(key)} another"
                " now",
                hint=f"Whoever called still needs {key} as it was. Make a new one: x = x * 2, not "
                "x *= 2, and none of the methods that end in an underscore; for lists, a + [b] "
                "and not a.append(b).",
                mistake=f"changed-in-place-{key}",
            )


# --- trials -------------------------------------------------------------------------------------


@dataclass
class Run:
    """What one trial gave in one round: its outputs by name, what was drawn, and what it touched.

    error is the exception that ended it, or None.
    """

    outputs: dict[str, object] = field(default_factory=dict)
    draw: Draw | None = None
    touched: str = ""
    error: BaseException | None = None


def run_trial(trial: Callable, code: object, round_: int) -> Run:
    """One round of a trial; an exception is kept, not raised."""
    run = Run(draw=Draw(round_))
    torch.default_generator.manual_seed(round_)
    np.random.seed(round_)  # noqa: NPY002  the global state, which a student may touch
    random.seed(round_)
    before = random_states()
    try:
        given = trial(code, run.draw)
        run.outputs = given if isinstance(given, dict) else {"the result": given}
        run.touched = next((k for k, v in random_states().items() if v != before[k]), "")
        drawn_from = run.draw.said.get(A_GENERATOR) is False and torch.initial_seed() == round_
        if run.touched == "torch" and drawn_from:  # which is right where none is handed in
            run.touched = ""
    except Exception as error:
        run.error = error
    return run


def random_states() -> dict[str, object]:
    state = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (state[1].tobytes(), state[2]),
        "python": random.getstate(),
    }


def rounds_of(trial: Callable) -> int:
    return getattr(trial, "rounds", ROUNDS)


def same_as_package(exercise: Exercise, code: object) -> None:
    """Run every trial of an exercise; raise Wrong where the student's code does something else."""
    package = Watched(shipped_code(exercise))
    for trial in exercise.trials:
        for i in range(rounds_of(trial)):
            due, got = run_trial(trial, package, i), run_trial(trial, code, i)
            if due.error:
                raise due.error
            if got.error:
                got.error.drawn = f"{got.draw.sentence()}your code "
                raise got.error
            compare(got, due)


def compare(got: Run, due: Run) -> None:
    """Raise Wrong for the first output that differs, or for a random state that was touched."""
    drawn = due.draw.sentence()
    if got.touched and not due.touched:
        raise Wrong(
            f"{drawn}the random state of {got.touched} itself is another afterwards",
            hint=OWN_NOISE,
            mistake="own-random-numbers",
        )
    for key in due.outputs:
        alike_in_all(got.outputs.get(key), due.outputs[key], f"{drawn}{key}")
        for name_ in reached(due, key) - reached(got, key):
            raise Wrong(
                f"{drawn}{key} has the right numbers, but no gradient reaches {name_}",
                hint=f"{name_} is cut off from training: look for detach, .data or no_grad.",
                mistake="no-gradient",
            )


def reached(run: Run, key: str) -> set[str]:
    """The drawn tensors that a gradient of this output reaches."""
    given = [x for x in parts_of(run.outputs[key]) if isinstance(x, Tensor) and x.requires_grad]
    if not given or not run.draw.leaves:
        return set()
    total = sum(x.double().sum() for x in given)
    leaves = run.draw.leaves
    slopes = torch.autograd.grad(total, list(leaves.values()), retain_graph=True, allow_unused=True)
    return {name_ for name_, slope in zip(leaves, slopes) if slope is not None}


OWN_NOISE = (
    "The code draws random numbers of its own, or sets a seed, where it should only use the noise"
    " or the generator that it is given: the same seed must always give the same picture."
)


def alike_in_all(got: object, due: object, what: str) -> None:
    """Raise Wrong unless the two are the same thing: kind, shape, dtype, graph, and numbers."""
    if isinstance(due, (list, tuple)) and any(isinstance(v, (Tensor, list, tuple)) for v in due):
        if not isinstance(got, (list, tuple)):
            raise Wrong(f"{what} is a {type(got).__name__}; it should be a list or a tuple")
        equal(len(got), len(due), f"the length of {what}")
        for i, (a, b) in enumerate(zip(got, due)):
            alike_in_all(a, b, f"{what}, entry {i},")
    elif isinstance(due, Tensor):
        alike_tensors(got, due, what)
    elif isinstance(due, float):
        close(torch.as_tensor(got), torch.tensor(due), what)
    elif isinstance(due, (list, tuple)):
        equal(list(got) if isinstance(got, (list, tuple)) else got, list(due), what)
    else:
        equal(got, due, what)


def alike_tensors(got: object, due: Tensor, what: str) -> None:
    finite = bool(torch.isfinite(due.double()).all())
    same_kind(got, due, what, finite)
    if got.is_floating_point() != due.is_floating_point():
        raise Wrong(f"{what} is {name(got.dtype)}; it should be {name(due.dtype)}")
    if finite:
        close(got, due, what, TOLERANCE.get(due.dtype, 0.0))
    if due.is_floating_point() and got.dtype != due.dtype:
        raise Wrong(
            f"{what} has the right numbers but is {name(got.dtype)}; it should be"
            f" {name(due.dtype)}",
            hint=OTHER_DTYPE,
            mistake="another-dtype",
        )
    if got.device != due.device:
        raise Wrong(f"{what} is on {got.device}; it should be on {due.device}")
    if due.requires_grad and not got.requires_grad:
        raise Wrong(
            f"{what} has the right numbers, but no gradient flows through it",
            hint="Nothing can be trained through this: look for no_grad, detach, .data or .item().",
            mistake="no-gradient",
        )
    if got.requires_grad and not due.requires_grad:
        raise Wrong(
            f"{what} has the right numbers, but drags a graph of gradients behind it",
            hint="Sampling needs no gradients: without torch.no_grad() every step is kept in"
            " memory.",
            mistake="graph-kept",
        )
