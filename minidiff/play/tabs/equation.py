"""One function of the package, changed here and tried at once: shipped above, changed below."""

import gradio as gr

from minidiff.errors import UserError
from minidiff.grade.exercises import all_exercises
from minidiff.grade.mistakes.catalogue import CATALOGUE
from minidiff.io.shipped import shipped_texts
from minidiff.play import bench, formula, live, show, texts
from minidiff.play.remote import Answerer
from minidiff.play.tabs import common
from minidiff.play.tabs.trial import Trial, scene_of

ID = "equation"
START = "equations.py: posterior_mean"
NONE = "(none)"
STEPS = 10
FIRST_SAID = "Press Run: the shipped code draws above, yours below, from the same seed."
MATHS = [{"left": "$$", "right": "$$", "display": True}]


def build(desk: common.Desk) -> list:
    shipped_runs: dict = {}  # the upper strip of orders that have been drawn before
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            place = gr.Dropdown(list(texts.all_places()), value=START, label="Function")
            mistake = gr.Dropdown(mistakes_of(START), value=NONE, label="Load a known mistake")
            typeset = gr.Markdown(
                latex_delimiters=MATHS, elem_id="equation-formula", elem_classes="formula"
            )
            code = gr.Code(language="python", label="Yours", interactive=True, lines=5,
                           wrap_lines=True, elem_id="equation-code")  # fmt: skip
            gr.Markdown("Escape, then Tab, leaves the editor. Nothing is written until you save.")
            run, stop = common.buttons("Run")
            with gr.Row():
                save = gr.Button("Save into my copy")
                back = gr.Button("Back to shipped")
                disk = gr.Button("Back to my copy")
        with gr.Column(scale=4, min_width=300):
            strips = gr.HTML(elem_id="equation-strips")
            state = gr.HTML(elem_id="equation-state")
            verdict = gr.HTML(elem_id="equation-verdict")
            numbers = gr.HTML(elem_id="equation-numbers", elem_classes="scroll")
            with gr.Accordion("What is drawn", open=False):
                prompts = [
                    common.prompt_box(desk, p, f"Prompt {i + 1}")
                    for i, p in enumerate(three_prompts(desk))
                ]
                with gr.Row():
                    seed = common.seed_box()
                    steps = gr.Slider(
                        4, 33, value=STEPS, step=1, label="Steps of A.3 (below 33, x0 is clipped)"
                    )
    common.chapters("02", "04", "05", "07", "22")

    @live.told(lambda text: (gr.skip(), show.note(text, "wrong"), "", gr.skip()))
    def try_it(key, name, text, first, second, third, seed, steps, request: gr.Request):
        stopped = desk.begin(request)
        where = texts.find_place(key)
        changed, line = texts.with_piece(where, text or "")
        scene = scene_of(where, name if name != NONE else None)
        how = {
            "scene": scene,
            "prompts": prompt_rows(first, second, third),
            "seed": common.one_seed(seed),
            "steps": int(steps),
            "weights": desk.weights,
            "own_unet": bench.needs_unet(where.file, scene),
        }
        asked = [e.name for e in all_exercises().values() if asks_for(e, where)]
        order = bench.Order({where.file: changed}, exercises=tuple(asked), **how)
        orders, same = {"changed": order}, tuple(how.values())
        trial = Trial(where, line, shipped_runs.get(same))
        if trial.shipped is None:
            orders = {"shipped": bench.Order(dict(shipped_texts()), **how), **orders}
        yield trial.strips(), show.note("beginning ...", "busy"), "", ""
        answerer = Answerer(desk.studio, how["prompts"])
        for side, event in bench.run_together(orders, answerer, stopped):
            if trial.hear(side, event):
                yield trial.strips(), trial.state(), trial.verdict(), trial.numbers()
        if trial.shipped_whole():
            shipped_runs[same] = trial.shipped
            while len(shipped_runs) > 8:
                shipped_runs.pop(next(iter(shipped_runs)))
        trial.finish(stopped())
        yield trial.strips(), trial.state(), trial.verdict(), trial.numbers()

    inputs = [place, mistake, code, *prompts, seed, steps]
    common.on_click(desk, run, stop, try_it, inputs, [strips, state, verdict, numbers])

    editor = [code, typeset]

    def choose(key):
        code = texts.on_disk(texts.find_place(key))
        return gr.Dropdown(mistakes_of(key), value=NONE), *shown(code)

    def load(key, name):
        if name == NONE:
            return key, *shown(texts.on_disk(texts.find_place(key)))
        return str(texts.place_of(name)), *shown(texts.with_mistake(name))

    place.input(choose, place, [mistake, *editor], **common.QUIET)
    mistake.input(load, [place, mistake], [place, *editor], **common.QUIET)
    code.input(
        lambda text: typeset_of(text), code, typeset, trigger_mode="always_last", **common.QUIET
    )
    back.click(
        lambda key: shown(texts.shipped(texts.find_place(key))), place, editor, **common.QUIET
    )
    disk.click(
        lambda key: shown(texts.on_disk(texts.find_place(key))), place, editor, **common.QUIET
    )

    def keep(key, text):
        try:
            return show.note(texts.save(texts.find_place(key), text or ""), "right")
        except (UserError, OSError) as error:
            return show.note(live.sentence(error), "wrong")

    save.click(keep, [place, code], state, **common.QUIET)
    return [place, mistake, code, typeset, state]


def opened(query: dict) -> list:
    """The function and its text, or the mistake that the address names."""
    name = query.get("mistake", "")
    if name in CATALOGUE:
        key = str(texts.place_of(name))
        code = texts.with_mistake(name)
        return [key, gr.Dropdown(mistakes_of(key), value=name), *shown(code), show.note(FIRST_SAID)]
    key = query.get("function", START)
    key = key if key in texts.all_places() else START
    code = texts.on_disk(texts.find_place(key))
    said = show.note(f"The catalogue has no mistake {name!r} (any more).", "wrong") if name else ""
    said += show.note(FIRST_SAID)
    return [key, gr.Dropdown(mistakes_of(key), value=NONE), *shown(code), said]


def shown(code: str) -> tuple[str, str]:
    """A text in the editor, and its formula."""
    return code, typeset_of(code)


def typeset_of(code: str) -> str:
    maths = formula.tex(code or "")
    return f"$$ {maths} $$" if maths else ""


def mistakes_of(key: str) -> list[tuple[str, str]]:
    """All wrong versions of the catalogue, by section of the course; this function's come first."""
    sections = {name: exercise.section for name, exercise in all_exercises().items()}
    names = sorted(CATALOGUE, key=lambda name: str(texts.place_of(name)) != key)
    titles = ((f"{sections[CATALOGUE[name].exercise]}  {name}", name) for name in names)
    return [("none: as it stands in my copy", NONE), *titles]


def asks_for(exercise, place: texts.Place) -> bool:
    return any(part.file == place.file and part.name == place.name for part in exercise.parts)


def three_prompts(desk: common.Desk) -> list[str]:
    if desk.prompts.free and "a cat" in desk.prompts.examples:
        return ["a cat", "a red apple", "rocket"]
    return [*desk.prompts.examples, *desk.prompts.examples, *desk.prompts.examples][:3]


def prompt_rows(*prompts: str) -> tuple[str, ...]:
    """The three prompts, what scenes ask about besides, and the empty one."""
    from minidiff.grade.scenes import NEUTRAL

    if not all(prompts):
        raise UserError("a scene needs three prompts: fill in the empty ones")
    return tuple(dict.fromkeys([*prompts, NEUTRAL, ""]))
