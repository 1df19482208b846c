"""Slips of the pen: small changes of a solution, made by rules, each with a sentence of its own.

The catalogue has the mistakes whose pictures are worth a lesson. These are the many others that
people make anywhere: a root or a sign, parentheses, two names that look alike, a clamp left in, the
first level used for all. They are made from the syntax tree of the shipped solution, so that a new
exercise has hers for nothing. slip_rules.py has a rule for each kind of node, slip_words.py the
tables; what is done to an argument as a whole is here. A slip is one replacement of text; two that
do not overlap make a pair.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from minidiff.grade.exercises import Exercise
from minidiff.grade.slip_rules import RULES, Change
from minidiff.grade.slip_words import (
    COMMON_NUMBERS,
    FOR_ALL,
    FOR_NUMBERS,
    GRADIENTS,
    IDIOMS,
    LISTS,
    OTHER_CALL,
)
from minidiff.io.shipped import shipped_text

WITH_A_NUMBER = ("hard-coded", "another-number")


@dataclass(frozen=True)
class Slip:
    """In a function, text[begin:end] becomes `new`.

    kind: a stable name; sentence: what it looks like one did; number: the one that it writes
    where another thing belongs, which only explains code that has such a number too.
    """

    kind: str
    function: str
    begin: int
    end: int
    new: str
    sentence: str
    number: str = ""

    def apply(self, text: str) -> str:
        return text[: self.begin] + self.new + text[self.end :]

    def subject(self, text: str) -> str:
        """What is changed: a piece of the text, or one argument from the first line on."""
        return self.new.split()[0] if self.begin == self.end else text[self.begin : self.end]

    def apart_from(self, other: "Slip") -> bool:
        return self.end <= other.begin or other.end <= self.begin


def slips_of(exercise: Exercise, text: str) -> list[Slip]:
    """Every slip in the lines that an exercise asks for, each new text once."""
    found: dict[tuple[int, int, str], Slip] = {}
    for node in asked_functions(exercise, text):
        for slip in Function(text, node).slips():
            found.setdefault((slip.begin, slip.end, slip.new), slip)
    return list(found.values())


def asked_functions(exercise: Exercise, text: str) -> list[ast.FunctionDef]:
    parts = {part.name: part for part in exercise.parts}
    chosen = []
    for node in ast.parse(text).body:
        part = parts.get(getattr(node, "name", ""))
        if part and isinstance(node, ast.FunctionDef):
            chosen.append(node)
        elif part and isinstance(node, ast.ClassDef):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            chosen += [m for m in methods if part.write is None or m.name in part.write]
    return chosen


def kind_of(argument: ast.arg) -> str:
    """What an argument is: its annotation, or what its name says."""
    if argument.annotation:
        return ast.unparse(argument.annotation)
    return "list[int]" if argument.arg in LISTS else ""


@cache
def equations() -> dict[str, list[str]]:
    """The package's equations, and the names of what each takes."""
    nodes = ast.parse(shipped_text("minidiff/equations.py")).body
    return {n.name: [a.arg for a in n.args.args] for n in nodes if isinstance(n, ast.FunctionDef)}


