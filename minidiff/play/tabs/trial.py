"""One run of the equation tab: what has been heard of both sides so far, and how it is shown."""

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch

from minidiff.grade.mistakes.catalogue import CATALOGUE
from minidiff.play import show, texts
from minidiff.play.bench import Event

DEFAULT_SCENES = {"minidiff/mnist/": "class_digits", "minidiff/views.py": "anagram"}
AMPLIFIED = 4  # times that the difference is shown stronger than it is


def scene_of(place: texts.Place, mistake: str | None) -> str:
    """The scene that shows a mistake; else the one that most mistakes of the function ask for."""
    if mistake and CATALOGUE[mistake].scene:
        return CATALOGUE[mistake].scene
    scenes = Counter(
        m.scene for name, m in CATALOGUE.items() if m.scene and texts.place_of(name) == place
    )
    if scenes:
        return scenes.most_common(1)[0][0]
    return next(
        (s for start, s in DEFAULT_SCENES.items() if place.file.startswith(start)), "sample"
    )


@dataclass
class Side:
    """A strip as it stands."""

    pictures: np.ndarray | None = None
    captions: list[str] = field(default_factory=list)
    done: float = 0.0
    whole: bool = True  # all numbers so far are numbers
    losses: dict[str, float] | None = None
    error: str = ""
    printed: str = ""
    ended: bool = False


@dataclass
class Trial:
    """Hears events of bench.run_together; the shipped side may be known from an earlier run."""

    place: texts.Place
    first_line: int  # of the function, in the changed file, from 0
    shipped: Side | None = None
    changed: Side = field(default_factory=Side)
    upper: Side = field(default_factory=Side)
    results: list[dict] = field(default_factory=list)
    stopped: bool = False

    def hear(self, side: str, event: Event) -> bool:
        """Take an event in; whether there is something new to show."""
        strip = self.changed if side == "changed" else self.upper
        told = event.told
        if event.kind == "strip":
            strip.pictures = show.to_bytes(event.pictures)
            strip.whole = strip.whole and bool(torch.isfinite(event.pictures).all())
            strip.captions, strip.done = list(told["captions"]), told["done"]
        elif event.kind == "losses":
            strip.losses = told["losses"]
        elif event.kind == "verdict":
            self.results.append(told)
        elif event.kind in ("error", "printed"):
            strip.error = strip.error or self.here(told.get("sentence", ""))
            strip.printed = told.get("printed", "")
        elif event.kind == "end":
            strip.ended = True
        return event.kind != "end"

    def here(self, sentence: str) -> str:
        """Lines of the file become lines of the editor."""
        name = self.place.file.rsplit("/", 1)[-1]

        def line(match: re.Match) -> str:
            return f"(line {int(match[1]) - self.first_line})"

        return re.sub(rf"\({re.escape(name)}, line (\d+)\)", line, sentence)

    def finish(self, stopped: bool) -> None:
        self.stopped = stopped

    def shipped_whole(self) -> bool:
        """Whether the upper strip is complete, and worth keeping for the next run."""
        if self.shipped is None and self.upper.ended and not self.upper.error:
            self.shipped = self.upper
        return self.shipped is not None

    @property
    def above(self) -> Side:
        return self.shipped or self.upper

    # --- what is shown ----------------------------------------------------------------------------

    def strips(self) -> str:
        rows = [("shipped", self.above.pictures), ("changed", self.changed.pictures)]
        gap = self.difference()
        rows += [(f"difference, {AMPLIFIED} times", gap)] if gap is not None else []
        rows = [(name, pictures) for name, pictures in rows if pictures is not None]
        captions = self.above.captions or self.changed.captions
        many = max((len(pictures) for _, pictures in rows), default=0) > 4
        return show.sheet(rows, captions, side=84 if many else 128)

    def difference(self) -> np.ndarray | None:
        """How far the changed pictures are from the shipped ones, once both are done."""
        a, b = self.above, self.changed
        if a.done < 1 or b.done < 1 or a.pictures.shape != b.pictures.shape:
            return None
        gap = np.abs(a.pictures.astype(int) - b.pictures.astype(int)) * AMPLIFIED
        return gap.clip(0, 255).astype(np.uint8)

    def state(self) -> str:
        """Where the run is, or what went wrong."""
        parts = []
        if self.above.error:
            parts.append(show.note(f"the shipped code: {self.above.error}", "wrong"))
        if self.changed.error:
            parts.append(show.note(f"Your code {self.changed.error}", "wrong"))
        elif not self.changed.whole:
            text = "Your code made values that are not numbers (NaN or infinite): drawn black"
            parts.append(show.note(text, "wrong"))
        if self.changed.printed:
            parts.append(show.note(f"Your code printed: {self.changed.printed}"))
        if self.stopped:
            parts.append(show.note("stopped"))
        elif not self.changed.ended:
            drawn = self.changed.done >= 1 or self.changed.error
            doing = "grading ..." if drawn else f"drawing ... {self.changed.done:.0%}"
            parts.append(show.note(doing, "busy"))
        return "".join(parts)

    def verdict(self) -> str:
        """What the grader says about the changed function."""
        parts = []
        for result in self.results:
            name = f"{result['name']} (course {result['section']})"
            if result["state"] == "passed":
                count = len(result["passed"])
                parts.append(show.note(f"{name}: right, {count} checks passed", "right"))
                continue
            told = self.here(f"{name}: {result['failed_check']}: {result['message']}")
            parts.append(show.note(told, "wrong"))
            if result["hint"]:
                parts.append(show.note(f"Hint: {result['hint']}"))
        if not self.results and self.changed.ended:
            parts.append(show.note(f"No exercise asks about {self.place.name}."))
        return "".join(parts)

    def numbers(self) -> str:
        """The errors of both sides on the course's test picture."""
        above, below = self.above.losses or {}, self.changed.losses or {}
        rows = [(name, loss(above.get(name)), loss(below.get(name))) for name in {**above, **below}]
        return show.table(rows, ["mean squared error", "shipped", "changed"]) if rows else ""


def loss(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
