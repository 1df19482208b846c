"""Finds what a wrong answer looks like: the wrong version in the catalogue that answers alike.

The student's outputs are compared with those of every known wrong version of the exercise. A wrong
version is the shipped solution with one replacement of text; it is made and run on the spot.
"""

import numpy as np
import torch

from minidiff.grade import sandbox
from minidiff.grade.exercises import Exercise
from minidiff.grade.expect import alike
from minidiff.grade.mistakes.catalogue import CATALOGUE, Mutation
from minidiff.grade.solutions import solution_text
from minidiff.grade.source import Code, Source, from_text

Signature = dict[str, np.ndarray] | str  # the outputs, or the sentence of what was raised


def find(exercise: Exercise, source: Source) -> Mutation | None:
    """The catalogue's wrong version that behaves as the code of `source` does, if there is one."""
    outcome = sandbox.call(lambda: signature(exercise, lambda: source.load(exercise)))
    if outcome.kind != "ok":
        return None
    for name, version in wrong_versions(exercise).items():
        if same(outcome.value, version):
            return CATALOGUE[name]
    return None


def wrong_versions(exercise: Exercise) -> dict[str, Signature]:
    """The signature of every wrong version of an exercise."""
    text = solution_text(exercise)
    known = [m for m in CATALOGUE.values() if m.exercise == exercise.name]

    def signatures() -> dict[str, Signature]:
        return {
            m.name: signature(exercise, lambda m=m: from_text(exercise, m.apply(text)))
            for m in known
        }

    outcome = sandbox.call(signatures)
    return outcome.value if outcome.kind == "ok" else {}


def signature(exercise: Exercise, load) -> Signature:
    """What the exercise's probe gives for some code."""
    try:
        code: Code = load()
        return {name: tensor.detach().numpy() for name, tensor in exercise.outputs(code).items()}
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def same(a: Signature, b: Signature) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str) and a == b
    return alike(*({k: torch.as_tensor(v) for k, v in side.items()} for side in (a, b)))
