"""The catalogue of wrong versions, from the four tables beside this file."""

from minidiff.grade.catalogue_equations import EQUATIONS
from minidiff.grade.mutation import Mutation

CATALOGUE: dict[str, Mutation] = {m.name: m for m in [*EQUATIONS]}

__all__ = ["CATALOGUE", "Mutation"]
