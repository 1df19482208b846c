"""The rules of slips.py: what people write by mistake in place of a piece of Python.

A rule looks at one node of the syntax tree and yields changes: (kind, the node that is replaced,
the new text, a sentence). `own` is the function that the node is in, see slips.Function.
"""

import ast
from collections.abc import Callable, Iterator

from minidiff.grade.slip_words import (
    COMMON_NUMBERS,
    COMPARISONS,
    DRAWS,
    DROPPABLE,
    DROPPED,
    EXTRA_NUMBERS,
    FOR_ONE,
    LISTS,
    MODULES,
    OTHER_CALL,
    OTHER_COMPARISON,
    OTHER_SIGN,
    RESULT,
    SAME_COMPARISON,
    SYMBOLS,
)

Change = tuple[str, ast.AST, str, str]
RULES: dict[type, Callable] = {}


def on(*kinds: type) -> Callable:
    """Make a function the rule for these kinds of nodes."""

    def add(rule):
        RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return add


# --- arithmetic ---------------------------------------------------------------------------------


@on(ast.BinOp)
def arithmetic(own, node: ast.BinOp) -> Iterator[Change]:
    a, b, kind = own.of(node.left), own.of(node.right), type(node.op)
    left, right = own.words(node.left), own.words(node.right)
    if kind is ast.Pow:
        yield from power(own, node, a, b, left)
    if kind in (ast.BitAnd, ast.BitOr):
        yield from half_of(own, node, [node.left, node.right])
    if kind not in SYMBOLS:
        return
    sign = SYMBOLS[kind]
    for other, words in OTHER_SIGN.get(kind, []):
        yield "another-operator", node, f"({a} {other} {b})", f"{words} {right}."
    yield "left-out", node, a, DROPPED[kind].format(right)
    if kind is ast.Add and ast.Constant in (type(node.left), type(node.right)):
        yield "another-operator", node, f"({b} - {a})", f"{left} is subtracted, not added."
        yield "another-operator", node, f"({a} - {b})", f"{right} is subtracted, not added."
    if kind in (ast.Add, ast.Mult, ast.MatMult):
        yield "left-out", node, b, DROPPED[kind].format(left)
    elif kind is not ast.FloorDiv:
        swapped = f"{left} and {right} have changed their sides."
        yield "sides-swapped", node, f"({b} {sign} {a})", swapped
        yield "left-out", node, f"({b})", f"of {own.words(node)}, only {right} is there."
    if kind in (ast.Mult, ast.Div, ast.Sub, ast.FloorDiv):
        yield from parentheses(own, node, a, b)
    whole = own.words(node)
    too_many = f"there is one square root too many, that of {whole}."
    yield "root-added", node, f"(({a} {sign} {b}) ** 0.5)", too_many
    yield "squared", node, f"(({a} {sign} {b}) ** 2)", f"{whole} is squared."


@on(ast.BoolOp)
def conditions(own, node: ast.BoolOp) -> Iterator[Change]:
    yield from half_of(own, node, node.values)


def half_of(own, node: ast.expr, parts: list[ast.expr]) -> Iterator[Change]:
    """One of two conditions alone."""
    for left_out, kept in zip(parts, reversed(parts)) if len(parts) == 2 else ():
        words = f"whether {own.words(left_out)} is not looked at."
        yield "bound-missing", node, own.of(kept), words


def power(own, node: ast.BinOp, a: str, b: str, left: str) -> Iterator[Change]:
    yield "root-missing", node, a, f"a square root, that of {left}, is missing."
    yield "root-inverted", node, f"({a} ** -{b})", f"{left} has its power upside down."
    inner = node.left
    if isinstance(inner, ast.BinOp) and type(inner.op) in SYMBOLS:
        new = f"({own.of(inner.left)} {SYMBOLS[type(inner.op)]} {own.of(inner.right)}**{b})"
        alone = f"the root is taken of {own.words(inner.right)} alone; it belongs to all of {left}."
        yield "root-before", node, new, alone


