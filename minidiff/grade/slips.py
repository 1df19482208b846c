"""Slips of the pen: small changes of a solution, made by rules, each with a sentence of its own.

The catalogue has the mistakes whose pictures are worth a lesson. These are the many others that
people make anywhere: a root or a sign, parentheses, two names that look alike, a clamp left in, the
first level used for all. They are made from the syntax tree of the shipped solution, so that a new
exercise has hers for nothing. A slip is one replacement of text; two that do not overlap make a
pair.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from minidiff.grade.exercises import Exercise, Part
from minidiff.grade.slip_words import (
    COMMON_NUMBERS,
    DRAWS,
    DROPPABLE,
    DROPPED,
    EXTRA_NUMBERS,
    FOR_ALL,
    FOR_NUMBERS,
    FOR_ONE,
    GRADIENTS,
    IDIOMS,
    LISTS,
    MODULES,
    OTHER_CALL,
    OTHER_COMPARISON,
    OTHER_SIGN,
    RESULT,
    SAME_COMPARISON,
    SYMBOLS,
)


@dataclass(frozen=True)
class Slip:
    """In a function, text[begin:end] becomes `new`.

    kind: a stable name; sentence: what it looks like one did.
    """

    kind: str
    function: str
    begin: int
    end: int
    new: str
    sentence: str

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
    for function in asked_functions(exercise, text):
        own = Slips(text, function)
        for slip in [*own.idioms(), *own.all()]:
            found.setdefault((slip.begin, slip.end, slip.new), slip)
    return list(found.values())


def asked_functions(exercise: Exercise, text: str) -> list[ast.FunctionDef]:
    parts = {part.name: part for part in exercise.parts}
    chosen = []
    for node in ast.parse(text).body:
        part: Part | None = parts.get(getattr(node, "name", ""))
        if part and isinstance(node, ast.FunctionDef):
            chosen.append(node)
        elif part and isinstance(node, ast.ClassDef):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            chosen += [m for m in methods if part.write is None or m.name in part.write]
    return chosen


class Slips:
    """The slips of one function."""

    def __init__(self, text: str, function: ast.FunctionDef):
        self.text, self.function = text, function
        starts, at = [], 0
        for line in text.splitlines(keepends=True):
            starts.append((at, line))
            at += len(line)
        self.starts = starts
        arguments = [*function.args.args, *function.args.kwonlyargs]
        self.arguments = [a.arg for a in arguments if a.arg != "self"]
        inner = [n for n in ast.walk(function) if isinstance(n, ast.Name)]
        stored = {n.id for n in inner if isinstance(n.ctx, ast.Store)}
        self.names = list(dict.fromkeys([*self.arguments, *sorted(stored)]))

    def all(self) -> Iterator[Slip]:
        yield from self.at_the_top()
        for decorator in self.function.decorator_list:
            if "no_grad" in ast.unparse(decorator):
                begin, end = self.span(decorator)
                yield Slip("no-grad-missing", self.function.name, begin - 1, end, "", GRADIENTS)
        called = {id(n.func) for n in ast.walk(self.function) if isinstance(n, ast.Call)}
        body = [node for statement in self.function.body for node in ast.walk(statement)]
        for node in body:
            rule = getattr(self, f"in_{type(node).__name__.lower()}", None)
            if rule is not None and id(node) not in called:
                yield from rule(node)

    def idioms(self) -> Iterator[Slip]:
        """Whole expressions that people write in another way, from the table."""
        first, end = self.span(self.function)
        for kind, old, new, sentence in IDIOMS:
            begin = self.text.find(old, first, end)
            while begin >= 0:
                name, last = self.function.name, begin + len(old)
                yield Slip(kind, name, begin, last, new, f"In {name}, {sentence}")
                begin = self.text.find(old, last, end)

    # --- text -----------------------------------------------------------------------------------

    def offset(self, line: int, column: int) -> int:
        start, text = self.starts[line - 1]
        return start + len(text.encode()[:column].decode())

    def span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self.offset(node.lineno, node.col_offset),
            self.offset(node.end_lineno, node.end_col_offset),
        )

    def of(self, node: ast.AST) -> str:
        """An expression's own text, in parentheses where it needs them."""
        begin, end = self.span(node)
        simple = (ast.Name, ast.Constant, ast.Call, ast.Subscript, ast.Attribute)
        return self.text[begin:end] if isinstance(node, simple) else f"({self.text[begin:end]})"

    def words(self, node: ast.AST) -> str:
        text = " ".join(ast.unparse(node).split())
        return f"`{text if len(text) <= 40 else text[:37] + '...'}`"

    def change(self, kind: str, node: ast.AST, new: str, sentence: str) -> Slip:
        begin, end = self.span(node)
        name = self.function.name
        return Slip(kind, name, begin, end, new, f"In {name}, {sentence}")

    # --- the arguments as a whole -----------------------------------------------------------

    def at_the_top(self) -> Iterator[Slip]:
        """One argument taken for something else, everywhere in the function."""
        first = self.function.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            first = self.function.body[1]
        begin, pad = self.offset(first.lineno, first.col_offset), " " * first.col_offset
        defaults = self.defaults()
        for name in self.arguments:
            if name in defaults:
                for number in dict.fromkeys([defaults[name], *COMMON_NUMBERS]):
                    sentence = f"{name} is not looked at: it acts as if it were always {number}."
                    yield self.top("hard-coded", begin, pad, f"{name} = {number}", sentence)
            for new, words in FOR_NUMBERS if name in defaults else FOR_ALL:
                statement = f"{name} = {new.format(name)}"
                yield self.top("argument-changed", begin, pad, statement, words.format(name))
        for i, a in enumerate(self.arguments):
            for b in self.arguments[i + 1 :]:
                sentence = f"{a} and {b} have changed places."
                yield self.top("arguments-swapped", begin, pad, f"{a}, {b} = {b}, {a}", sentence)

    def top(self, kind: str, begin: int, pad: str, statement: str, sentence: str) -> Slip:
        name = self.function.name
        return Slip(kind, name, begin, begin, f"{statement}\n{pad}", f"In {name}, {sentence}")

    def defaults(self) -> dict[str, str]:
        """The arguments that are numbers, with their defaults or "1"."""
        own = self.function.args
        given = dict(zip(reversed([a.arg for a in own.args]), reversed(own.defaults)))
        given |= {a.arg: d for a, d in zip(own.kwonlyargs, own.kw_defaults) if d is not None}
        numbers = {}
        for argument in [*own.args, *own.kwonlyargs]:
            kind = ast.unparse(argument.annotation) if argument.annotation else ""
            if kind.split(" | ")[0] in ("int", "float"):
                numbers[argument.arg] = ast.unparse(given.get(argument.arg, ast.Constant(1)))
        return numbers

    # --- arithmetic -----------------------------------------------------------------------------

    def in_binop(self, node: ast.BinOp) -> Iterator[Slip]:
        a, b, kind = self.of(node.left), self.of(node.right), type(node.op)
        left, right = self.words(node.left), self.words(node.right)
        if kind is ast.Pow:
            yield self.change(
                "root-missing", node, a, f"a square root, that of {left}, is missing."
            )
            yield self.change(
                "root-inverted", node, f"({a} ** -{b})", f"{left} has its power upside down."
            )
            if isinstance(node.left, ast.BinOp):
                inner = node.left
                new = (
                    f"({self.of(inner.left)} {SYMBOLS[type(inner.op)]} {self.of(inner.right)}**{b})"
                )
                yield self.change(
                    "root-before",
                    node,
                    new,
                    f"the root is taken of "
                    f"{self.words(inner.right)} alone; it belongs to the whole of {left}.",
                )
            return
        if kind not in SYMBOLS:
            return
        for other, words in OTHER_SIGN.get(kind, []):
            yield self.change("another-operator", node, f"({a} {other} {b})", f"{words} {right}.")
        dropped = DROPPED[kind]
        yield self.change("left-out", node, a, f"{dropped.format(right)}")
        if kind in (ast.Add, ast.Mult, ast.MatMult):
            yield self.change("left-out", node, b, f"{dropped.format(left)}")
        elif kind is not ast.FloorDiv:
            yield self.change(
                "sides-swapped",
                node,
                f"({b} {SYMBOLS[kind]} {a})",
                f"{left} and {right} have changed their sides.",
            )
            yield self.change(
                "left-out", node, f"({b})", f"of {self.words(node)}, only {right} is there."
            )
        yield from self.parentheses(node, a, b)
        yield self.change(
            "root-added",
            node,
            f"(({a} {SYMBOLS[kind]} {b}) ** 0.5)",
            f"there is one square root too many, that of {self.words(node)}.",
        )
        yield self.change(
            "squared", node, f"(({a} {SYMBOLS[kind]} {b}) ** 2)", f"{self.words(node)} is squared."
        )

    def parentheses(self, node: ast.BinOp, a: str, b: str) -> Iterator[Slip]:
        """The two sides as they stand, without the parentheses around a sum or a product."""
        sign, outer = SYMBOLS[type(node.op)], type(node.op)
        if outer not in (ast.Mult, ast.Div, ast.Sub, ast.FloorDiv):
            return
        for side in (node.left, node.right):
            if isinstance(side, ast.BinOp) and type(side.op) in SYMBOLS:
                begin, end = self.span(side)
                bare = f" {self.text[begin:end]} "
                new = f"({bare}{sign} {b})" if side is node.left else f"({a} {sign}{bare})"
                yield self.change(
                    "parentheses",
                    node,
                    new,
                    f"the parentheses around {self.words(side)} are missing.",
                )

    def in_constant(self, node: ast.Constant) -> Iterator[Slip]:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return
        step = [value + 1, value - 1] if isinstance(value, int) else []
        for other in dict.fromkeys([*step, -value, value * 2, value / 2, 0, 1, *EXTRA_NUMBERS]):
            if other != value and not (isinstance(value, int) and isinstance(other, float)):
                new = f"({int(other) if isinstance(value, int) and other == int(other) else other})"
                yield self.change(
                    "another-number",
                    node,
                    new,
                    f"a number is another one: {new[1:-1]} where {value} belongs.",
                )

    def in_unaryop(self, node: ast.UnaryOp) -> Iterator[Slip]:
        yield self.change(
            "sign",
            node,
            self.of(node.operand),
            f"the {'not' if isinstance(node.op, ast.Not) else 'minus'} before "
            f"{self.words(node.operand)} is missing.",
        )

    def in_name(self, node: ast.Name) -> Iterator[Slip]:
        if not isinstance(node.ctx, ast.Load) or node.id not in self.names:
            return
        for other in self.names:
            if other != node.id:
                yield self.change(
                    "another-name",
                    node,
                    other,
                    f"{other} stands in a place where {node.id} belongs.",
                )
        for new, words in FOR_ONE:
            yield self.change("name-changed", node, new.format(node.id), words.format(node.id))

    def in_attribute(self, node: ast.Attribute) -> Iterator[Slip]:
        if isinstance(node.ctx, ast.Load) and ast.unparse(node.value) == "self":
            own, words = self.of(node), self.words(node)
            for number in COMMON_NUMBERS:
                sentence = f"{words} is not looked at: it acts as if it were always {number}."
                yield self.change("hard-coded", node, f"({number})", sentence)
            for cut, which in ((":1", "first"), (":2", "first two"), ("-1:", "last")):
                sentence = f"only the {which} of {words} are looked at."
                yield self.change("slice", node, f"{own}[{cut}]", sentence)
            yield self.change("squared", node, f"({own} ** 2)", f"{words} is squared.")
            yield self.change("one-plus", node, f"(1 + {own})", f"1 + {words} stands for {words}.")

    # --- conditions and order -----------------------------------------------------------------

    def in_compare(self, node: ast.Compare) -> Iterator[Slip]:
        left, right, kind = self.of(node.left), self.of(node.comparators[0]), type(node.ops[0])
        if isinstance(node.left, ast.Name) and kind in SAME_COMPARISON:
            for name in self.names:
                for other in SAME_COMPARISON[kind] if name != node.left.id else ():
                    yield self.change(
                        "comparison",
                        node,
                        f"({name} {other} {right})",
                        f"the condition looks at {name} in place of {node.left.id}.",
                    )
        for other in OTHER_COMPARISON.get(kind, []) if len(node.ops) == 1 else []:
            yield self.change(
                "comparison",
                node,
                f"({left} {other} {right})",
                f"a comparison, {self.words(node)}, is another one: it acts like {other}.",
            )
        yield from self.condition(node)

    def condition(self, node: ast.expr) -> Iterator[Slip]:
        text = self.of(node)
        for new, words in (
            (f"(not {text})", "the opposite"),
            ("True", "always"),
            ("False", "never"),
        ):
            yield self.change(
                "condition",
                node,
                new,
                f"what depends on {self.words(node)} happens "
                f"{'in the opposite case' if 'opp' in words else words}.",
            )

    def in_if(self, node: ast.If) -> Iterator[Slip]:
        if not isinstance(node.test, ast.Compare):
            yield from self.condition(node.test)

    def in_ifexp(self, node: ast.IfExp) -> Iterator[Slip]:
        if not isinstance(node.test, ast.Compare):
            yield from self.condition(node.test)
        elif isinstance(node.test.left, ast.Name):
            name = node.test.left.id
            words = f"the condition asks whether {name} is true; a 0 is not, though it was given."
            for new in (f"(not {name})", name):
                yield self.change("truth", node.test, new, words)

    def in_list(self, node: ast.List | ast.Tuple) -> Iterator[Slip]:
        parts = [self.text[slice(*self.span(e))] for e in node.elts]
        for i in range(len(parts) - 1):
            new = [*parts[:i], parts[i + 1], parts[i], *parts[i + 2 :]]
            bare = self.text[self.span(node)[0]]
            open_, close = ("[", "]") if bare == "[" else ("(", ")") if bare == "(" else ("", "")
            yield self.change(
                "order",
                node,
                open_ + ", ".join(new) + close,
                f"{self.words(node.elts[i])} and {self.words(node.elts[i + 1])} have "
                "changed places.",
            )

    in_tuple = in_list

    def in_subscript(self, node: ast.Subscript) -> Iterator[Slip]:
        if not isinstance(node.ctx, ast.Load):
            return
        value, index = self.of(node.value), self.words(node.slice)
        yield self.change(
            "index",
            node,
            value,
            f"{self.words(node.value)} is taken whole, not only its part {index}.",
        )
        if isinstance(node.slice, ast.Name):
            yield self.change(
                "index",
                node,
                f"{value}[: len({node.slice.id})]",
                f"the first rows of {self.words(node.value)} are taken in place of "
                f"those that {index} names.",
            )
        if isinstance(node.slice, ast.Slice):
            for other in (":-1", "1:", "::2", "1::2", ":2", ":1"):
                yield self.change(
                    "slice",
                    node,
                    f"{value}[{other}]",
                    f"another part of {self.words(node.value)} is taken: [{other}].",
                )

    # --- calls and statements -----------------------------------------------------------------

    def in_call(self, node: ast.Call) -> Iterator[Slip]:
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        begin, end = self.span(node)
        of_module = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in MODULES
        if isinstance(node.func, ast.Attribute) and not of_module:
            if name in DROPPABLE:
                yield self.change(
                    "call-missing", node, self.of(node.func.value), f".{name}() is missing."
                )
        elif node.args and name in DROPPABLE:
            yield self.change("call-missing", node, self.of(node.args[0]), f"{name} is missing.")
        for other in OTHER_CALL.get(name, []):
            func = self.text[slice(*self.span(node.func))]
            new = func[: -len(name)] + other + self.text[self.span(node.func)[1] : end]
            yield self.change("another-call", node, new, f"{other} stands where {name} belongs.")
        if name not in DROPPABLE and name.islower() and not isinstance(node.func, ast.Attribute):
            for argument in node.args:
                if isinstance(argument, ast.Name):
                    yield self.change(
                        "call-missing",
                        node,
                        argument.id,
                        f"{name} is not applied: {argument.id} is taken as it is.",
                    )
        if name == "draw":
            own = self.of(node.func)
            for new, words in DRAWS:
                yield self.change("noise-of-others", node, own + new, words)
        arguments = [*node.args, *(k.value for k in node.keywords)]
        for i in range(len(node.args) - 1):
            a, b = node.args[i], node.args[i + 1]
            (a0, a1), (b0, b1) = self.span(a), self.span(b)
            swapped = self.text[begin:a0] + self.text[b0:b1] + self.text[a1:b0]
            swapped += self.text[a0:a1] + self.text[b1:end]
            yield self.change(
                "order",
                node,
                swapped,
                f"{self.words(a)} and {self.words(b)} have changed places in a call of {name}.",
            )
        for keyword in node.keywords:
            before = [self.text[slice(*self.span(n))] for n in node.args]
            kept = [f"{k.arg}={ast.unparse(k.value)}" for k in node.keywords if k is not keyword]
            func = self.text[slice(*self.span(node.func))]
            yield self.change(
                "not-handed-on",
                node,
                f"{func}({', '.join(before + kept)})",
                f"{keyword.arg} is not given to {name}.",
            )
        for argument in arguments:
            if isinstance(argument, ast.Name) and argument.id in LISTS:
                yield self.change(
                    "not-handed-on", argument, "None", f"{argument.id} is not handed on to {name}."
                )
                own = argument.id
                for new in (f"list(range(len({own})))", f"{own}[:1]"):
                    yield self.change(
                        "first-rows",
                        argument,
                        new,
                        f"{name} is asked for the first rows, not for those that `{own}` names.",
                    )

    def in_return(self, node: ast.Return) -> Iterator[Slip]:
        values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        for value in values if node.value is not None else []:
            yield from self.result(value, "the result")

    def in_assign(self, node: ast.Assign) -> Iterator[Slip]:
        target = node.targets[0]
        if not isinstance(target, ast.Name):
            return
        yield from self.result(node.value, target.id)
        used = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
        if target.id in used:
            yield self.change(
                "step-missing", node, "pass", f"a step is missing: {target.id} is used as it came."
            )

    def result(self, value: ast.expr, name: str) -> Iterator[Slip]:
        for new, words in RESULT:
            new = new.format(self.of(value))
            yield self.change("result-changed", value, new, words.format(name))
        for argument in self.arguments[:3]:
            for sign, words in (("+", "added to"), ("-", "subtracted from")):
                yield self.change(
                    "something-added",
                    value,
                    f"({self.of(value)} {sign} {argument})",
                    f"{argument} is {words} {name}.",
                )

    def in_expr(self, node: ast.Expr) -> Iterator[Slip]:
        if isinstance(node.value, ast.Call):
            yield self.change("step-missing", node, "pass", f"{self.words(node.value)} is missing.")
