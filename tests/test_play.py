"""The page of `make play` without a browser and without gradio: guard, texts, formulas, words."""

import asyncio
import re
import shlex
import socket

import pytest
import torch

from minidiff.cli import make_parser
from minidiff.errors import UserError
from minidiff.grade.mistakes.catalogue import CATALOGUE
from minidiff.io.shipped import shipped_text
from minidiff.lessons.chapters import Chapter
from minidiff.lessons.lint import without_code
from minidiff.play import book, copyable, formula, live, server, show, texts
from minidiff.play.bench import Event
from minidiff.play.guard import HEADERS, Guard
from minidiff.play.tabs.trial import Trial, scene_of
from minidiff.schedule import cosine_schedule

PORT, TOKEN = 7860, "a-token"
HOST = ("host", f"127.0.0.1:{PORT}")
COOKIE = ("cookie", f"minidiff-play-{PORT}={TOKEN}")


class Asked:
    """What became of a request: the answer, and whether the page behind the guard saw it."""

    def __init__(
        self, *headers, path="/gradio_api/queue/join", query="", method="POST", kind="http"
    ):
        self.seen, self.messages = False, []
        scope = {
            "type": kind,
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers],
        }

        async def page(scope, receive, send):
            self.seen = True
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"the page"})

        async def send(message):
            self.messages.append(message)

        asyncio.run(Guard(page, PORT, TOKEN)(scope, None, send))
        self.status = self.messages[0].get("status")
        told = self.messages[0].get("headers", [])
        self.headers = {name.decode(): value.decode() for name, value in told}


# --- the guard ------------------------------------------------------------------------------------


def test_the_page_itself_comes_through():
    asked = Asked(
        HOST, COOKIE, ("origin", f"http://127.0.0.1:{PORT}"), ("sec-fetch-site", "same-origin")
    )
    assert asked.seen and asked.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("host", "evil.example"), COOKIE],
        [("host", f"evil.example:{PORT}"), COOKIE],
        [("host", "127.0.0.1:1234"), COOKIE],
        [("host", f"127.0.0.1:{PORT}.evil.example"), COOKIE],
        [COOKIE],
        [HOST, ("host", "evil.example"), COOKIE],
        [HOST, COOKIE, ("origin", "https://evil.example")],
        [HOST, COOKIE, ("origin", "null")],
        [HOST, COOKIE, ("origin", "http://127.0.0.1:9999")],
        [HOST, COOKIE, ("origin", f"https://127.0.0.1:{PORT}")],
        [HOST, COOKIE, ("sec-fetch-site", "cross-site")],
        [HOST, COOKIE, ("sec-fetch-site", "same-site")],  # another port of this machine
        [HOST],
        [HOST, ("cookie", f"minidiff-play-{PORT}=")],
        [HOST, ("cookie", f"minidiff-play-{PORT}=another")],
        [HOST, ("cookie", f"minidiff-play-1234={TOKEN}")],
        [HOST, ("cookie", "a broken; cookie=[")],
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_what_is_not_the_page_reaches_nothing(headers, method):
    asked = Asked(*headers, method=method)
    assert not asked.seen and asked.status == 403


def test_a_websocket_reaches_nothing():
    asked = Asked(HOST, COOKIE, kind="websocket")
    assert not asked.seen and asked.messages[0]["type"] == "websocket.close"


def test_the_address_is_exchanged_for_a_cookie():
    asked = Asked(HOST, path="/", query=f"token={TOKEN}&tab=equation&mistake=a%26b", method="GET")
    assert not asked.seen and asked.status == 303
    assert asked.headers["location"] == "/?tab=equation&mistake=a%26b"
    cookie = asked.headers["set-cookie"]
    assert COOKIE[1] in cookie and "HttpOnly" in cookie and "SameSite=Lax" in cookie


@pytest.mark.parametrize("query", ["", "token=", "token=another", "tab=equation"])
def test_without_the_token_there_is_a_sentence(query):
    asked = Asked(HOST, path="/", query=query, method="GET")
    assert not asked.seen and asked.status == 403
    assert b"make play" in asked.messages[1]["body"]


def test_a_token_in_the_address_of_anything_else_opens_nothing():
    assert not Asked(HOST, path="/gradio_api/queue/join", query=f"token={TOKEN}").seen


def test_a_link_from_elsewhere_opens_the_page_and_no_more():
    from_elsewhere = (("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"))
    assert Asked(HOST, COOKIE, *from_elsewhere, path="/", method="GET").seen
    assert not Asked(HOST, COOKIE, *from_elsewhere, path="/", method="POST").seen
    assert not Asked(HOST, COOKIE, *from_elsewhere, path="/gradio_api/info", method="GET").seen


