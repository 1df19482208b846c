"""What a person does on the page: every tab draws, stops, and says in words what went wrong."""

import base64
import http.client
import io

import pytest
from PIL import Image

from minidiff.play.targets import TITLES

FEW = 3  # steps


def open_tab(page, served, tab: str, query: str = "") -> None:
    """The address of a tab, until that tab is the one that is shown."""
    page.goto(served.address(f"tab={tab}" + (f"&{query}" if query else "")))
    page.get_by_role("tab", name=TITLES[tab], selected=True).wait_for()
    settle(page)


def settle(page) -> None:
    """Two frames. What a tab or a fold shows for the first time, Gradio fills in once more one
    frame later; a value that a script sets within that frame, as no hand can, would be lost."""
    page.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def unfold(page, title: str) -> None:
    page.get_by_text(title).locator("visible=true").click()


def click(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).locator("visible=true").click()


def set_number(page, label: str, value: int | str) -> None:
    """A slider's number field or a number field, by its label."""
    field = page.get_by_label(label).and_(page.locator("input[type=number]"))
    field = field.locator("visible=true").first
    field.wait_for()
    settle(page)
    field.fill(str(value))
    field.press("Tab")


def few_steps(page) -> None:
    unfold(page, "How it walks")
    set_number(page, "Steps", FEW)


def wait_note(page, place: str, text: str) -> None:
    page.locator(f"{place} .note", has_text=text).first.wait_for()


def sources(page, place: str) -> list[str]:
    return [image.get_attribute("src") for image in page.locator(f"{place} img").all()]


# --- sample ---------------------------------------------------------------------------------------


def test_sample_draws_and_the_slider_walks_through_its_steps(page, served, keep):
    open_tab(page, served, "sample")
    few_steps(page)
    click(page, "Draw")
    wait_note(page, "#sample-state", f"{FEW} steps in")
    page.wait_for_selector("#sample-numbers td")
    last = sources(page, "#sample-pictures")
    assert len(last) == 2
    slider = page.locator("#sample-step input[type=range]")
    slider.focus()
    slider.press("Home")  # with the keyboard alone
    page.wait_for_function(
        "last => document.querySelector('#sample-pictures img').src !== last", arg=last[0]
    )
    first = sources(page, "#sample-pictures")
    seen = {first[0], last[0]}
    for view in ("before it (x_t)", "estimate of x0", "noise estimate", "variance"):
        before = sources(page, "#sample-pictures")[0]
        page.get_by_label(view, exact=True).check()
        page.wait_for_function(
            "before => document.querySelector('#sample-pictures img').src !== before", arg=before
        )
        seen.add(sources(page, "#sample-pictures")[0])
    assert len(seen) == 6
    assert "weight of x0" in page.locator("#sample-numbers").inner_text()
    unfold(page, "The same elsewhere")
    assert "studio.draw" in page.locator("#sample-python").inner_text()
    keep("sample")


def test_pictures_are_never_blurred(page, served):
    open_tab(page, served, "sample")
    few_steps(page)
    click(page, "Draw")
    image = page.locator("#sample-pictures img").first
    image.wait_for()
    assert image.evaluate("i => getComputedStyle(i).imageRendering") == "pixelated"
    assert image.get_attribute("alt")
    wait_note(page, "#sample-state", f"{FEW} steps in")


def test_stop_stops_and_the_next_run_draws(page, served):
    open_tab(page, served, "sample")
    unfold(page, "How it walks")
    set_number(page, "Steps", 100)
    click(page, "Draw")
    wait_note(page, "#sample-state", "step ")
    click(page, "Stop")
    wait_note(page, "#sample-state", "stopped after step")
    set_number(page, "Steps", FEW)
    click(page, "Draw")
    wait_note(page, "#sample-state", f"{FEW} steps in")


def test_names_complete_as_one_types(page, served):
    open_tab(page, served, "sample")
    field = page.get_by_label("Prompts").first
    field.fill("pizz")
    page.get_by_role("option", name="pizza").first.wait_for()


@pytest.mark.parametrize(
    ("seed", "sentence"),
    [("-5", "not -5"), ("", "the seed is empty"), ("1.5", "not 1.5"), ("1e30", "to 2^63 - 1")],
)
def test_a_seed_that_is_none_ends_in_a_sentence(page, served, seed, sentence):
    open_tab(page, served, "sample")
    set_number(page, "Seed", seed)
    click(page, "Draw")
    wait_note(page, "#sample-state", sentence)


def test_how_an_emoji_was_read_is_said(page, served):
    open_tab(page, served, "sample")
    few_steps(page)
    field = page.get_by_label("Prompts").first
    field.fill("\N{DOG FACE}")
    field.press("Enter")
    field.press("Tab")  # the list of names closes
    click(page, "Draw")
    wait_note(page, "#sample-state", "dog face")
    wait_note(page, "#sample-state", f"{FEW} steps in")
    assert len(sources(page, "#sample-pictures")) == 3


