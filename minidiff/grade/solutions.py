"""Exercises and solutions as texts, made from the package as it was shipped.

write_stubs()        the stubs lessons/exercises/<exercise>.py: missing ones, and old untouched ones
solution_text(e)     what the exercise asks for, as one file: never written to disk
files_to_ship()      the files that exercises ask parts of: see io/shipped.py
"""

import ast
import io
import re
import textwrap
import tokenize
from pathlib import Path

from minidiff.errors import UserError
from minidiff.grade.exercises import Exercise, Part, all_exercises
from minidiff.io.files import save_atomically
from minidiff.io.paths import ROOT
from minidiff.io.shipped import shipped_text

EXERCISES_FOLDER = ROOT / "lessons" / "exercises"
WIDTH = 100
COUNT = r"# (1 line|about \d+ lines) in the package"
WITH_A_BODY = (ast.Module, ast.ClassDef, ast.FunctionDef)


def write_stubs() -> list[Path]:
    """Write the stubs that are missing, and anew those out of date in which nobody has written."""
    wanted = {EXERCISES_FOLDER / f"{e.name}.py": stub_text(e) for e in all_exercises().values()}
    due = {path: text for path, text in wanted.items() if is_out_of_date(path, text)}
    for path, text in due.items():
        save_atomically(path, lambda file, text=text: file.write(text.encode()))
    return list(due)


def is_out_of_date(path: Path, stub: str) -> bool:
    """Whether a stub is to be written: it is missing, or old, and then without a student's work."""
    if not path.exists():
        return True
    text = path.read_text(encoding="utf-8", errors="replace")
    return text != stub and is_untouched(text, stub)


def is_untouched(text: str, stub: str) -> bool:
    """Whether a text and a stub differ in nothing but their sentences, imports and line counts."""
    try:
        return bones(text) == bones(stub)
    except (SyntaxError, ValueError):  # someone is at work
        return False


def bones(text: str) -> tuple[str, list[str]]:
    """A text's statements without docstrings and imports, and comments but the line counts."""
    tree = ast.parse(text)
    for node in [n for n in ast.walk(tree) if isinstance(n, WITH_A_BODY)]:
        node.body = [n for n in node.body if not is_import(n)]
        if ast.get_docstring(node) is not None:
            del node.body[0]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return ast.dump(tree), [c for c in comments if not re.fullmatch(COUNT, c)]


def is_import(node: ast.stmt) -> bool:
    return isinstance(node, (ast.Import, ast.ImportFrom))


def files_to_ship() -> list[str]:
    """The files of the package that exercises ask parts of, and the equations."""
    asked = {part.file for exercise in all_exercises().values() for part in exercise.parts}
    return sorted({"minidiff/equations.py", *asked})


# --- the text of an exercise --------------------------------------------------------------------


def solution_text(exercise: Exercise) -> str:
    """The exercise's parts as they stand in the package, with the imports they need."""
    head = (
        f'"""Solution of `{exercise.name}`, course {exercise.section}: from {files(exercise)}."""'
    )
    bodies = [source_of(part) for part in exercise.parts]
    return "\n\n".join([head, imports(exercise), *bodies]).replace("\n\n\n\n", "\n\n\n") + "\n"


def stub_text(exercise: Exercise) -> str:
    """The same file with the lines to write taken out."""
    task = "\n".join(textwrap.wrap(exercise.task, WIDTH))
    head = (
        f'"""Exercise `{exercise.name}`, course {exercise.section}.\n\n{task}\n\n'
        f"Check it:       make grade EX={exercise.name}\n"
        f'Begin it anew:  delete this file, then `make lessons-sync`\n"""'
    )
    lines = imports(exercise, {"minidiff.grade.stub": {"YourTurnError"}})
    bodies = [stub_of(part, source_of(part)) for part in exercise.parts]
    return "\n\n".join([head, lines, *bodies]).replace("\n\n\n\n", "\n\n\n") + "\n"


def files(exercise: Exercise) -> str:
    return ", ".join(dict.fromkeys(part.file for part in exercise.parts))


def source_of(part: Part) -> str:
    """The text of a function or class, decorators included, after one more empty line."""
    text = shipped_text(part.file)
    for node in ast.parse(text).body:
        if getattr(node, "name", None) == part.name or is_constant(node, part.name):
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            return "\n" + "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    raise UserError(f"{part.file} has no `{part.name}`, which an exercise asks for")