def test_every_answer_forbids_outside_requests_and_frames():
    for asked in (Asked(HOST, COOKIE), Asked(HOST)):
        assert asked.headers.items() >= HEADERS.items()
        policy = asked.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "http" not in policy
        assert "frame-ancestors 'none'" in policy


def test_tokens_differ_from_start_to_start():
    assert Guard(None, PORT).token != Guard(None, PORT).token and len(Guard(None, PORT).token) >= 32


def test_only_this_machine_is_served():
    with server.open_port(0) as sock:
        assert sock.getsockname()[0] == "127.0.0.1"


def test_a_taken_port_ends_in_a_sentence():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UserError, match="cannot be used"):
            server.open_port(other.getsockname()[1])
    with pytest.raises(UserError, match="cannot be used"):
        server.open_port(99999)


def test_without_gradio_there_is_one_sentence(monkeypatch):
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="make play"):
        server.main()


# --- texts ----------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The reader's copy of equations.py, in a folder of its own."""
    path = tmp_path / "minidiff" / "equations.py"
    path.parent.mkdir()
    path.write_text(shipped_text("minidiff/equations.py"))
    monkeypatch.setattr(texts, "ROOT", tmp_path)
    return path


MEAN = texts.Place("minidiff/equations.py", "posterior_mean")


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_catalogued_mistake_loads_into_one_function(name):
    place, code = texts.place_of(name), texts.with_mistake(name)
    assert str(place) in texts.all_places()
    texts.check(place, code)
    assert code != texts.shipped(place)


def test_the_equations_stand_first():
    assert next(iter(texts.all_places())).startswith("equations.py")


def test_saving_changes_one_function_and_back_to_shipped_undoes_it(copy):
    before = copy.read_text()
    texts.save(MEAN, texts.with_mistake("mean-x0-no-root"))
    assert copy.read_text() == CATALOGUE["mean-x0-no-root"].apply(before)
    assert texts.on_disk(MEAN) == texts.with_mistake("mean-x0-no-root")
    texts.save(MEAN, texts.shipped(MEAN))
    assert copy.read_text() == before


def test_looking_and_running_write_nothing(copy):
    before = copy.read_text(), copy.stat().st_mtime_ns
    texts.with_piece(MEAN, texts.with_mistake("mean-x0-no-root"))
    texts.on_disk(MEAN)
    assert (copy.read_text(), copy.stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("def posterior_mean(x_t):\n    return (x_t\n", "line 2"),
        ("def posterior_mean(x_t):\nreturn x_t\n", "line 2"),
        ("def another(x_t):\n    return x_t\n", "keep its name"),
        ("", "keep its name"),
        ("\0", "Python cannot read"),
    ],
)
def test_what_does_not_parse_is_never_saved(copy, code, sentence):
    before = copy.read_text()
    with pytest.raises(UserError, match=sentence):
        texts.save(MEAN, code)
    assert copy.read_text() == before


def test_a_copy_that_does_not_parse_can_be_mended(copy):
    copy.write_text("def posterior_mean(:\n")
    assert texts.on_disk(MEAN) == texts.shipped(MEAN)
    texts.save(MEAN, texts.shipped(MEAN))
    assert copy.read_text() == shipped_text("minidiff/equations.py")


# --- formulas -------------------------------------------------------------------------------------


def formula_of(name: str) -> str:
    return formula.tex(texts.shipped(texts.Place("minidiff/equations.py", name)))


def test_a_formula_is_the_code():
    assert r"x_t &= \sqrt{\bar\alpha}\,x_0 + \sqrt{1 - \bar\alpha}\,\epsilon" in formula_of(
        "forward_process"
    )
    assert r"\frac{x_t - \sqrt{1 - \bar\alpha}\,\epsilon}{\sqrt{\bar\alpha}}" in formula_of(
        "x0_from_eps"
    )


def test_brackets_stand_where_they_change_the_value():
    def of(expression):
        return formula.tex(f"def f(a, b, c):\n    return {expression}")

    assert of("a - (b - c)") != of("a - b - c")
    assert of("(a + b) * c") != of("a + b * c")
    assert of("(a * b) ** 2") != of("a * b**2")
    assert of("-(a + b)") != of("-a + b")


TYPESET = [
    name
    for name, mistake in CATALOGUE.items()
    if mistake.file == "minidiff/equations.py" and formula.tex(texts.shipped(texts.place_of(name)))
]


@pytest.mark.parametrize("name", TYPESET)
def test_a_mistake_in_an_equation_shows_in_its_formula(name):
    sound = formula.tex(texts.shipped(texts.place_of(name)))
    assert formula.tex(texts.with_mistake(name)) != sound