def test_a_picture_with_alpha_lies_on_white(page, served, tmp_path):
    file = tmp_path / "alpha.png"
    picture = Image.new("RGBA", (300, 500), (0, 0, 0, 0))
    picture.paste((200, 30, 30, 255), (100, 200, 200, 300))
    picture.save(file)
    open_tab(page, served, "draw")
    canvas = page.locator("#draw-canvas")
    canvas.locator("canvas").first.wait_for()
    unfold(page, "How it walks")
    set_number(page, "Steps", 4)
    canvas.locator("input[type=file]").or_(
        canvas.get_by_role("button", name="Image")
    ).first.wait_for()
    if not canvas.locator("input[type=file]").count():
        canvas.get_by_role("button", name="Image").first.click()
    canvas.locator("input[type=file]").first.set_input_files(file)
    page.wait_for_timeout(2500)  # the editor sends what it was given a little later
    click(page, "Edit from the one level")
    wait_note(page, "#draw-state", "steps in")
    seen = base64.b64decode(sources(page, "#draw-pictures")[0].partition(",")[2])
    with Image.open(io.BytesIO(seen)) as small:
        assert small.getpixel((1, 1))[:3] == (255, 255, 255)
        assert small.getpixel((32, 32))[0] > small.getpixel((32, 32))[1] + 100


def test_two_tabs_queue_and_both_draw(page, served):
    other = page.context.new_page()
    for tab in (page, other):
        tab.bring_to_front()
        open_tab(tab, served, "sample")
        few_steps(tab)
    for tab in (page, other):
        tab.bring_to_front()
        click(tab, "Draw")
    for tab in (page, other):  # whoever was second waited for the first
        tab.bring_to_front()
        wait_note(tab, "#sample-state", f"{FEW} steps in")


# --- change an equation ---------------------------------------------------------------------------


def write_code(page, code: str) -> None:
    editor = page.locator("#equation-code .cm-content")
    editor.click()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.insert_text(code)


def run_equation(page) -> None:
    if not page.get_by_label("Prompt 1").is_visible():
        unfold(page, "What is drawn")
    set_number(page, "Steps of A.3", 4)
    click(page, "Run")
    page.locator("#equation-state .busy").first.wait_for()
    page.locator("#equation-state .busy").first.wait_for(state="detached")


def mean(lines: str) -> str:
    return f"def posterior_mean(x_t, x0, abar, abar_prev):\n{lines}\n"


def test_a_mistake_by_its_address_changes_the_lower_strip_and_gets_its_hint(page, served, keep):
    open_tab(page, served, "equation", "mistake=mean-x0-no-root")
    page.locator("#equation-formula .katex").first.wait_for()
    run_equation(page)
    rows = page.locator("#equation-strips .row-name").all_inner_texts()
    assert [row.split(",")[0] for row in rows] == ["shipped", "changed", "difference"]
    broken = sources(page, "#equation-strips")
    page.locator("#equation-verdict", has_text="Hint").first.wait_for()
    assert "square root" in page.locator("#equation-verdict").inner_text()
    assert "one step" in page.locator("#equation-numbers").inner_text()
    keep("equation")
    click(page, "Back to shipped")
    run_equation(page)
    sound = sources(page, "#equation-strips")
    assert sound[:3] == sound[3:6] == broken[:3]  # the upper strip is the same as before
    assert broken[3:6] != sound[3:6]
    assert "right" in page.locator("#equation-verdict").inner_text()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("    return (x_t", "Python cannot read line 2"),
        ("    while True: pass", "did not finish within"),
        ("    return x_t * float('nan')", "not numbers"),
        ("    return x_t + nothing", "line 2"),
    ],
)
def test_broken_code_ends_in_its_sentence(page, served, lines, sentence):
    open_tab(page, served, "equation")
    page.wait_for_selector("#equation-code .cm-line")
    write_code(page, mean(lines))
    click(page, "Run")
    wait_note(page, "#equation-state", sentence)


def test_a_mistake_that_is_none_any_more_is_said(page, served):
    open_tab(page, served, "equation", "mistake=gone-since")
    wait_note(page, "#equation-state", "no mistake 'gone-since'")


def test_the_formula_follows_the_code(page, served):
    open_tab(page, served, "equation")
    page.locator("#equation-formula .katex").first.wait_for()
    before = page.locator("#equation-formula").inner_text()
    write_code(page, mean("    return abar * x_t"))
    page.wait_for_function(
        "before => document.querySelector('#equation-formula').innerText !== before", arg=before
    )


# --- the other tabs -------------------------------------------------------------------------------


def test_a_drawing_is_edited(page, served, keep):
    open_tab(page, served, "draw")
    page.wait_for_selector("#draw-canvas canvas")
    unfold(page, "How it walks")
    set_number(page, "Steps", 6)
    click(page, "Edit from six levels")
    wait_note(page, "#draw-state", "steps in")
    assert page.locator("#draw-pictures img").count() >= 5
    keep("draw")


