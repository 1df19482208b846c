"""One row of the parity table: what was compared, how often, and how far apart it was."""

from dataclasses import dataclass, field

from torch import Tensor

from tests.layers import relative_error

COLUMNS = "{:<58} {:>7}  {:>9}  {:>9}  {:<22} {}"
HEADER = COLUMNS.format("what", "cases", "max diff", "rel error", "tolerance", "")


@dataclass
class Check:
    """Comparisons of one kind, with a bound on their worst.

    stated    how many cases must run: fewer is a failure
    relative  bound on |ours - reference| / |reference| of any case, Euclidean norms
    largest   bound on the difference of any single number
    Without either bound the two sides must be equal.
    """

    what: str
    stated: int
    relative: float | None = None
    largest: float | None = None
    cases: int = 0
    worst_relative: float = 0.0
    worst: float = 0.0
    unequal: list[str] = field(default_factory=list)
    note: str = ""

    def compare(self, ours: Tensor, reference: Tensor) -> bool:
        """Count a case of numbers; True if it is within the bounds."""
        self.cases += 1
        if ours.shape != reference.shape or not ours.isfinite().all():
            self.unequal.append(f"{tuple(ours.shape)}, or not finite")
            return False
        error = relative_error(ours, reference)
        largest = float((ours.double() - reference.double()).abs().max())
        self.worst_relative = max(self.worst_relative, error)
        self.worst = max(self.worst, largest)
        return within(error, self.relative) and within(largest, self.largest)

    def equal(self, ours, reference, name: str = "") -> bool:
        """Count a case that allows no difference."""
        self.cases += 1
        if ours != reference:
            self.unequal.append(name or f"{ours!r} != {reference!r}")
        return ours == reference

    @property
    def passed(self) -> bool:
        close = within(self.worst_relative, self.relative) and within(self.worst, self.largest)
        return close and not self.unequal and self.cases >= self.stated

    def row(self) -> str:
        bounds = [f"rel < {self.relative:.0e}"] if self.relative is not None else []
        bounds += [f"max < {self.largest:.1e}"] if self.largest is not None else []
        numbers = (f"{self.worst:.1e}", f"{self.worst_relative:.1e}") if bounds else ("-", "-")
        tolerance = ", ".join(bounds) or "equal"
        return COLUMNS.format(self.what, self.cases, *numbers, tolerance, self.verdict())

    def verdict(self) -> str:
        if self.passed:
            return "ok"
        faults = [f"{self.cases} of {self.stated} cases"] if self.cases < self.stated else []
        faults += [f"{len(self.unequal)} unequal: {self.unequal[0][:200]}"] if self.unequal else []
        return "; ".join(["FAILED", *faults, *([self.note] if self.note else [])])


def within(value: float, bound: float | None) -> bool:
    return bound is None or value <= bound
