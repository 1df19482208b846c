"""What is painted over is drawn anew; everything else stays. Several tries at once."""

import gradio as gr
import numpy as np
from PIL import Image

from minidiff.errors import UserError
from minidiff.play import live, show
from minidiff.play.tabs import common
from minidiff.play.tabs.drawing import (
    DRAWINGS,
    busy,
    canvas_of,
    editor_value,
    picture_named,
)

ID = "inpaint"
PAINTED = 64  # alpha from which a pixel counts as painted over


def build(desk: common.Desk) -> list:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            canvas = canvas_of(picture_named("the tower"), "inpaint-canvas", mask=True)
            with gr.Row(elem_classes="examples"):
                for name in DRAWINGS:
                    gr.Button(name, size="sm").click(
                        lambda n=name: editor_value(picture_named(n)), None, canvas, queue=False
                    )
            prompt = common.prompt_box(desk, desk.prompts.examples[0], "What shall be there")
            seeds = common.seed_controls(tries=3, most=6)
            walk = common.walk_controls(desk, steps=20)
            draw, stop = common.buttons("Inpaint")
        with gr.Column(scale=3, min_width=300):
            gr.Markdown("Choose the brush, and paint over what shall be drawn anew.")
            pictures = gr.HTML(elem_id="inpaint-pictures")
            state = gr.HTML(elem_id="inpaint-state")
    common.chapters("10")

    @live.told(lambda text: (gr.skip(), show.note(text, "wrong")))
    def run(request: gr.Request, canvas, prompt, seed, tries, *controls):
        stopped = desk.begin(request)
        original, mask = split(canvas)
        yield None, show.note("beginning ...", "busy")
        numbers = common.seed_list(seed, tries)
        how = walk.words(*controls)
        job, said = desk.prepare(
            desk.studio.inpainting, original, mask, prompt or "", numbers, **how
        )
        given = np.concatenate(
            [
                show.to_bytes(job.original[:1]),
                show.to_bytes(job.mask[:1].expand(-1, 3, -1, -1) * 2 - 1),
            ]
        )
        before = show.strip(given, ["as the model sees it", "mask"], alt="given", side=112)
        for record in live.walk(desk.studio, job, [f"seed {n}" for n in numbers], stopped):
            drawn = show.strip(record.steps[-1].pictures["x"], record.captions, alt="inpainted")
            yield before + drawn, said + show.note(record.progress(), busy(record))

    inputs = [canvas, prompt, *seeds, *walk.components]
    common.on_click(desk, draw, stop, run, inputs, [pictures, state])
    return []


def opened(query: dict) -> list:
    return []


def split(canvas: dict | None) -> tuple[Image.Image, Image.Image]:
    """The picture below, and what was painted on it as a mask: white where to draw anew."""
    if not canvas or canvas.get("background") is None:
        raise UserError("there is no picture yet: upload or paste one")
    picture = canvas["background"]
    painted = np.zeros((picture.height, picture.width), dtype=bool)
    for layer in canvas.get("layers") or []:
        alpha = layer.convert("RGBA").getchannel("A").resize(picture.size, Image.Resampling.NEAREST)
        painted |= np.asarray(alpha) >= PAINTED
    if not painted.any():
        raise UserError("nothing is painted over: choose the brush, and paint what shall be new")
    return picture, Image.fromarray(painted.astype(np.uint8) * 255)