@pytest.mark.parametrize("code", ["", "def f(", "def f(x):\n    while x: pass\n", "\0", "x = 1"])
def test_what_is_no_formula_shows_none(code):
    assert formula.tex(code) == ""


# --- walks, calls, chapters -----------------------------------------------------------------------


def test_stops_reach_their_own_session_only():
    stops = live.Stops()
    mine, yours = stops.begin("mine"), stops.begin("yours")
    stops.stop("mine")
    assert mine() and not yours()
    assert not stops.begin("mine")()


def test_a_second_run_of_a_session_ends_the_first():
    stops = live.Stops()
    first = stops.begin("mine")
    stops.begin("mine")
    assert first()


def test_the_numbers_of_a_step_are_those_of_a3():
    schedule = cosine_schedule()
    record = live.Record(["a cat"], schedule, total=1)
    record.steps.append(live.Kept(690, 660, {}))
    shown = dict(record.numbers(0))
    a, b = schedule.abars[690], schedule.abars[660]
    assert shown["t"] == "690" and shown["t'"] == "660"
    assert shown["weight of x0 in A.3"] == f"{float(b**0.5 * (1 - a / b) / (1 - a)):.4g}"
    assert shown["weight of x_t in A.3"] == f"{float((a / b) ** 0.5 * (1 - b) / (1 - a)):.4g}"


@pytest.mark.parametrize("prompt", ["a cat", "it's", "-x", "--steps", 'a "b" $c', "猫"])
def test_the_command_to_copy_says_what_was_drawn(prompt):
    line = copyable.command(
        "sample", "a dog", seeds="180-182", steps=8, guidance=7.0, negative=prompt
    )
    parts = shlex.split(line)
    assert parts[:3] == ["python", "-m", "minidiff"]
    options = make_parser().parse_args(parts[3:])
    assert options.prompts == ["a dog"] and options.negative == prompt
    assert options.seeds == [180, 181, 182] and str(options.steps) == "8"


def test_the_python_to_copy_runs(monkeypatch):
    called = {}

    class Studio:
        def draw(self, prompts, **words):
            called.update(prompts=prompts, **words)

    import minidiff

    monkeypatch.setattr(minidiff, "open", Studio)
    exec(copyable.python_call("draw", ["it's"], seeds=[180], steps=8, negative=""), {})
    assert called == {"prompts": ["it's"], "seeds": [180], "steps": 8}


@pytest.mark.parametrize("chapter", book.find_chapters(), ids=lambda chapter: chapter.number)
def test_a_chapter_on_the_page_links_nothing_that_is_not_there(chapter):
    links, text = book.page_of(chapter.number)
    assert "](figures/" not in text and 'src="figures/' not in text
    prose = without_code(Chapter(chapter.path, text).prose)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        assert target.startswith(("/?tab=", "/gradio_api/file=", "https://", "#")), target
    for name in book.mistakes_of(chapter):
        assert f"/?tab=equation&mistake={name}" in links


def test_chapters_of_equations_have_mistakes_to_try():
    by_number = {chapter.number: chapter for chapter in book.find_chapters()}
    for number in ("02", "04", "05", "07", "08", "10", "12", "13", "20", "21"):
        assert book.mistakes_of(by_number[number]), number


# --- what is shown of a run -----------------------------------------------------------------------


def strip(value: float) -> Event:
    told = {"captions": ["a"], "done": 1.0}
    return Event("strip", torch.full((1, 3, 4, 4), value), told)


def test_lines_of_the_file_become_lines_of_the_editor():
    trial = Trial(MEAN, first_line=40)
    told = {"sentence": "raised ValueError: no (equations.py, line 43)"}
    trial.hear("changed", Event("error", told=told))
    assert "(line 3)" in trial.state() and "line 43" not in trial.state()


def test_values_that_are_not_numbers_are_named():
    trial = Trial(MEAN, 0)
    trial.hear("shipped", strip(0.0))
    trial.hear("changed", strip(float("nan")))
    assert "not numbers" in trial.state()


def test_a_difference_is_shown_once_both_are_done():
    trial = Trial(MEAN, 0)
    trial.hear("changed", strip(0.5))
    assert "difference" not in trial.strips()
    trial.hear("shipped", strip(0.0))
    assert "difference" in trial.strips()


def test_all_that_is_shown_is_escaped():
    trial = Trial(MEAN, 0)
    trial.hear("changed", Event("error", told={"sentence": "<script>", "printed": "<b>"}))
    assert "<script>" not in trial.state() and "<b>" not in trial.state()
    assert "<img" not in show.note("<img src=x>")


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_mistake_has_a_scene(name):
    from minidiff.grade.scenes import SCENES

    assert scene_of(texts.place_of(name), name) in SCENES
