"""A drawing, an upload or a pasted picture becomes something else: SDEdit from six levels."""

import gradio as gr
from PIL import Image

from minidiff.errors import UserError
from minidiff.grade.scenes import COURSE_STEPS, INPUTS
from minidiff.play import copyable, live, show
from minidiff.play.tabs import common

ID = "draw"
LEVELS = (1, 3, 5, 7, 10, 20)  # the course's i_start
STEPS = 20  # enough to tell six levels apart
SIDE = 256
DRAWINGS = {"a tree": "tree.png", "the tower": "tower.png", "a candle": "candle.png"}


def build(desk: common.Desk) -> list:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            canvas = canvas_of(picture_named("a tree"), "draw-canvas")
            with gr.Row(elem_classes="examples"):
                for name in DRAWINGS:
                    gr.Button(name, size="sm").click(
                        lambda n=name: editor_value(picture_named(n)), None, canvas, queue=False
                    )
                gr.Button("empty", size="sm").click(
                    lambda: editor_value(Image.new("RGB", (SIDE, SIDE), "white")), None, canvas,
                    queue=False,
                )  # fmt: skip
            prompt = common.prompt_box(desk, desk.prompts.examples[0], "What it shall become")
            with gr.Row():
                seed = common.seed_box()
                one = gr.Slider(0, COURSE_STEPS - 1, value=7, step=1, label="One level: i_start")
            walk = common.walk_controls(desk, steps=STEPS)
            six, stop = common.buttons("Edit from six levels")
            single = gr.Button("Edit from the one level")
        with gr.Column(scale=3, min_width=300):
            pictures = gr.HTML(elem_id="draw-pictures")
            state = gr.HTML(elem_id="draw-state")
            gr.Markdown(
                "A small i_start begins in much noise and forgets; a large one keeps the picture."
            )
    with gr.Accordion("The same elsewhere", open=False):
        shell = gr.Code(language="shell", label="Command line, for a file", interactive=False)
    common.chapters("08", "09", "11")

    def work(levels, canvas, prompt, seed, controls, request):
        stopped = desk.begin(request)
        how = walk.words(*controls)
        original = painted(canvas)
        starts = levels_in(levels, how["steps"])
        words = {name: value for name, value in how.items() if value != ""}
        call = {
            "i_start": list(starts.values()),
            "seeds": common.one_seed(seed),
            **words,
            **desk.options,
        }
        yield (
            None,
            show.note("beginning ...", "busy"),
            copyable.command("edit", "me.png", prompt or "", **call),
        )
        job, said = desk.prepare(
            desk.studio.editing,
            original,
            prompt or "",
            common.one_seed(seed),
            i_start=list(starts.values()),
            **how,
        )
        captions = [f"i_start {level}" for level in starts]
        given = show.to_bytes(job.original[:1])
        for record in live.walk(desk.studio, job, captions, stopped):
            last = record.steps[-1].pictures["x"]
            html = show.sheet([("your picture, as the model sees it", given)], side=112)
            html += show.strip(last, captions, alt="edited", side=150)
            yield html, said + show.note(record.progress(), busy(record)), gr.skip()

    wrong = live.told(lambda text: (gr.skip(), show.note(text, "wrong"), gr.skip()))

    @wrong
    def run_six(request: gr.Request, canvas, prompt, seed, level, *controls):
        yield from work(LEVELS, canvas, prompt, seed, controls, request)

    @wrong
    def run_one(request: gr.Request, canvas, prompt, seed, level, *controls):
        yield from work((int(level),), canvas, prompt, seed, controls, request)

    inputs, outputs = [canvas, prompt, seed, one, *walk.components], [pictures, state, shell]
    common.on_click(desk, six, stop, run_six, inputs, outputs)
    common.on_click(desk, single, stop, run_one, inputs, outputs)
    return []


def opened(query: dict) -> list:
    return []


def busy(record: live.Record) -> str:
    return "" if record.stopped or len(record.steps) == record.total else "busy"


def levels_in(levels, steps: int) -> dict[int, int]:
    """Where the course's i_start of 33 lie in a walk of so many steps; each place once."""
    places: dict[int, int] = {}
    for level in levels:
        start = min(round(level * steps / COURSE_STEPS), steps - 1)
        if start not in places.values():
            places[level] = start
    return places


# --- the canvas -----------------------------------------------------------------------------------


def canvas_of(picture: Image.Image, name: str, mask: bool = False) -> gr.ImageEditor:
    """A picture to paint on; with `mask`, in one colour that shows through."""
    colors = (
        ["#e6399b"] if mask else ["#1a1a1a", "#d9480f", "#f2c200", "#2b8a3e", "#1971c2", "#fff"]
    )
    return gr.ImageEditor(
        editor_value(picture), type="pil", image_mode="RGBA", canvas_size=(SIDE, SIDE),
        fixed_canvas=True, layers=False, transforms=(), sources=("upload", "clipboard"),
        brush=gr.Brush(default_size=24 if mask else 8, colors=colors, color_mode="fixed"),
        buttons=[], height=360, label="Paint on it, upload, or paste", elem_id=name,
        elem_classes="canvas", format="png",
    )  # fmt: skip


def editor_value(picture: Image.Image) -> dict:
    return {"background": picture, "layers": [], "composite": picture}


def picture_named(name: str) -> Image.Image:
    with Image.open(INPUTS / DRAWINGS[name]) as image:
        return image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)


def painted(canvas: dict | None) -> Image.Image:
    """What is on the canvas. UserError when there is nothing."""
    if not canvas or canvas.get("composite") is None:
        raise UserError("there is no picture yet: draw, upload or paste one")
    return canvas["composite"]