def is_constant(node: ast.stmt, name: str) -> bool:
    """Whether a statement is `NAME = ...`."""
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == name for target in node.targets
    )


def stub_of(part: Part, source: str) -> str:
    """The source with the bodies to write replaced by a line that says so."""
    lines = source.splitlines()
    bodies = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and is_to_write(part, node, source)
    ]
    for node in sorted(bodies, key=lambda node: -node.lineno):
        first = node.body[0]
        has_doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        begin = first.end_lineno if has_doc else first.lineno - 1
        begin = begin if has_doc else body_start(node, lines)
        pad = " " * first.col_offset
        aim = count_lines(lines[begin : node.end_lineno])
        name = node.name if node.name == part.name else f"{part.name}.{node.name}"
        lines[begin : node.end_lineno] = [
            f"{pad}# {'1 line' if aim == 1 else f'about {aim} lines'} in the package",
            f'{pad}raise YourTurnError("write {name}")',
        ]
    return "\n".join(lines)


def body_start(node: ast.FunctionDef, lines: list[str]) -> int:
    """The index of the line after the one that ends a def: comments before the body go too."""
    index = node.body[0].lineno - 1
    while lines[index - 1].lstrip().startswith("#"):
        index -= 1
    return index


def is_to_write(part: Part, node: ast.FunctionDef, source: str) -> bool:
    """Whether a def is the student's: outermost, and named if only some methods are."""
    parents = [
        outer
        for outer in ast.walk(ast.parse(source))
        if isinstance(outer, (ast.FunctionDef, ast.ClassDef))
        and outer.lineno < node.lineno <= outer.end_lineno
    ]
    if any(isinstance(outer, ast.FunctionDef) for outer in parents):
        return False
    return node.name in part.write if part.write is not None else True


def count_lines(lines: list[str]) -> int:
    return sum(1 for line in lines if line.strip() and not line.strip().startswith("#"))


# --- imports ----------------------------------------------------------------------------------


def imports(exercise: Exercise, more: dict[str, set[str]] | None = None) -> str:
    """The import lines that the parts need, and more if given, in the order of the house."""
    own = {part.name for part in exercise.parts}
    whole: set[str] = set()
    named: dict[str, set[str]] = {**(more or {})}
    for part in exercise.parts:
        tree = ast.parse(shipped_text(part.file))
        used = names_in(source_of(part)) - own
        for node in tree.body:
            add_import(node, used, own, whole, named)
        local = {name for node in tree.body for name in names_defined(node)}
        if local & used:
            named.setdefault(part.module, set()).update(local & used)
    groups: dict[int, list[str]] = {}
    for line in sorted(whole):
        groups.setdefault(rank(line.split()[1]), []).append(line)
    for module in sorted(named):
        groups.setdefault(rank(module), []).extend(import_lines(module, named[module]))
    return "\n\n".join("\n".join(groups[key]) for key in sorted(groups))


def add_import(node: ast.stmt, used: set, own: set, whole: set, named: dict) -> None:
    """Note what one import statement of the package gives that is used."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if (alias.asname or alias.name).split(".")[0] in used:
                whole.add(f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else ""))
    elif isinstance(node, ast.ImportFrom):
        found = {
            f"{alias.name} as {alias.asname}" if alias.asname else alias.name
            for alias in node.names
            if (alias.asname or alias.name) in used - own
        }
        if found:
            named.setdefault(node.module, set()).update(found)


def names_in(source: str) -> set[str]:
    """Every name a text uses that it does not get as an argument."""
    return free_names(ast.parse(source))


def free_names(node: ast.AST) -> set[str]:
    found = {node.id} if isinstance(node, ast.Name) else set()
    for child in ast.iter_child_nodes(node):
        found |= free_names(child)
    if isinstance(node, (ast.FunctionDef, ast.Lambda)):
        found -= {argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]}
    return found


def names_defined(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def rank(module: str) -> int:
    """Standard library, installed packages, this project."""
    if module.startswith("minidiff"):
        return 2
    return 1 if re.match(r"torch|numpy|PIL", module) else 0


def import_lines(module: str, names: set[str]) -> list[str]:
    """One line for all names, then one for each that gets another name, as ruff sorts them."""
    renamed = sorted(name for name in names if " as " in name)
    plain = names - set(renamed)
    lines = [import_line(module, plain)] if plain else []
    return [*lines, *(f"from {module} import {name}" for name in renamed)]


def import_line(module: str, names: set[str]) -> str:
    ordered = sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in ordered), ")"])
