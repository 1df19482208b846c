"""What the tabs share: the desk they work at, the controls of a walk, links into the book."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from html import escape

import gradio as gr

from minidiff.errors import UserError
from minidiff.lessons.chapters import find_chapters
from minidiff.plan import read_defaults
from minidiff.play import show
from minidiff.play.book import title_of
from minidiff.play.live import Stops, remarks
from minidiff.play.names import known_prompts
from minidiff.samplers import SAMPLERS
from minidiff.stage2.upscaler import Upscaler
from minidiff.studio import SEED, Job, Studio
from minidiff.weights.known import has_second

MODEL = "model"  # all that draws waits in one queue: one model, one walk at a time
QUIET = {"queue": False, "show_progress": "hidden"}  # of events that answer at once
FEW_STEPS, GOOD_SAMPLER = 12, "dpm++"  # where the checkpoint recommends a long walk


class Desk:
    """One studio, and who has asked it to stop."""

    def __init__(self, studio: Studio, weights=None, embeddings=None, weights_2=None):
        self.studio, self.weights, self.embeddings = studio, weights, embeddings
        self.weights_2 = weights_2
        self.stops = Stops()
        self.prompts = known_prompts(studio.model)

    @cached_property
    def upscaler(self) -> Upscaler | None:
        """The second stage: the one that was named, else the one beside the first, or none.

        UserError for a folder that was named and is none; beside the first, it is left alone.
        """
        if self.weights_2 is None and not has_second(self.studio.model.folder):
            return None
        try:
            return Upscaler(self.studio, self.weights_2)
        except UserError as error:
            if self.weights_2 is not None:
                raise
            print(f"The second stage beside {self.studio.model.folder} is left out: {error}")
            return None

    @property
    def opened(self) -> dict[str, str]:
        """What the command line was given, as minidiff.open takes it."""
        given = {"folder": self.weights, "embeddings": self.embeddings}
        return {name: str(value) for name, value in given.items() if value is not None}

    @property
    def options(self) -> dict[str, str]:
        """The same as options of other verbs."""
        words = {name.replace("folder", "weights"): value for name, value in self.opened.items()}
        return words | ({"weights_2": str(self.weights_2)} if self.weights_2 else {})

    def prepare(self, make: Callable[..., Job], *what, **how) -> tuple[Job, str]:
        """A job, and as HTML what there is to say about its prompts."""
        with remarks() as said:
            job = make(*what, **how)
        return job, "".join(show.note(f"Note: {sentence}") for sentence in said)

    def begin(self, request: gr.Request) -> Callable[[], bool]:
        return self.stops.begin(request.session_hash)

    def stop(self, request: gr.Request) -> None:
        self.stops.stop(request.session_hash)

    def forget(self, request: gr.Request) -> None:
        self.stops.forget(request.session_hash)


def in_background(work: Callable[[], object]) -> None:
    threading.Thread(target=work, daemon=True).start()


def prompt_box(desk: Desk, value, label: str, several: bool = False) -> gr.Dropdown:
    """A field that completes the names the model knows; other texts may be typed."""
    free = desk.prompts.free
    return gr.Dropdown(
        list(desk.prompts.names), value=value, label=label, multiselect=several,
        allow_custom_value=free, num_choices_shown=40,
    )  # fmt: skip


@dataclass
class WalkControls:
    """How a walk goes: the components, in the order of `words`."""

    components: list[gr.components.Component]

    @staticmethod
    def words(steps: float, sampler: str, guidance: float, negative: str) -> dict:
        """What studio functions take."""
        return {
            "steps": int(steps),
            "sampler": sampler,
            "guidance": float(guidance),
            "negative": negative or "",
        }


def walk_controls(desk: Desk, guidance=None, steps=None, title="How it walks") -> WalkControls:
    """Steps, sampler, guidance, negative prompt; at first as the checkpoint recommends."""
    advice = read_defaults(desk.studio.model.folder)
    short = advice.steps == few(advice.steps)
    with gr.Accordion(title, open=False):
        with gr.Row():
            count = gr.Slider(2, 100, value=steps or few(advice.steps), step=1, label="Steps")
            sampler = gr.Dropdown(
                list(SAMPLERS), value=advice.sampler if short else GOOD_SAMPLER, label="Sampler"
            )
        scale = gr.Slider(
            0, 15, value=guidance or advice.guidance, step=0.5, label="Guidance (1 is none)"
        )
        negative = gr.Textbox("", label="Negative prompt", placeholder="what to steer away from")
    return WalkControls([count, sampler, scale, negative])


def few(steps: int) -> int:
    """As many steps as a checkpoint recommends, or fewer where one would wait too long."""
    return steps if steps <= 25 else FEW_STEPS


def seed_controls(tries: int = 1, most: int = 8) -> list[gr.components.Component]:
    with gr.Row():
        seed = seed_box()
        count = gr.Slider(1, most, value=tries, step=1, label="Tries")
    return [seed, count]


def seed_box() -> gr.Number:
    return gr.Number(SEED, label="Seed")


def one_seed(seed: float | None) -> int:
    if seed is None:
        raise UserError("the seed is empty: type a whole number, 0 or more")
    if seed != seed // 1:
        raise UserError(f"a seed is a whole number, not {seed:g}")
    return int(seed)


def seed_list(seed: float | None, count: float) -> list[int]:
    return [one_seed(seed) + i for i in range(int(count))]


def buttons(word: str) -> tuple[gr.Button, gr.Button]:
    """What starts a tab's work, and what stops it."""
    with gr.Row():
        start = gr.Button(word, variant="primary", min_width=120)
        return start, gr.Button("Stop", min_width=100)


def on_click(desk: Desk, button: gr.Button, stop: gr.Button, function, inputs, outputs) -> None:
    """Run a generator at a click, one at a time on the whole page; stop it at another."""
    button.click(
        function, inputs, outputs, concurrency_id=MODEL, concurrency_limit=1,
        show_progress="hidden", trigger_mode="multiple",
    )  # fmt: skip
    stop.click(desk.stop, None, None, **QUIET)


def chapters(*numbers: str) -> None:
    """Links to the chapters that a tab is about."""
    there = [chapter for chapter in find_chapters() if chapter.number in numbers]
    links = " ".join(
        f'<a href="/?tab=read&chapter={c.number}">{escape(title_of(c))}</a>' for c in there
    )
    gr.HTML(f'<p class="chapters">In the book: {links}</p>')
