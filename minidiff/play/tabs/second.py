"""Stage II: a small picture, drawn here or given, becomes a large one; the noise level says how
much of it the network gets to see."""

import gradio as gr
from torch import Tensor

from minidiff.play import copyable, live, show
from minidiff.play.tabs import common
from minidiff.play.tabs.drawing import busy
from minidiff.stage2.cascade import noised_low, recommended
from minidiff.stage2.upscaler import Enlarging, Upscaler

ID = "second"
FIRST_SAID = "Press Enlarge: the small picture, what the network is shown of it, and the large one."
SIDE = 256  # CSS pixels of each picture: a small pixel is four large ones


def build(desk: common.Desk) -> list:
    upscaler = desk.upscaler
    usual = recommended(upscaler.model.folder, "drawing")
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            given = gr.Image(
                type="pil", image_mode=None, sources=["upload", "clipboard"], height=200,
                buttons=[], elem_id="second-given",
                label="A picture to enlarge; without one, the prompt is drawn first",
            )  # fmt: skip
            prompt = common.prompt_box(desk, desk.prompts.examples[0], "Prompt")
            seed = common.seed_box()
            level = gr.Slider(
                0, 999, value=usual.level, step=1, label="Noise level that hides the small picture"
            )
            steps = gr.Slider(
                2, 100, value=common.few(usual.steps), step=1, label="Steps of the second stage"
            )
            walk = common.walk_controls(desk, title="How the small one is drawn")
            draw, stop = common.buttons("Enlarge")
        with gr.Column(scale=3, min_width=300):
            pictures = gr.HTML(elem_id="second-pictures")
            state = gr.HTML(show.note(FIRST_SAID), elem_id="second-state")
    with gr.Accordion("The same elsewhere", open=False):
        shell = gr.Code(language="shell", label="Command line", interactive=False)
    common.chapters("28")

    @live.told(lambda text: (gr.skip(), show.note(text, "wrong"), gr.skip()))
    def run(request: gr.Request, given, prompt, seed, level, steps, *controls):
        stopped = desk.begin(request)
        seed, prompt, how = common.one_seed(seed), prompt or "", walk.words(*controls)
        call = call_of(desk, given, prompt, seed, int(level), int(steps), how)
        yield None, show.note("beginning ...", "busy"), call
        said = ""
        if given is not None:
            low = desk.studio.picture(given)
        else:
            job, said = desk.prepare(desk.studio.drawing, prompt, seed, **how)
            for record in live.walk(desk.studio, job, ["drawn small"], stopped):
                html = show.strip(record.steps[-1].pictures["x"], ["drawn small"], side=SIDE)
                yield html, show.note(f"first stage: {record.progress()}", "busy"), gr.skip()
            if record.stopped:
                yield gr.skip(), show.note(record.progress()), gr.skip()
                return
            low = record.last
        words = {"level": int(level), "steps": int(steps), "negative": how["negative"]}
        job = upscaler.enlarging("drawing", low, prompt, seed, **words)
        before = shown_to_it(upscaler, job)
        for record in live.walk(upscaler, job, [], stopped):
            large = record.steps[-1].pictures["x"][0]
            html = show.row([*before, show.figure(large, size_of(large), "large", SIDE)])
            yield html, said + show.note(record.progress(), busy(record)), gr.skip()

    inputs = [given, prompt, seed, level, steps, *walk.components]
    common.on_click(desk, draw, stop, run, inputs, [pictures, state, shell])
    return []


def opened(query: dict) -> list:
    return []


def shown_to_it(upscaler: Upscaler, job: Enlarging) -> list[str]:
    """The small picture, and what the network is given of it."""
    small, seen = show.to_bytes(job.low)[0], show.to_bytes(noised(upscaler, job))[0]
    told = f"what the network is shown: level {job.level}"
    return [show.figure(small, size_of(small), "small", SIDE), show.figure(seen, told, told, SIDE)]


def size_of(pixels) -> str:
    return f"{pixels.shape[1]} by {pixels.shape[0]} pixels"


def noised(upscaler: Upscaler, job: Enlarging) -> Tensor:
    """The small picture as the walk noises it: from the second noise of the picture's seed."""
    noise = upscaler.noise(job.seeds)
    noise.draw()  # the first is where the walk begins
    return noised_low(job.low, job.level, upscaler.model.schedule, noise)


def call_of(desk, given, prompt: str, seed: int, level: int, steps: int, how: dict) -> str:
    """The same on the command line."""
    second = {"level": level, "steps_2": steps, **desk.options}
    if given is not None:
        second["steps"] = second.pop("steps_2")
        words = {"seeds": seed, "negative": how["negative"], **second}
        return copyable.command("upscale", "me.png", prompt, **words)
    words = {name: value for name, value in how.items() if value != ""}
    return copyable.command("sample", prompt, seeds=seed, upscale=True, **words, **second)