def parentheses(own, node: ast.BinOp, a: str, b: str) -> Iterator[Change]:
    """The two sides as they stand, without the parentheses around a sum or a product."""
    sign = SYMBOLS[type(node.op)]
    for side in (node.left, node.right):
        if isinstance(side, ast.BinOp) and type(side.op) in SYMBOLS:
            bare = own.text_of(side)
            new = f"({bare} {sign} {b})" if side is node.left else f"({a} {sign} {bare})"
            words = f"the parentheses around {own.words(side)} are missing."
            yield "parentheses", node, new, words


@on(ast.Constant)
def constant(own, node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    whole = isinstance(value, int)
    near = [value + 1, value - 1] if whole else []
    for other in dict.fromkeys([*near, -value, value * 2, value / 2, 0, 1, *EXTRA_NUMBERS]):
        if other != value and not (whole and other != int(other)):
            other = int(other) if whole else other
            words = f"a number is another one: {other} where {value} belongs."
            yield "another-number", node, f"({other})", words


@on(ast.UnaryOp)
def sign_before(own, node: ast.UnaryOp) -> Iterator[Change]:
    word = "not" if isinstance(node.op, ast.Not) else "minus"
    words = f"the {word} before {own.words(node.operand)} is missing."
    yield "sign", node, own.of(node.operand), words


# --- names --------------------------------------------------------------------------------------


@on(ast.Name)
def name(own, node: ast.Name) -> Iterator[Change]:
    if not isinstance(node.ctx, ast.Load) or node.id not in own.names:
        return
    for other in own.names:
        if other != node.id:
            words = f"{other} stands in a place where {node.id} belongs."
            yield "another-name", node, other, words
    for number in own.numbers().get(node.id, ()):
        words = f"{node.id} is not looked at in one place: {number} stands there."
        yield "hard-coded", node, f"({number})", words
    for new, words in FOR_ONE:
        yield "name-changed", node, new.format(node.id), words.format(node.id)


@on(ast.Attribute)
def attribute(own, node: ast.Attribute) -> Iterator[Change]:
    if not isinstance(node.ctx, ast.Load) or ast.unparse(node.value) not in ("self", "self.config"):
        return
    text, words = own.of(node), own.words(node)
    for number in COMMON_NUMBERS:
        always = f"{words} is not looked at: it acts as if it were always {number}."
        yield "hard-coded", node, f"({number})", always
    for cut, which in ((":1", "first"), (":2", "first two"), ("-1:", "last")):
        yield "slice", node, f"{text}[{cut}]", f"only the {which} of {words} are looked at."
    first = f"the first of {words} is used for all."
    yield "first-rows", node, f"{text}[:1].expand_as({text})", first
    yield "squared", node, f"({text} ** 2)", f"{words} is squared."
    yield "one-plus", node, f"(1 + {text})", f"1 + {words} stands for {words}."


@on(ast.Subscript)
def subscript(own, node: ast.Subscript) -> Iterator[Change]:
    if not isinstance(node.ctx, ast.Load):
        return
    value, words, index = own.of(node.value), own.words(node.value), own.words(node.slice)
    yield "index", node, value, f"{words} is taken whole, not only its part {index}."
    if isinstance(node.slice, ast.Name):
        first = f"the first rows of {words} are taken in place of those that {index} names."
        yield "index", node, f"{value}[: len({node.slice.id})]", first
    if isinstance(node.slice, ast.Slice):
        first = f"the first of {words} stands for all."
        yield "first-rows", node, f"([{value}[0]] * len({value}))", first
        for other in (":-1", "1:", "::2", "1::2", ":2", ":1"):
            yield (
                "slice",
                node,
                f"{value}[{other}]",
                f"another part of {words} is taken: [{other}].",
            )


@on(ast.List, ast.Tuple)
def neighbours(own, node: ast.List | ast.Tuple) -> Iterator[Change]:
    parts, bare = [own.text_of(e) for e in node.elts], own.text_of(node)[:1]
    opened, closed = {"[": "[]", "(": "()"}.get(bare, ("", ""))
    for i in range(len(parts) - 1):
        new = [*parts[:i], parts[i + 1], parts[i], *parts[i + 2 :]]
        words = f"{own.words(node.elts[i])} and {own.words(node.elts[i + 1])} have changed places."
        yield "order", node, opened + ", ".join(new) + closed, words


# --- conditions ---------------------------------------------------------------------------------


@on(ast.Compare)
def comparison(own, node: ast.Compare) -> Iterator[Change]:
    left, right, kind = own.of(node.left), own.of(node.comparators[0]), type(node.ops[0])
    if isinstance(node.left, ast.Name):
        for other in SAME_COMPARISON.get(kind, ()):
            for name_ in own.names:
                if name_ != node.left.id:
                    words = f"the condition looks at {name_} in place of {node.left.id}."
                    yield "comparison", node, f"({name_} {other} {right})", words
    if len(node.ops) == 2:  # low < x <= high
        middle, last = own.of(node.comparators[0]), own.of(node.comparators[1])
        signs = [COMPARISONS[type(op)] for op in node.ops]
        for new, which in (
            (f"{left} {signs[0]} {middle}", "upper"),
            (f"{middle} {signs[1]} {last}", "lower"),
        ):
            words = f"of {own.words(node)}, the {which} bound is not looked at."
            yield "bound-missing", node, f"({new})", words
    for other in OTHER_COMPARISON.get(kind, []) if len(node.ops) == 1 else []:
        words = f"a comparison, {own.words(node)}, is another one: it acts like {other}."
        yield "comparison", node, f"({left} {other} {right})", words
    yield from condition(own, node)


def condition(own, node: ast.expr) -> Iterator[Change]:
    what = f"what depends on {own.words(node)} happens"
    yield "condition", node, f"(not {own.of(node)})", f"{what} in the opposite case."
    yield "condition", node, "True", f"{what} always."
    yield "condition", node, "False", f"{what} never."


@on(ast.If, ast.IfExp)
def choice(own, node: ast.If | ast.IfExp) -> Iterator[Change]:
    if not isinstance(node.test, ast.Compare):
        yield from condition(own, node.test)
    elif isinstance(node, ast.IfExp) and isinstance(node.test.left, ast.Name):
        asked = node.test.left.id
        words = f"the condition asks whether {asked} is true; a 0 is not, though it was given."
        for new in (f"(not {asked})", asked):
            yield "truth", node.test, new, words


# --- calls --------------------------------------------------------------------------------------


@on(ast.Call)
def call(own, node: ast.Call) -> Iterator[Change]:
    called = getattr(node.func, "attr", getattr(node.func, "id", ""))
    yield from call_missing(own, node, called)
    function, rest = own.text_of(node.func), own.text_of(node)[len(own.text_of(node.func)) :]
    for other in OTHER_CALL.get(called, []):
        words = f"{other} stands where {called} belongs."
        yield "another-call", node, function[: -len(called)] + other + rest, words
        if node.keywords and node.args:
            plain = ", ".join(own.text_of(a) for a in node.args)
            yield "another-call", node, f"{function[: -len(called)]}{other}({plain})", words
    if called == "draw":
        for new, words in DRAWS:
            yield "noise-of-others", node, own.of(node.func) + new, words
    if called == "len":
        for shift, words in (("- 1", "one less than"), ("+ 1", "one more than")):
            text = own.text_of(node)
            yield "off-by-one", node, f"({text} {shift})", f"{words} `{text}` is taken."
    yield from arguments(own, node, called)


def call_missing(own, node: ast.Call, called: str) -> Iterator[Change]:
    method = isinstance(node.func, ast.Attribute)
    if called in DROPPABLE:
        if method and ast.unparse(node.func.value) not in MODULES:
            yield "call-missing", node, own.of(node.func.value), f".{called}() is missing."
        elif node.args:
            yield "call-missing", node, own.of(node.args[0]), f"{called} is missing."
    elif called.islower() and not method:
        for given in node.args:
            if isinstance(given, ast.Name):
                words = f"{called} is not applied: {given.id} is taken as it is."
                yield "call-missing", node, given.id, words


def arguments(own, node: ast.Call, called: str) -> Iterator[Change]:
    """Two that have changed places, one that is not given, the first rows for all."""
    function, given = own.text_of(node.func), [own.text_of(a) for a in node.args]
    named = {k.arg: f"{k.arg}={own.text_of(k.value)}" for k in node.keywords if k.arg}
    for i in range(len(given) - 1):
        if len({own.kinds.get(text) for text in given[i : i + 2]}) > 1:
            continue  # things of another kind: nobody takes one for the other
        swapped = [*given[:i], given[i + 1], given[i], *given[i + 2 :], *named.values()]
        pair = f"{own.words(node.args[i])} and {own.words(node.args[i + 1])}"
        words = f"{pair} have changed places in a call of {called}."
        yield "order", node, f"{function}({', '.join(swapped)})", words
    if len(given) > 1 and not named:
        words = f"{called} is called with {own.words(node.args[0])} alone."
        yield "not-handed-on", node, f"{function}({given[0]})", words
    for key in named:
        kept = [*given, *(text for other, text in named.items() if other != key)]
        new = f"{function}({', '.join(kept)})"
        yield "not-handed-on", node, new, f"{key} is not given to {called}."
    for value in [*node.args, *(k.value for k in node.keywords)]:
        if isinstance(value, ast.Name) and value.id in LISTS:
            own_rows = (
                f"{called} is asked for the first rows, not for those that `{value.id}` names."
            )
            lost = f"{value.id} is not handed on to {called}."
            yield "not-handed-on", value, "None", lost
            for new in (f"list(range(len({value.id})))", f"{value.id}[:1]"):
                yield "first-rows", value, new, own_rows


# --- statements ---------------------------------------------------------------------------------


@on(ast.Return)
def returned(own, node: ast.Return) -> Iterator[Change]:
    for value in flat(node.value) if node.value is not None else []:
        yield from result(own, value, "the result")


def flat(value: ast.expr) -> Iterator[ast.expr]:
    """The parts of a result: of ((a, b), c), a, b and c."""
    if isinstance(value, ast.Tuple):
        for part in value.elts:
            yield from flat(part)
    else:
        yield value


@on(ast.Assign)
def assigned(own, node: ast.Assign) -> Iterator[Change]:
    target = node.targets[0]
    if isinstance(target, ast.Attribute):
        yield "step-missing", node, "pass", f"{own.words(target)} is never set."
    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
        yield from one_of_several(own, node, target)
    if isinstance(target, ast.Name):
        yield from result(own, node.value, target.id)
        if any(isinstance(n, ast.Name) and n.id == target.id for n in ast.walk(node.value)):
            words = f"a step is missing: {target.id} is used as it came."
            yield "step-missing", node, "pass", words


def one_of_several(own, node: ast.Assign, target: ast.Tuple) -> Iterator[Change]:
    """a, self.b = c, d without one of the two."""
    pairs = list(zip(target.elts, node.value.elts))
    for left_out, _ in pairs:
        if isinstance(left_out, ast.Attribute):
            kept = [f"{own.text_of(a)} = {own.text_of(b)}" for a, b in pairs if a is not left_out]
            yield "step-missing", node, "; ".join(kept), f"{own.words(left_out)} is never set."


def result(own, value: ast.expr, called: str) -> Iterator[Change]:
    text = own.of(value)
    for new, words in RESULT:
        yield "result-changed", value, new.format(text), words.format(called)
    for argument in own.arguments[:3]:
        for sign, words in (("+", "added to"), ("-", "subtracted from")):
            sentence = f"{argument} is {words} {called}."
            yield "something-added", value, f"({text} {sign} {argument})", sentence


@on(ast.Expr)
def statement(own, node: ast.Expr) -> Iterator[Change]:
    if isinstance(node.value, ast.Call):
        yield "step-missing", node, "pass", f"{own.words(node.value)} is missing."
    if isinstance(node.value, ast.Yield):
        yield "step-missing", node, "pass", f"{own.words(node.value)} is missing in one place."