def test_what_is_painted_over_is_drawn_anew(page, served, keep):
    open_tab(page, served, "inpaint")
    canvas = page.locator("#inpaint-canvas canvas").first
    canvas.wait_for()
    few_steps(page)
    click(page, "Inpaint")
    wait_note(page, "#inpaint-state", "nothing is painted over")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 40, y)
    page.mouse.down()
    for step in range(9):
        page.mouse.move(x - 40 + 10 * step, y + 5 * (step % 2), steps=3)
    page.mouse.up()
    page.wait_for_timeout(1500)  # the editor sends what was painted a little later
    click(page, "Inpaint")
    wait_note(page, "#inpaint-state", f"{FEW} steps in")
    assert page.locator("#inpaint-pictures img").count() == 5
    keep("inpaint")


def test_an_anagram_turns(page, served, keep):
    open_tab(page, served, "illusions")
    few_steps(page)
    click(page, "Draw")
    wait_note(page, "#illusion-state", f"{FEW} steps in")
    before = sources(page, "#illusion-pictures")[0]
    page.locator("#illusion-turn").click()
    page.wait_for_function(
        "before => document.querySelector('#illusion-pictures img').src !== before", arg=before
    )
    keep("illusions")


@pytest.mark.parametrize("kind", ["near and far (hybrid)", "grey and colour"])
def test_the_other_illusions_draw(page, served, kind):
    open_tab(page, served, "illusions")
    few_steps(page)
    page.get_by_label(kind, exact=True).check()
    click(page, "Draw")
    wait_note(page, "#illusion-state", f"{FEW} steps in")


def test_digits_are_drawn_and_stopped(page, served, keep):
    open_tab(page, served, "digits")
    click(page, "Draw")
    wait_note(page, "#digits-state", "step ")
    assert page.locator("#digits-pictures img").count() == 10
    keep("digits")
    click(page, "Stop")
    page.locator("#digits-state .busy").first.wait_for(state="detached")


def test_a_chapter_is_read(page, served, keep):
    open_tab(page, served, "read", "chapter=05")
    page.locator("#chapter h1", has_text="Iterative").wait_for()
    page.locator("#chapter .katex").first.wait_for()
    assert page.locator("#chapter img").first.evaluate("i => i.complete && i.naturalWidth") > 0
    page.locator(".mistakes summary").click()
    link = page.locator(".mistakes a").first
    name = link.inner_text()
    keep("read")
    link.click()
    page.wait_for_selector("#equation-code .cm-line")
    page.wait_for_function(
        "name => [...document.querySelectorAll('input')].some(i => i.value.endsWith(name))",
        arg=name,
    )


def test_dark_and_light_are_both_legible(served, browser):
    for scheme in ("dark", "light"):
        context = browser.new_context(color_scheme=scheme)
        tab = context.new_page()
        tab.goto(served.address())
        tab.wait_for_selector("h1")
        ink, paper = tab.evaluate(
            "[getComputedStyle(document.querySelector('h1')).color,"
            " getComputedStyle(document.body).backgroundColor]"
        )
        light = [sum(map(float, c[c.index("(") + 1 : -1].split(",")[:3])) for c in (ink, paper)]
        assert (light[0] > light[1] + 300) if scheme == "dark" else (light[1] > light[0] + 300)
        context.close()


# --- strangers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/gradio_api/run/predict", "/gradio_api/queue/join", "/config"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cookie": "TOKEN", "Host": "evil.example"},
        {"Cookie": "TOKEN", "Origin": "http://evil.example"},
        {"Cookie": "minidiff-play=guess"},
    ],
    ids=["no token", "foreign host", "foreign origin", "wrong token"],
)
def test_strangers_reach_nothing_that_runs(served, path, headers):
    cookie = f"{served.guard.cookie}={served.guard.token}"
    told = {name: value.replace("TOKEN", cookie) for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request("POST", path, body=b'{"data": [], "fn_index": 0}', headers=told)
    assert connection.getresponse().status == 403


def test_a_page_of_another_origin_can_do_nothing(served, browser):
    context = browser.new_context()
    tab = context.new_page()
    tab.goto(served.address())  # the cookie is there
    tab.wait_for_selector("h1")
    tab.close()
    elsewhere = context.new_page()
    elsewhere.goto("data:text/html,<h1>elsewhere</h1>")
    elsewhere.wait_for_timeout(1000)
    before = [call for call in served.reached if call[0] == "POST"]
    for path in ("queue/join", "run/predict"):
        elsewhere.evaluate(
            "async url => { try { await fetch(url, {method: 'POST', mode: 'no-cors',"
            " credentials: 'include', body: '{}'}) } catch (e) { } }",
            f"http://127.0.0.1:{served.port}/gradio_api/{path}",
        )
    assert [call for call in served.reached if call[0] == "POST"] == before
    context.close()
