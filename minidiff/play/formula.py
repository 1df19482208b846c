"""A function's own code as a formula: what is typeset is what runs, so the two cannot disagree.

    tex("def f(x0, abar, eps):\\n    return abar**0.5 * x0 + (1 - abar) ** 0.5 * eps")

reads the assignments and returns of straight-line code and writes them as TeX. What has no formula,
a loop or a class with several methods, is left out; nothing is ever run.
"""

import ast

SYMBOLS = {
    "x0": r"x_0",
    "x_t": r"x_t",
    "eps": r"\epsilon",
    "abar": r"\bar\alpha",
    "abar_prev": r"\bar\alpha'",
    "alpha": r"\alpha",
    "beta": r"\beta",
    "mean": r"\mu",
    "mean2": r"\mu_2",
    "log_variance": r"\log\sigma^2",
    "log_var": r"\log\sigma^2",
    "log_var2": r"\log\sigma_2^2",
    "v": "v",
    "z": "z",
    "s": "s",
    "x": "x",
    "scale": r"\gamma",
    "sigma": r"\sigma",
    "mask": "m",
    "x_orig_t": r"x^{\mathrm{orig}}_t",
    "eps_uncond": r"\epsilon_u",
    "eps_cond": r"\epsilon_c",
    "eps_u": r"\epsilon_u",
    "eps_c": r"\epsilon_c",
    "eps_far": r"\epsilon_{\mathrm{far}}",
    "eps_near": r"\epsilon_{\mathrm{near}}",
    "smallest": r"\tilde\beta",
    "from_x0": r"c_0",
    "from_x_t": r"c_t",
    "math.pi": r"\pi",
}
RESULTS = {
    "forward_process": r"x_t",
    "x0_from_eps": r"\hat x_0",
    "posterior_mean": r"\mu",
    "posterior_variance": r"\tilde\beta",
    "learned_range_log_variance": r"\log\sigma^2",
    "add_noise": r"x_{t'}",
    "classifier_free_guidance": r"\epsilon",
    "dynamic_threshold": r"\hat x_0",
    "inpaint_blend": r"x_t",
    "anagram_estimate": r"\epsilon",
    "hybrid_estimate": r"\epsilon",
    "add_sigma_noise": r"z",
    "ddpm_step": r"x_{t-1}",
    "gaussian_kl": r"\mathrm{KL}",
}
SUM, PRODUCT, SIGN, POWER, ATOM = range(1, 6)  # how tightly an expression holds together
LINES = 12  # a longer derivation is code, not a formula


def tex(code: str) -> str:
    """The formula of the first function in a text; "" where there is none to show."""
    try:
        functions = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.FunctionDef)]
        lines = function_lines(functions[0]) if len(functions) == 1 else []
    except (SyntaxError, ValueError, RecursionError, Untold):
        return ""
    if not 0 < len(lines) <= LINES:
        return ""
    return r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}"


class Untold(Exception):
    """Code that this module cannot write as a formula."""


def function_lines(function: ast.FunctionDef) -> list[str]:
    lines = []
    for node in function.body:
        if isinstance(node, ast.Return) and node.value is not None:
            result = RESULTS.get(function.name) or upright(function.name)
            lines.append(f"{result} &= {Writer().write(node.value)}")
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            lines.append(f"{Writer().write(node.targets[0])} &= {Writer().write(node.value)}")
        elif not isinstance(node, ast.Expr):  # a docstring says nothing here
            raise Untold(type(node).__name__)
    return lines


def upright(name: str) -> str:
    return r"\mathrm{" + name.replace("_", r"\_") + "}"


