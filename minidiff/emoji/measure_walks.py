"""How few UNet calls a good picture needs: every sampler against calls, guidance and limit.

    python -m minidiff.emoji.measure_walks [names]      a few cells, each printed when it is done

All walks are even, from 990 to 0, as the course's own. Each cell draws the same names from the same
seeds, one sample each, so that cells may be compared picture by picture.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from minidiff.emoji.judge import border_colour, grain, is_white
from minidiff.emoji.measure_samples import draw_names, recognised
from minidiff.emoji.workbench import Row, Workbench, share_row, spread
from minidiff.plan import Plan
from minidiff.samplers import make_sampler


@dataclass(frozen=True)
class Cell:
    """One way to draw, by the words of plan.make_plan; calls of the UNet, each for two prompts."""

    sampler: str
    calls: int
    guidance: float
    limit: str = "clip"
    eta: float | None = None

    @property
    def steps(self) -> int:
        """The longest walk of at most so many calls."""
        sampler = make_sampler(self.sampler)
        return max(n for n in range(1, self.calls + 1) if sampler.calls(n) <= self.calls)

    def plan(self, bench: Workbench) -> Plan:
        return bench.studio.plan(
            self.steps, sampler=self.sampler, spacing="even", eta=self.eta,
            limit=self.limit, guidance=self.guidance,
        )  # fmt: skip

    def __str__(self) -> str:
        eta = "" if self.eta is None else f" eta {self.eta:g}"
        return f"{self.sampler}{eta}, {self.limit}, {self.calls} calls, guidance {self.guidance:g}"


def all_cells() -> list[Cell]:
    """Every sampler, seven numbers of calls, three guidances, with and without clipping."""
    kinds = [("course", None), ("ddim", 0.0), ("ddim", 1.0), ("dpm++", None), ("heun", None)]
    grid = product(kinds, (4, 6, 8, 10, 15, 20, 33), (3.0, 5.0, 7.0), ("clip", "none"))
    return [Cell(name, calls, guidance, limit, eta) for (name, eta), calls, guidance, limit in grid]


# What two cores measure: the course's walk, and the contenders for its place with few calls.
FEW_CELLS = [
    Cell("dpm++", 8, 5.0),
    Cell("ddim", 8, 5.0, eta=1.0),
    Cell("dpm++", 4, 3.0),
    Cell("ddim", 4, 3.0, eta=1.0),
    Cell("course", 10, 7.0, "none"),
    Cell("ddim", 10, 5.0, eta=1.0),
    Cell("dpm++", 10, 5.0),
    Cell("dpm++", 6, 5.0),
    Cell("ddim", 6, 5.0, eta=1.0),
    Cell("heun", 9, 5.0),
    Cell("course", 33, 7.0, "none"),
]


def walks(bench: Workbench) -> list[Row]:
    """Three rows a cell; only the full measurement, which wants a GPU, has them."""
    if not bench.plan.curve:
        return []
    asked = spread(bench.prompts["naming"], bench.plan.curve)
    return [row for cell in all_cells() for row in measure(bench, cell, asked)]


def measure(bench: Workbench, cell: Cell, asked: list[dict]) -> Iterator[Row]:
    """Names right, borders white where nothing hides them, and grain."""
    samples = draw_names(bench, asked, plan=cell.plan(bench))
    free = [i for i, concept in enumerate(asked) if concept["code"] in bench.clear]
    rough = grain(samples)
    yield share_row(f"names: {cell}", recognised(bench, samples, asked))
    yield share_row(f"white border: {cell}", is_white(border_colour(samples[free])))
    error = (rough.std() / len(rough) ** 0.5).item()
    yield Row(f"grain: {cell}", rough.mean().item(), len(rough), error=error)


def main(names: int = 100) -> None:
    from minidiff.emoji.evaluate import format_table, open_bench

    bench = open_bench(None, fast=True)
    asked = spread(bench.prompts["naming"], names)
    for cell in FEW_CELLS:
        print(format_table(list(measure(bench, cell, asked))), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
