"""Exercises and solutions as files, made from the package's own source.

    sync()             lessons/solutions/<exercise>.py and equations.py from minidiff/, and those
                       stubs lessons/exercises/<exercise>.py that are missing
    sync(check=True)   which solutions are no longer what the package says
    load_equations()   the shipped equations, whatever was done to minidiff/equations.py since

A solution's first line holds a hash of the rest, so that an edit of it is noticed.
"""

import ast
import hashlib
import re
import textwrap
from pathlib import Path
from types import ModuleType

from minidiff.errors import UserError
from minidiff.files import save_atomically
from minidiff.grade.exercises import Exercise, Part, all_exercises
from minidiff.grade.source import LESSONS, execute
from minidiff.paths import ROOT

SOLUTIONS, EXERCISES_FOLDER = LESSONS / "solutions", LESSONS / "exercises"
WIDTH = 100


def sync(check: bool = False) -> list[Path]:
    """Write the solutions and the missing stubs; the files written, or, to check, that differ."""
    wanted = {SOLUTIONS / "equations.py": seal((ROOT / "minidiff/equations.py").read_text())}
    for exercise in all_exercises().values():
        wanted[SOLUTIONS / f"{exercise.name}.py"] = seal(solution_text(exercise))
        stub = EXERCISES_FOLDER / f"{exercise.name}.py"
        if not stub.exists():
            wanted[stub] = stub_text(exercise)
    old = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in old if not check else []:
        save_atomically(path, lambda file, text=wanted[path]: file.write(text.encode()))
    return old


def load_equations() -> ModuleType:
    """The equations as they were shipped, as a module: the untouched side of COMPARE=1."""
    text = read_solution("equations")
    return execute(text, "minidiff_shipped_equations", str(SOLUTIONS / "equations.py"))


def read_solution(name: str) -> str:
    """The text of a solution. UserError if it is missing or was edited."""
    path = SOLUTIONS / f"{name}.py"
    text = path.read_text() if path.is_file() else ""
    if not text or seal(text.partition("\n")[2]) != text:
        raise UserError(
            f"lessons/solutions/{name}.py is missing or was edited, and the grader leans on it:"
            f" restore it with `git checkout lessons/solutions/{name}.py`"
        )
    return text


def seal(text: str) -> str:
    """Put a line before a text that tells its hash."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"# Written by `make lessons-sync`, do not edit: sha256 {digest}\n{text}"


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
    text = (ROOT / part.file).read_text()
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
        tree = ast.parse((ROOT / part.file).read_text())
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
        groups.setdefault(rank(module), []).append(import_line(module, named[module]))
    return "\n\n".join("\n".join(groups[key]) for key in sorted(groups))


def add_import(node: ast.stmt, used: set, own: set, whole: set, named: dict) -> None:
    """Note what one import statement of the package gives that is used."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if (alias.asname or alias.name).split(".")[0] in used:
                whole.add(f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else ""))
    elif isinstance(node, ast.ImportFrom):
        found = {alias.name for alias in node.names if alias.name in used} - own
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


def import_line(module: str, names: set[str]) -> str:
    ordered = sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in ordered), ")"])