class Function:
    """A function, its text, and the slips in it.

    arguments: their names without self; names: those and the names of what it stores.
    """

    def __init__(self, text: str, node: ast.FunctionDef):
        self.text, self.node, self.name = text, node, node.name
        self.starts, at = [], 0
        for line in text.splitlines(keepends=True):
            self.starts.append((at, line))
            at += len(line)
        given = [*node.args.args, *node.args.kwonlyargs]
        self.arguments = [a.arg for a in given if a.arg != "self"]
        own = node.args
        self.kinds = {a.arg: kind_of(a) for a in given}
        written = dict(zip(reversed([a.arg for a in own.args]), reversed(own.defaults)))
        written |= {a.arg: d for a, d in zip(own.kwonlyargs, own.kw_defaults) if d is not None}
        self.defaults = {name: ast.unparse(default) for name, default in written.items()}
        inner = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
        stored = {n.id for n in inner if isinstance(n.ctx, ast.Store)}
        self.names = list(dict.fromkeys([*self.arguments, *sorted(stored)]))

    def slips(self) -> Iterator[Slip]:
        yield from self.idioms()
        yield from self.at_the_top()
        yield from self.everywhere()
        for decorator in self.node.decorator_list:
            if "no_grad" in ast.unparse(decorator):
                begin, end = self.span(decorator)
                yield Slip("no-grad-missing", self.name, begin - 1, end, "", GRADIENTS)
        called = {id(n.func) for n in ast.walk(self.node) if isinstance(n, ast.Call)}
        for node in (n for statement in self.node.body for n in ast.walk(statement)):
            if type(node) in RULES and id(node) not in called:
                yield from map(self.slip, RULES[type(node)](self, node))

    def slip(self, change: Change) -> Slip:
        kind, node, new, sentence = change
        number = new.strip("()") if kind in WITH_A_NUMBER else ""
        return Slip(kind, self.name, *self.span(node), new, f"In {self.name}, {sentence}", number)

    def everywhere(self) -> Iterator[Slip]:
        """Another function in the place of one that is called more than once."""
        begin, end = self.span(self.node)
        text = self.text[begin:end]
        for called, others in OTHER_CALL.items():
            pattern = rf"(?<=\.){called}(?=\()"
            for other in others if len(re.findall(pattern, text)) > 1 else ():
                words = f"In {self.name}, {other} stands where {called} belongs, everywhere."
                new = re.sub(pattern, other, text)
                yield Slip("another-call", self.name, begin, end, new, words)
        for name, numbers in self.numbers().items():
            pattern = rf"/ {name}\b"
            if len(re.findall(pattern, text)) > 1:
                new, number = re.sub(pattern, f"/ {numbers[0]}", text), numbers[0]
                words = f"In {self.name}, {name} is not looked at: {number} stands in its places."
                yield Slip("hard-coded", self.name, begin, end, new, words, number)

    def idioms(self) -> Iterator[Slip]:
        """Whole expressions that people write in another way, from the table."""
        first, end = self.span(self.node)
        for kind, old, new, sentence in IDIOMS:
            begin = self.text.find(old, first, end)
            while begin >= 0:
                last = begin + len(old)
                yield Slip(kind, self.name, begin, last, new, f"In {self.name}, {sentence}")
                begin = self.text.find(old, last, end)

    # --- the arguments as a whole -----------------------------------------------------------

    def at_the_top(self) -> Iterator[Slip]:
        """One argument taken for something else, everywhere in the function."""
        is_docstring = isinstance(self.node.body[0], ast.Expr) and len(self.node.body) > 1
        first = self.node.body[1 if is_docstring else 0]
        begin, pad = self.span(first)[0], " " * first.col_offset
        for kind, statement, words in [*self.taken_for(), *self.another_equation()]:
            new, sentence = f"{statement}\n{pad}", f"In {self.name}, {words}"
            number = statement.rpartition(" = ")[2] if kind == "hard-coded" else ""
            yield Slip(kind, self.name, begin, begin, new, sentence, number)

    def another_equation(self) -> Iterator[tuple[str, str, str]]:
        """What another equation gives, one of the package's that takes only what this one has."""
        if any(a.arg == "self" for a in self.node.args.args):
            return
        for other, needed in equations().items():
            if other != self.name and len(needed) > 1 and set(needed) <= set(self.arguments):
                given = ", ".join(f"{name}={name}" for name in needed)
                call = f'__import__("minidiff.equations").equations.{other}({given})'
                words = f"the result is what {other} gives; another quantity is asked for."
                yield "another-equation", f"return {call}", words

    def taken_for(self) -> Iterator[tuple[str, str, str]]:
        """(kind, statement, sentence) of what an argument may be taken for."""
        numbers = self.numbers()
        for name in self.arguments:
            for number in numbers.get(name, ()):
                words = f"{name} is not looked at: it acts as if it were always {number}."
                yield "hard-coded", f"{name} = {number}", words
            for new, words in self.readings(name):
                yield "argument-changed", f"{name} = {new.format(name)}", words.format(name)
        defaults = {name: own[0] for name, own in numbers.items() if name in self.defaults}
        if len(defaults) > 1:
            words = f"{' and '.join(defaults)} are not looked at: the usual numbers stand there."
            yield "hard-coded", f"{', '.join(defaults)} = {', '.join(defaults.values())}", words
        for i, a in enumerate(self.arguments):
            for b in self.arguments[i + 1 :]:
                if self.kinds[a] != self.kinds[b]:
                    continue
                swapped = f"{a} and {b} have changed places."
                yield "arguments-swapped", f"{a}, {b} = {b}, {a}", swapped

    def readings(self, name: str) -> list[tuple[str, str]]:
        """What an argument may be taken for: one that may be a number or a tensor, for both."""
        number = name in self.numbers()
        tensor = not number or "Tensor" in self.kinds[name]
        return [*(FOR_NUMBERS if number else []), *(FOR_ALL if tensor else [])]

    def numbers(self) -> dict[str, list[str]]:
        """The arguments that are numbers, and the numbers that people hard-code for them."""
        found = {}
        for name, kind in self.kinds.items():
            if kind.split(" | ")[0] in ("int", "float"):
                default = self.defaults.get(name, "1")
                found[name] = list(dict.fromkeys([default, *COMMON_NUMBERS]))
        return found

    # --- text -----------------------------------------------------------------------------------

    def offset(self, line: int, column: int) -> int:
        start, text = self.starts[line - 1]
        return start + len(text.encode()[:column].decode())

    def span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self.offset(node.lineno, node.col_offset),
            self.offset(node.end_lineno, node.end_col_offset),
        )

    def text_of(self, node: ast.AST) -> str:
        return self.text[slice(*self.span(node))]

    def of(self, node: ast.AST) -> str:
        """An expression's own text, in parentheses where it needs them."""
        simple = (ast.Name, ast.Constant, ast.Call, ast.Subscript, ast.Attribute)
        text = self.text_of(node)
        return text if isinstance(node, simple) else f"({text})"

    def words(self, node: ast.AST) -> str:
        text = " ".join(ast.unparse(node).split())
        return f"`{text if len(text) <= 40 else text[:37] + '...'}`"
