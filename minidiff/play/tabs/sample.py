"""Prompts become pictures, step by step; afterwards a slider walks through all steps."""

from functools import partial

import gradio as gr

from minidiff.errors import UserError
from minidiff.play import copyable, live, show
from minidiff.play.tabs import common

ID = "sample"
FIRST_SAID = "Press Draw: pictures appear while they are made, and Step walks through them."
FIRST = ("a cat", "red heart")


def build(desk: common.Desk) -> list:
    first = [p for p in FIRST if desk.prompts.free] or list(desk.prompts.examples[:1])
    if not desk.prompts.free or desk.prompts.examples[0] not in FIRST:
        first = list(desk.prompts.examples[:1])
    kept = gr.State(None)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            prompts = common.prompt_box(desk, first, "Prompts (Enter after each)", several=True)
            with gr.Row(elem_classes="examples"):
                for example in desk.prompts.examples:
                    add = gr.Button(example, size="sm")
                    add.click(partial(added, example), prompts, prompts, **common.QUIET)
            seeds = common.seed_controls()
            walk = common.walk_controls(desk)
            draw, stop = common.buttons("Draw")
        with gr.Column(scale=3, min_width=300):
            pictures = gr.HTML(elem_id="sample-pictures")
            state = gr.HTML(show.note(FIRST_SAID), elem_id="sample-state")
            with gr.Group():
                step = gr.Slider(1, 2, value=1, step=1, label="Step", elem_id="sample-step")
                view = gr.Radio(list(live.VIEWS.values()), value=live.VIEWS["x"], label="Show")
            numbers = gr.HTML(elem_id="sample-numbers", elem_classes="scroll")
    with gr.Accordion("The same elsewhere", open=False):
        python = gr.Code(
            language="python", label="Python", interactive=False, elem_id="sample-python"
        )
        shell = gr.Code(language="shell", label="Command line", interactive=False)
    common.chapters("01", "05", "06", "07")

    @live.told(lambda text: (gr.skip(), show.note(text, "wrong"), *[gr.skip()] * 5))
    def run(prompts, seed, tries, steps, sampler, guidance, negative, request: gr.Request):
        stopped = desk.begin(request)
        if not prompts:
            raise UserError("type a prompt first: a name, or a few words")
        how = walk.words(steps, sampler, guidance, negative)
        seeds = common.seed_list(seed, tries)
        yield (
            None,
            show.note("beginning ...", "busy"),
            gr.skip(),
            gr.skip(),
            None,
            *calls(desk, prompts, seeds, how),
        )
        job, said = desk.prepare(desk.studio.drawing, prompts, seeds, **how)
        captions = [f"{p}, {s}" if len(seeds) > 1 else p for p in prompts for s in seeds]
        for record in live.walk(desk.studio, job, captions, stopped):
            done = len(record.steps) == record.total or record.stopped
            note = said + show.note(record.progress(), "" if done else "busy")
            yield current(record, len(record.steps), "x"), note, *[gr.skip()] * 5
        count = len(record.steps)
        slider = gr.Slider(1, max(count, 2), value=count)
        table = show.table(record.numbers(count - 1))
        yield gr.skip(), gr.skip(), slider, table, record, gr.skip(), gr.skip()

    inputs = [prompts, *seeds, *walk.components]
    common.on_click(
        desk, draw, stop, run, inputs, [pictures, state, step, numbers, kept, python, shell]
    )

    def look(record, index, name):
        if record is None:
            return gr.skip(), gr.skip()
        index = min(max(int(index), 1), len(record.steps))
        table = show.table(record.numbers(index - 1))
        return current(record, index, key_of(name)), table

    for control in (step, view):
        control.input(
            look, [kept, step, view], [pictures, numbers], queue=False, show_progress="hidden",
            trigger_mode="always_last",
        )  # fmt: skip
    return []


def opened(query: dict) -> list:
    return []


def added(example: str, prompts: list[str] | None) -> list[str]:
    return list(dict.fromkeys([*(prompts or []), example]))


def key_of(name: str) -> str:
    return next(key for key, title in live.VIEWS.items() if title == name)


def current(record: live.Record, index: int, key: str) -> str:
    """The pictures of step `index`, counted from 1."""
    pictures = record.steps[index - 1].pictures[key]
    many = len(record.captions) > 6
    return show.strip(pictures, record.captions, side=112 if many else 200)


def calls(desk: common.Desk, prompts: list[str], seeds: list[int], how: dict) -> tuple[str, str]:
    """The same pictures in Python and on the command line."""
    words = {name: value for name, value in how.items() if value != ""}
    return (
        copyable.python_call("draw", prompts, opened=desk.opened, seeds=seeds, **words),
        copyable.command(
            "sample", *prompts, seeds=copyable.seed_range(seeds), **words, **desk.options
        ),
    )
