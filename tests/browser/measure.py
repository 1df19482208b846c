"""How long a newcomer waits for the page: `.venv/bin/python -m tests.browser.measure`.

Starts `make play`'s server as a process of its own, opens it in Chromium, presses Draw with
everything as it stands, and prints seconds from the start of the server to its address, from
opening the page to the button, the first frame and the last, and frames a second in between.
Needs idle cores to mean anything; the load of the machine is printed with it.
"""

import os
import re
import subprocess
import sys
import time

from playwright.sync_api import sync_playwright

from tests.browser.conftest import find_chromium

RUNS = 3
COUNT = """() => {
    window.frames_seen = [];
    const place = document.querySelector('#sample-pictures');
    new MutationObserver(() => {
        const image = place.querySelector('img');
        if (image && image.src !== window.last_src) {
            window.last_src = image.src;
            window.frames_seen.push(performance.now());
        }
    }).observe(place, {childList: true, subtree: true, attributes: true});
}"""


def main() -> None:
    began = time.monotonic()
    command = [sys.executable, "-m", "minidiff", "play", "--no-browser", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        lines = iter(server.stdout.readline, "")
        address = next(m[0] for line in lines if (m := re.search(r"http://\S+", line)))
        print(f"server: address after {time.monotonic() - began:.1f} s")
        with sync_playwright() as playwright:
            path = find_chromium()
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            for run in range(RUNS):
                print(f"{'first' if run == 0 else 'later'} opening: {opened(browser, address)}")
            browser.close()
    finally:
        server.terminate()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def opened(browser, address: str) -> str:
    """One opening of the page, and one press of Draw as soon as it can be pressed."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(120_000)
    began = time.monotonic()
    page.goto(address)
    draw = page.get_by_role("button", name="Draw", exact=True).locator("visible=true")
    draw.wait_for()
    page.locator("#sample-pictures").wait_for(state="attached")
    button = time.monotonic() - began
    page.evaluate(COUNT)
    draw.click()
    page.locator("#sample-pictures img").first.wait_for()
    first = time.monotonic() - began
    page.locator("#sample-state .note", has_text=" steps in").wait_for()
    last = time.monotonic() - began
    seen = page.evaluate("window.frames_seen")
    pace = (len(seen) - 1) * 1000 / (seen[-1] - seen[0]) if len(seen) > 1 else float("nan")
    page.context.close()
    return (
        f"button {button:.1f} s, first frame {first:.1f} s, all {len(seen)} frames {last:.1f} s,"
        f" {pace:.1f} frames a second"
    )


if __name__ == "__main__":
    main()
