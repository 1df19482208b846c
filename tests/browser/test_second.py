"""The second stage's tab: there when a second stage is, and only then."""

import pytest
import torch
from PIL import Image

from .test_page import click, open_tab, set_number, sources, unfold


def tab_names(page) -> list[str]:
    return page.get_by_role("tab").all_inner_texts()


def wait_end(page) -> None:
    page.locator("#second-state .note:not(.busy)", has_text="2 steps in").wait_for()


def few_steps_of_both(page) -> None:
    set_number(page, "Steps of the second", 2)
    unfold(page, "How the small one is drawn")
    page.get_by_label("number input for Steps", exact=True).locator("visible=true").fill("2")


def drawn_and_enlarged(page, served):
    """The pictures that the tab shows when nothing but the numbers of steps was changed."""
    open_tab(page, served, "second")
    few_steps_of_both(page)
    click(page, "Enlarge")
    wait_end(page)
    return page.locator("#second-pictures img")


def test_without_a_second_stage_there_is_no_tab(page, served_alone):
    page.goto(served_alone.address("tab=second"))
    page.get_by_role("tab", name="Sample", selected=True).wait_for()
    assert "Second stage" not in tab_names(page) and "Read" in tab_names(page)


def test_the_demo_has_its_second_stage(page, served):
    images = drawn_and_enlarged(page, served)
    sizes = [image.evaluate("i => i.naturalWidth") for image in images.all()]
    assert sizes == [64, 256, 256]


def test_a_prompt_is_drawn_small_and_then_large(page, served_second, keep):
    images = drawn_and_enlarged(page, served_second)
    sizes = [image.evaluate("i => [i.naturalWidth, i.naturalHeight]") for image in images.all()]
    assert sizes == [[64, 64], [96, 96], [96, 96]]
    assert images.last.evaluate("i => getComputedStyle(i).imageRendering") == "pixelated"
    keep("second")


def test_the_noise_level_changes_what_is_shown_and_what_is_made(page, served_second, tmp_path):
    red = tmp_path / "red.png"
    Image.new("RGB", (80, 80), (200, 30, 30)).save(red)
    open_tab(page, served_second, "second")
    few_steps_of_both(page)
    page.locator("#second-given input[type=file]").set_input_files(red)
    page.locator("#second-given img").wait_for()
    made = {}
    for level in (0, 900):
        set_number(page, "Noise level", level)
        click(page, "Enlarge")
        page.locator("#second-pictures figcaption", has_text=f"level {level}").wait_for()
        wait_end(page)
        made[level] = sources(page, "#second-pictures")
    assert made[0][0] == made[900][0]  # the picture itself
    assert made[0][1] != made[900][1] and made[0][2] != made[900][2]


@pytest.mark.parametrize("level", [0, 250, 999])
def test_what_is_shown_is_what_the_network_is_given(served_second, monkeypatch, level):
    from minidiff.play.tabs.second import noised
    from minidiff.stage2 import cascade
    from minidiff.stage2.upscaler import Upscaler

    given = []
    upscaled = cascade.Upscaled
    monkeypatch.setattr(
        cascade, "Upscaled", lambda guidance, seen: given.append(seen) or upscaled(guidance, seen)
    )
    upscaler = Upscaler(served_second.studio)
    low = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    job = upscaler.enlarging("drawing", low, "a cat", 7, level=level, steps=2)
    next(upscaler.walk(job))
    assert torch.equal(noised(upscaler, job), given[0])


@pytest.mark.parametrize("given", [None, object()])
def test_the_command_to_copy_is_one(served_second, given):
    import shlex

    from minidiff.cli import make_parser
    from minidiff.play.tabs.common import Desk
    from minidiff.play.tabs.second import call_of

    desk = Desk(served_second.studio, "a folder", None, "another")
    how = {"steps": 8, "sampler": "dpm++", "guidance": 5.0, "negative": "--red"}
    line = call_of(desk, given, "it's", 7, 300, 9, how)
    told = make_parser().parse_args(shlex.split(line)[3:])
    assert told.seeds == [7] and told.level == 300 and told.negative == "--red"
    assert told.weights == "a folder" and told.weights_2 == "another"
    steps = (told.steps,) if given else (told.steps, told.steps_2)
    assert list(map(str, steps)) == (["9"] if given else ["8", "9"])
