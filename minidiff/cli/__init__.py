"""The command line: looks up verbs.py, calls what it names, turns errors into sentences."""

import argparse
import errno
import io
import os
import signal
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from minidiff.cli.ending import Ending
from minidiff.cli.verbs import GROUPS, VERBS
from minidiff.errors import UserError
from minidiff.io.surroundings import notes

PATHS = ("image", "mask", "source", "target", "folder")  # those without an option's dashes


class Parser(argparse.ArgumentParser):
    def error(self, message: str):
        greedy = [a.option_strings[0] for a in self._actions if a.option_strings and a.nargs == "+"]
        if greedy and "required:" in message:  # a prompt such as 7 may have become one's value
            message += f", before {' and '.join(greedy)}, which take all that follows them"
        raise UserError(f"{message}; `{self.prog} --help` shows how")


def add_group(parser: Parser):
    return parser.add_subparsers(required=True, metavar="VERB")


def make_parser() -> Parser:
    parser = Parser(prog="python -m minidiff", description="DeepFloyd IF, written out by hand.")
    groups = {"": add_group(parser)}
    for name, verb in VERBS.items():
        group, _, word = name.rpartition(" ")
        if group not in groups:
            groups[group] = add_group(groups[""].add_parser(group, help=GROUPS[group]))
        sub = groups[group].add_parser(
            word,
            usage=usage(verb.options),
            help=verb.does,
            description=verb.does,
            epilog=f"example: python -m minidiff {verb.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(verb=name)
        for names, settings in verb.options:
            sub.add_argument(*names, **path_type(names, settings), **settings)
    return parser


def usage(options: list) -> str:
    """What comes first, first: argparse would show --strength S [S ...] before the picture, which
    that option then swallows."""
    forms = {"+": "{0} [{0} ...]", "*": "[{0} ...]", "?": "[{0}]", None: "{0}"}
    plain = [
        forms[settings.get("nargs")].format(settings.get("metavar", names[0]))
        for names, settings in options
        if not names[0].startswith("-")
    ]
    return " ".join(["%(prog)s", *plain, "[options]" if len(plain) < len(options) else ""]).strip()


def path_type(names: tuple[str, ...], settings: dict) -> dict:
    """~ means the home folder in every path, also where no shell has replaced it: --out=~/x."""
    is_path = settings.get("metavar") in ("DIR", "FILE", "WHERE") or names[0] in PATHS
    return {"type": os.path.expanduser} if is_path and "type" not in settings else {}


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; the exit status. Bad input ends in one sentence and 2, never in a traceback."""
    for name in ("stdout", "stderr"):  # a program that was started without has None there
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold what no terminal can show
        sys.stdout.reconfigure(errors="replace")
    with notes(say), Ending() as ending:
        try:
            perform(arguments)
            ending.stop_trying()
        except BaseException as error:  # whatever a signal has become on its way out
            if isinstance(error, KeyboardInterrupt) or ending.status == 128 + signal.SIGINT:
                return fail("interrupted; every file that was written is whole", 130)
            return ending.status or status_of(error)
        return ending.pending or 0


def perform(arguments: list[str] | None) -> None:
    parser = make_parser()
    known, unknown = parser.parse_known_args(arguments)
    options = vars(known)
    if unknown:
        refuse(parser, options["verb"], unknown)
    module, function = VERBS[options.pop("verb")].function.split(":")
    given = {name: value for name, value in options.items() if value is not None}
    report(getattr(import_module(module), function)(**given))


def refuse(parser: Parser, verb: str, words: list[str]) -> None:
    """UserError for words that a verb does not take; argparse's would point to all verbs' help."""
    taken = [name for names, _ in VERBS[verb].options for name in names if name[0] == "-"]
    near = get_close_matches(words[0].partition("=")[0], taken, n=1)
    meant = f" (is it {near[0]}?)" if near else ""
    parser.prog += f" {verb}"
    parser.error(f"{verb} takes no {' '.join(words)}{meant}")


def status_of(error: BaseException) -> int:
    """The exit status, after the sentence that explains it; a fault of ours shows its traceback."""
    if isinstance(error, UserError):
        return fail(str(error), 2)
    if isinstance(error, BrokenPipeError):  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    if isinstance(error, ImportError):
        return fail_without(error)
    if isinstance(error, (MemoryError, OSError, RuntimeError)):
        return fail_with(error)
    raise error


def report(result) -> None:
    """Name the files that a verb wrote; other results the verb has printed itself."""
    for path in result if isinstance(result, list) else [result]:
        if isinstance(path, Path):
            print(f"wrote {path}")


def fail_without(error: ImportError) -> int:
    """The sentence for a Python that lacks a library; an import of ours that fails is a fault."""
    library = (error.name or "minidiff").partition(".")[0]
    if library == "minidiff":
        raise error
    return fail(
        f"{library} cannot be imported by {sys.executable} ({error}): run make without PY, which"
        f" sets up .venv, or `{sys.executable} -m pip install -e .` in the repository",
        2,
    )


def fail_with(error: Exception) -> int:
    """The sentence for what the machine lacks; any other error is ours, and shows its traceback."""
    kind, text = type(error).__name__, str(error)
    if kind in ("MemoryError", "OutOfMemoryError") or "allocate memory" in text:
        return fail("not enough memory: try --batch 1, --dtype fp16, or a smaller model", 2)
    if isinstance(error, OSError) and error.strerror:
        remedy = "free some space" if error.errno == errno.ENOSPC else "choose another place"
        where = f": {error.filename}" if error.filename else ""
        return fail(f"{error.strerror}{where}; {remedy}", 2)
    raise error


def fail(message: str, status: int) -> int:
    say(f"minidiff: {message}")
    return status


def say(line: str) -> None:
    """One line; what a damaged file has put into it cannot move the cursor or break the line."""
    shown = "".join(c if c.isprintable() else " " for c in line)
    print(shown.encode(errors="replace").decode(), file=sys.stderr, flush=True)
