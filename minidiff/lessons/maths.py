"""Will a code host show this formula? Dollars, braces, macros, and Markdown's own meanings."""

import re
from collections.abc import Iterator

from minidiff.lessons.chapters import Chapter

# Macros of MathJax that the chapters may use; another one is a typo, or is to be added here. Not
# operatorname, which GitHub refuses: mathrm does the same.
MACROS = set(
    """
    Delta Phi Pr Psi Sigma Vert alpha approx bar begin beta big bigl bigr bmod boldsymbol cdot cdots
    cos delta dfrac displaystyle ell end epsilon eta exp frac gamma ge geq gt hat hspace in infty
    int kappa lVert lambda langle lceil ldots le left leftarrow leq lfloor lim ln log longrightarrow
    lt lvert mapsto mathbb mathbf mathcal mathrm max mid min mu nabla ne neq odot
    overline partial phi pi prime prod propto psi qquad quad rVert rangle rceil rfloor rho right
    rightarrow rvert sigma sim sin sqrt sum tanh tau text textstyle theta tilde times to top
    underbrace varepsilon varphi vec
    """.split()
)
FORMULA = re.compile(r"\$\$(?P<block>.*?)\$\$|\$(?P<inline>[^$\n]+)\$", re.DOTALL)


def maths_faults(chapter: Chapter) -> Iterator[tuple[int, str]]:
    """(line, what is wrong) for each fault of the chapter's formulas."""
    text = re.sub(r"`[^`\n]+`", lambda m: " " * len(m[0]), chapter.prose)
    for match in FORMULA.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        found = inline_faults(match["inline"]) if match["inline"] else block_faults(text, match)
        formula = match["inline"] or match["block"]
        for fault in [*found, *formula_faults(formula)]:
            yield line, f"{fault}: ${formula.strip()}$"
    for number, row in enumerate(text.split("\n"), start=1):
        if row.replace("$$", "").count("$") % 2:
            yield number, "a dollar has no partner in its line"


def inline_faults(formula: str) -> Iterator[str]:
    if formula != formula.strip():
        yield "a space stands next to a dollar"
    if found := re.search(r"\\[^A-Za-z\s]", formula):
        yield f"Markdown eats the backslash of {found[0]}"


def block_faults(text: str, match: re.Match) -> Iterator[str]:
    before, after = text[: match.start()], text[match.end() :]
    if not re.search(r"(^|\n[ ]*\n)$", before) or not re.match(r"[ ]*(\n[ ]*\n|\n?$)", after):
        yield "a $$ block needs a blank line above and below"


def formula_faults(formula: str) -> Iterator[str]:
    if formula.count("{") != formula.count("}"):
        yield "braces do not match"
    if len(re.findall(r"\\left\b", formula)) != len(re.findall(r"\\right\b", formula)):
        yield r"\left and \right do not match"
    for macro in sorted(set(re.findall(r"\\([A-Za-z]+)", formula)) - MACROS):
        yield rf"\{macro} is not in the list of minidiff/lessons/maths.py"
    if re.search(r"[})\]]_\w.*\w_[{\\]", formula, re.DOTALL):
        yield r"Markdown may read the underscores as emphasis (write \hat x_0, not \hat{x}_0)"
    if "*" in formula or "<" in formula:
        yield r"Markdown may read the * or < as its own (write \cdot, \lt)"