class Writer(ast.NodeVisitor):
    """Expressions as TeX. Each visit gives (text, how tightly it holds together)."""

    def write(self, node: ast.AST, at_least: int = 0) -> str:
        """The text, in brackets where it holds together less tightly than asked."""
        text, strength = self.visit(node)
        return text if strength >= at_least else rf"\left({text}\right)"

    def generic_visit(self, node: ast.AST):
        raise Untold(type(node).__name__)

    def visit_Name(self, node):
        return SYMBOLS.get(node.id) or upright(node.id), ATOM

    def visit_Constant(self, node):
        if isinstance(node.value, str) or node.value is None:
            raise Untold("a text")
        return str(node.value), ATOM

    def visit_Attribute(self, node):
        whole = ast.unparse(node)
        return SYMBOLS.get(whole) or upright(whole), ATOM

    def visit_UnaryOp(self, node):
        if not isinstance(node.op, (ast.USub, ast.UAdd)):
            raise Untold(type(node.op).__name__)
        sign = "-" if isinstance(node.op, ast.USub) else "+"
        return sign + self.write(node.operand, SIGN), SIGN

    def visit_BinOp(self, node):
        if isinstance(node.op, (ast.Add, ast.Sub)):
            sign, right = ("+", SUM) if isinstance(node.op, ast.Add) else ("-", PRODUCT)
            return f"{self.write(node.left, SUM)} {sign} {self.write(node.right, right)}", SUM
        if isinstance(node.op, ast.Mult):
            return self.product(node), PRODUCT
        if isinstance(node.op, ast.Div):
            return rf"\frac{{{self.write(node.left)}}}{{{self.write(node.right)}}}", POWER
        if isinstance(node.op, ast.Pow):
            return self.power(node.left, node.right)
        raise Untold(type(node.op).__name__)

    def product(self, node: ast.BinOp) -> str:
        numbers = isinstance(node.right, ast.Constant)  # 2 3 would read as 23
        dot = r" \cdot " if numbers else r"\,"
        return self.write(node.left, PRODUCT) + dot + self.write(node.right, SIGN)

    def power(self, base: ast.AST, exponent: ast.AST):
        if isinstance(exponent, ast.Constant) and exponent.value == 0.5:
            return rf"\sqrt{{{self.write(base)}}}", POWER
        return f"{{{self.write(base, ATOM)}}}^{{{self.write(exponent)}}}", POWER

    def visit_Call(self, node):
        if isinstance(node.func, ast.Attribute):
            owner, name = node.func.value, node.func.attr
            module = isinstance(owner, ast.Name) and owner.id in ("torch", "math", "F")
            arguments = node.args if module else [owner, *node.args]
            return self.named(name, arguments, node.keywords)
        if isinstance(node.func, ast.Name):
            return self.named(node.func.id, node.args, node.keywords)
        raise Untold("a call of a call")

    def named(self, name: str, arguments: list[ast.AST], keywords: list[ast.keyword]):
        if name == "sqrt" and len(arguments) == 1 and not keywords:
            return rf"\sqrt{{{self.write(arguments[0])}}}", POWER
        if name == "exp" and len(arguments) == 1 and not keywords:
            return rf"e^{{{self.write(arguments[0])}}}", POWER
        if name in ("log", "cos", "sin", "tanh") and len(arguments) == 1 and not keywords:
            return rf"\{name} {self.write(arguments[0], ATOM)}", PRODUCT
        if name in ("to", "float", "double", "flatten"):  # the same numbers, kept differently
            return self.visit(arguments[0])
        told = [self.write(argument) for argument in arguments]
        told += [f"{upright(word.arg or '')}={self.write(word.value)}" for word in keywords]
        known = RESULTS if name in ("x0_from_eps", "posterior_mean", "posterior_variance") else {}
        return f"{known.get(name) or upright(name)}({', '.join(told)})", ATOM

    def visit_Subscript(self, node):
        if isinstance(node.slice, (ast.Name, ast.Constant)):
            return f"{{{self.write(node.value, ATOM)}}}_{{{self.write(node.slice)}}}", ATOM
        return self.visit(node.value)  # s[:, None, None, None]: a shape, not a formula

    def visit_Tuple(self, node):
        return ", ".join(self.write(part) for part in node.elts), ATOM

    def visit_List(self, node):
        return "[" + ", ".join(self.write(part) for part in node.elts) + "]", ATOM
